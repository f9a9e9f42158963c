//! The way from one queue of a link to one queue of its other end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use braid_engine::stack::ReceivedChecksum;
use braid_engine::storage::frame::{Frame, FramePool};

use crate::port::PortError;
use crate::reassembly_ring::{Consumer, Producer, ring};
use crate::sys::eventfd::EventFd;

/// A frame under way, with what the receiver is told of it: field by field, as a processor waits that reads
/// at once what was just written in parts.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) frame: Frame,
    pub(super) checksum: ReceivedChecksum,
    pub(super) segment_size: Option<u16>,
}

/// What both ends of the way from one queue to one other see, beside the rings.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The sender found no room, and sleeps.
    pub(super) sender_waits: AtomicBool,
    /// The queue at the far end is closed: nobody takes anything here any more.
    closed: AtomicBool,
}

impl Lane {
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// The way from a queue with `sender` to one with `receiver`, for so many frames.
pub(super) fn lane(sender: &Arc<Bell>, receiver: &Arc<Bell>, queue: usize) -> (Outgoing, Incoming) {
    let lane = Arc::new(Lane::default());
    let (to_receiver, from_sender) = ring(queue);
    let (to_sender, from_receiver) = ring(queue);
    let outgoing = Outgoing {
        lane: Arc::clone(&lane),
        under_way: to_receiver,
        spare: from_receiver,
        receiver: Arc::clone(receiver),
        unannounced: false,
    };
    let incoming = Incoming {
        lane,
        under_way: from_sender,
        spare: to_sender,
        sender: Arc::clone(sender),
    };
    (outgoing, incoming)
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
    pub(super) under_way: Producer<Sent>,
    /// Frames that came back.
    pub(super) spare: Consumer<Frame>,
    pub(super) receiver: Arc<Bell>,
    /// The last flush showed the receiver frames that it is to be told of.
    pub(super) unannounced: bool,
}

impl Outgoing {
    /// Whether it takes nothing now. A closed one is never full, as it is never chosen.
    pub(super) fn is_full(&mut self) -> bool {
        !self.under_way.has_room() && !self.lane.is_closed()
    }
}

/// A lane as its receiver has it.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) lane: Arc<Lane>,
    pub(super) under_way: Consumer<Sent>,
    /// Frames on their way back: the receiver gives one of its own for each it takes, so that
    /// neither end allocates.
    pub(super) spare: Producer<Frame>,
    pub(super) sender: Arc<Bell>,
}

impl Incoming {
    /// Takes the next frame, and has one of `pool` go back in its place.
    pub(super) fn take(&mut self, pool: &mut FramePool) -> Option<Sent> {
        let mut sent = self.under_way.pop()?;
        // Or a frame that another queue has given would have to be carried home to that one's worker.
        if let Err(unwanted) = self.spare.push(pool.exchange(&mut sent.frame)) {
            pool.put(unwanted);
        }
        Some(sent)
    }

    /// Lets the sender see the room that was made, and the frames that go back.
    pub(super) fn publish(&mut self) {
        self.under_way.release();
        self.spare.publish();
    }
}

impl Drop for Incoming {
    /// The sender may wait for room.
    fn drop(&mut self) {
        self.lane.closed.store(true, Ordering::Relaxed);
        self.sender.event.ring();
    }
}
