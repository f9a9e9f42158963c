//! What a worker drives: the part of a stack that faces the ports.

use braid_engine::stack::{PortId, ReceiveMeta, TransmitBatch, WorkerId};
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::storage::prefetch::Prefetch;
use braid_engine::time::Instant;

/// A protocol engine without I/O, such as a `braid_engine::stack::Stack`.
pub trait Engine {
    /// What the engines of one host's workers say to each other.
    type Letter: Send;

    /// Where the frames come from that ports fill.
    fn frame_pool(&mut self) -> &mut FramePool;

    /// What has memory fetched before it is used.
    fn set_prefetch(&mut self, _prefetch: Prefetch) {}

    /// These frames are about to be received: the memory may be fetched that they will use.
    fn expect_frames<'a>(&self, _frames: impl IntoIterator<Item = &'a [u8]>) {}

    /// Frames came in by one port, in this order.
    fn receive_burst(
        &mut self,
        now: Instant,
        frames: impl IntoIterator<Item = (Frame, ReceiveMeta)>,
    );

    /// A letter of another worker's engine came.
    fn deliver(&mut self, now: Instant, letter: Self::Letter);

    /// The next letter to a worker; `None` when there is none.
    fn poll_letter(&mut self, to: WorkerId) -> Option<Self::Letter>;

    /// Takes back the letter last polled, for which there is no room. It is the next again.
    fn refuse_letter(&mut self, to: WorkerId, letter: Self::Letter);

    /// Whether there is a letter to any worker.
    fn letters_waiting(&self) -> bool;

    /// A port began or ceased to reach its link.
    fn set_link(&mut self, now: Instant, port: PortId, up: bool);

    /// Fires the timers that are due.
    fn advance(&mut self, now: Instant);

    /// When [`Engine::advance`] is due next; `None` when no timer runs.
    fn poll_timeout(&mut self) -> Option<Instant>;

    /// Whether [`Engine::advance`] is due, as far as the last [`Engine::transmit`] knew.
    fn is_due(&self, now: Instant) -> bool;

    /// Fills frames while there is something to send and the batch has room; says how many.
    fn transmit(&mut self, now: Instant, batch: &mut impl TransmitBatch) -> usize;
}
