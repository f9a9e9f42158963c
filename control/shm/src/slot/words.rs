//! The words of a slot. A line of cache has one writer, or is written by both sides rarely.

use crate::lock::ReservationLock;
use crate::ring::entry::Index;
use crate::slot::readiness::Readiness;
use crate::slot::stall::Stall;
use crate::slot::writability::Writability;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Written by the engine when a socket is made, changes or goes.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(crate) generation: AtomicU32,
    pub(crate) state: AtomicU32,
    pub(crate) flags: AtomicU32,
    /// The worker that serves its connection, whose doorbell is rung for it; any while it has none.
    pub(crate) worker: AtomicU32,
}

/// Written by the engine; `error` is taken by the application.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) error: AtomicU32,
    pub(crate) read_end: AtomicU32,
    pub(crate) write_closed: AtomicU32,
}

/// Written by the application.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) nonblocking: AtomicU32,
    pub(crate) orderly: AtomicU32,
    pub(crate) linger: AtomicU32,
    pub(crate) receive_low_water: AtomicU32,
    /// connect() was called, and how it ended not yet told.
    pub(crate) connect_untold: AtomicU32,
    /// Nanoseconds; 0: none.
    pub(crate) receive_timeout: AtomicU64,
    /// Nanoseconds; 0: none.
    pub(crate) send_timeout: AtomicU64,
    /// MSG_MORE: one more than the index of the transmit ring from which on the last of the bytes
    /// wait for more; 0: none do. Written before the bytes are published.
    pub(crate) held_from: AtomicU64,
}

/// One socket.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct SocketSlot {
    pub(crate) identity: Identity,
    pub(crate) status: Status,
    pub(crate) settings: Settings,
    pub(crate) readiness: Readiness,
    pub(crate) writability: Writability,
    pub(crate) stall: Stall,
    pub(crate) transmit_lock: ReservationLock,
    pub(crate) receive_lock: ReservationLock,
    /// Written by the application.
    pub(crate) transmit_tail: Index,
    /// Written by the engine.
    pub(crate) transmit_head: Index,
    /// Written by the engine.
    pub(crate) receive_tail: Index,
    /// Written by the application.
    pub(crate) receive_head: Index,
}

impl SocketSlot {
    /// Sets every word back but the generation.
    pub(crate) fn reset(&self) {
        let Self {
            identity,
            status,
            settings,
            ..
        } = self;
        identity.state.store(0, Ordering::Relaxed);
        identity.flags.store(0, Ordering::Relaxed);
        identity.worker.store(0, Ordering::Relaxed);
        for word in [
            &status.error,
            &status.read_end,
            &status.write_closed,
            &settings.nonblocking,
            &settings.orderly,
            &settings.linger,
            &settings.receive_low_water,
            &settings.connect_untold,
        ] {
            word.store(0, Ordering::Relaxed);
        }
        settings.receive_timeout.store(0, Ordering::Relaxed);
        settings.send_timeout.store(0, Ordering::Relaxed);
        settings.held_from.store(0, Ordering::Relaxed);
        self.readiness.reset();
        self.writability.reset();
        self.stall.reset();
        self.transmit_lock.reset();
        self.receive_lock.reset();
        for index in [
            &self.transmit_tail,
            &self.transmit_head,
            &self.receive_tail,
            &self.receive_head,
        ] {
            index.0.store(0, Ordering::Relaxed);
        }
    }
}
