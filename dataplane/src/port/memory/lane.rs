//! The way from one queue of a link to one queue of its other end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use braid_engine::stack::TransmitMeta;
use braid_engine::storage::frame::Frame;
use crossbeam_queue::ArrayQueue;

use crate::port::PortError;
use crate::sys::eventfd::EventFd;

/// A frame under way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) frame: Frame,
    pub(super) meta: TransmitMeta,
}

/// The way from one queue to one other.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) under_way: ArrayQueue<Sent>,
    /// Frames on their way back: the receiver gives one of its own for each it takes, so that
    /// neither end allocates.
    pub(super) spare: ArrayQueue<Frame>,
    /// The sender found no room, and sleeps.
    pub(super) sender_waits: AtomicBool,
    /// The queue at the far end is closed: nobody takes anything here any more.
    pub(super) closed: AtomicBool,
}

impl Lane {
    pub(super) fn new(queue: usize) -> Arc<Self> {
        let queue = queue.max(1);
        Arc::new(Self {
            under_way: ArrayQueue::new(queue),
            spare: ArrayQueue::new(queue),
            sender_waits: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// Whether it takes nothing now. A closed one is never full, as it is never chosen.
    pub(super) fn is_full(&self) -> bool {
        self.under_way.is_full() && !self.is_closed()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// What a queue is woken by, for frames that came and for room that it waits for.
#[derive(Debug)]
pub(super) struct Bell {
    /// It waits for frames.
    pub(super) sleeps: AtomicBool,
    pub(super) event: EventFd,
}

impl Bell {
    pub(super) fn new() -> Result<Arc<Self>, PortError> {
        let event = EventFd::new().map_err(|source| PortError::System {
            action: "making an event descriptor for a memory port".into(),
            source,
        })?;
        Ok(Arc::new(Self {
            sleeps: AtomicBool::new(false),
            event,
        }))
    }

    /// Frames have come; the caller has made that known by a fence.
    pub(super) fn wake(&self) {
        if self.sleeps.swap(false, Ordering::Relaxed) {
            self.event.ring();
        }
    }

    /// The queue is looked at again.
    pub(super) fn awake(&self) {
        self.sleeps.store(false, Ordering::Relaxed);
        self.event.silence();
    }
}

/// A lane as its sender has it.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) lane: Arc<Lane>,
    pub(super) receiver: Arc<Bell>,
    /// Frames were put there since the receiver was last told.
    pub(super) unannounced: bool,
}

/// A lane as its receiver has it.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) lane: Arc<Lane>,
    pub(super) sender: Arc<Bell>,
}

impl Drop for Incoming {
    /// The sender may wait for room.
    fn drop(&mut self) {
        self.lane.closed.store(true, Ordering::Relaxed);
        self.sender.event.ring();
    }
}
