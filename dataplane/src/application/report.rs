//! What the workers tell the control thread of applications.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use braid_engine::socket::SocketError;
use braid_engine::stack::{ConnectionId, Event, ListenerId, WorkerId};
use braid_shm::{Bell, Violation};
use crossbeam_queue::ArrayQueue;

use super::RegionId;

/// Something that the control thread has to act on.
#[derive(Debug)]
pub enum Report {
    /// Connections wait at a listener. It is told once until all of them are accepted.
    Acceptable {
        /// The worker at which they wait.
        worker: WorkerId,
        /// The listener, as that worker names it.
        listener: ListenerId,
    },
    /// A connection could not be made. Its socket is held until [`super::Applications::let_go`].
    Failed {
        /// The worker that gave it up.
        worker: WorkerId,
        /// Its region.
        region: RegionId,
        /// The slot's number.
        slot: u32,
        /// The connection that is none.
        connection: ConnectionId,
        /// Why.
        error: SocketError,
    },
    /// A socket that no process had any more is through: its slot is free.
    Released {
        /// Its region.
        region: RegionId,
        /// The slot's number.
        slot: u32,
    },
    /// An application wrote over its shared memory. Its region is served no more.
    Violation {
        /// The region.
        region: RegionId,
        /// What was found.
        violation: Violation,
    },
    /// What only watchers want, while somebody watches.
    Watched {
        /// The worker where it happened.
        worker: WorkerId,
        /// What happened.
        event: Event,
    },
}

/// What workers report of. How many reports of it there are that must not be lost is bounded by nature.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Reporting {
    /// Workers, each of which reports of its own part.
    pub workers: usize,
    /// Listeners at most: each worker tells of its part once until all of it is accepted.
    pub listeners: usize,
    /// Regions at most: each worker that serves one may find it broken, and tells it once.
    pub regions: usize,
    /// Sockets at most, each of one worker: one fails once, and is released once.
    pub sockets: usize,
}

impl Reporting {
    /// Reports that may wait at the same time.
    fn most(self) -> usize {
        let of_each = self.listeners.saturating_add(self.regions);
        let of_sockets = self.sockets.saturating_mul(2);
        of_each
            .saturating_mul(self.workers)
            .saturating_add(of_sockets)
    }
}

/// The queue of all workers' reports, and the bell that says there are some.
///
/// Reports that must not be lost have room ([`Reporting`]); what watchers want has only what is left over, and
/// is counted where it has none.
#[derive(Debug)]
pub struct Reports {
    queue: ArrayQueue<Report>,
    /// From this length on what watchers want is dropped.
    watched: usize,
    watching: AtomicBool,
    rung: AtomicBool,
    lost: AtomicU64,
    bell: Bell,
}

impl Reports {
    /// Room for all reports of `of`, which must not be lost, and for `watched` others.
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors.
    pub fn new(of: Reporting, watched: usize) -> io::Result<Self> {
        Ok(Self {
            queue: ArrayQueue::new(of.most().saturating_add(watched).max(1)),
            watched,
            watching: AtomicBool::new(false),
            rung: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            bell: Bell::new()?,
        })
    }

    /// The bell: the control thread polls it, and clears it before it takes reports.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// How many reports wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Takes the oldest report.
    pub fn take(&self) -> Option<Report> {
        self.queue.pop()
    }

    /// Whether anybody wants what is for watchers.
    pub fn set_watching(&self, watching: bool) {
        self.watching.store(watching, Ordering::Relaxed);
    }

    /// How many reports were dropped for want of room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn push(&self, report: Report) {
        if self.queue.push(report).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        // By exchange, as the one below: whichever worker rings has seen what all have pushed.
        self.rung.swap(true, Ordering::AcqRel);
    }

    pub(super) fn watch(&self, worker: WorkerId, event: Event) {
        if !self.watching.load(Ordering::Relaxed) {
            return;
        }
        if self.queue.len() >= self.watched {
            self.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            self.push(Report::Watched { worker, event });
        }
    }

    /// Rings once for all that was pushed in a turn.
    pub(super) fn ring(&self) {
        if self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::AcqRel) {
            self.bell.ring();
        }
    }
}
