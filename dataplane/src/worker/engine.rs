//! What a worker drives: the part of a stack that faces the ports.

use braid_engine::stack::{PortId, ReceiveMeta, TransmitBatch};
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::time::Instant;

/// A protocol engine without I/O, such as a `braid_engine::stack::Stack`.
pub trait Engine {
    /// Where the frames come from that ports fill.
    fn frame_pool(&mut self) -> &mut FramePool;

    /// A frame came in.
    fn receive(&mut self, now: Instant, frame: Frame, meta: ReceiveMeta);

    /// A port began or ceased to reach its link.
    fn set_link(&mut self, now: Instant, port: PortId, up: bool);

    /// Fires the timers that are due.
    fn advance(&mut self, now: Instant);

    /// When [`Engine::advance`] is due next; `None` when no timer runs.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Fills frames while there is something to send and the batch has room; says how many.
    fn transmit(&mut self, now: Instant, batch: &mut impl TransmitBatch) -> usize;
}
