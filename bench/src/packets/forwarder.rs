//! The least that a worker can drive: what comes in by a port goes out by it.

use braid_dataplane::port::POOL_FRAME_CAPACITY;
use braid_dataplane::worker::Engine;
use braid_engine::stack::{PortId, ReceiveMeta, TransmitBatch, TransmitMeta, WorkerId};
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::time::Instant;

/// Frames that may wait: what a worker's ports bring in a few steps. Further ones are lost.
const WAITING: usize = 256;

/// Passes frames on. Its pool is that of a stack.
#[derive(Debug)]
pub(super) struct Forwarder {
    pool: FramePool,
    waiting: Vec<(PortId, Frame)>,
    passed_on: u64,
}

impl Default for Forwarder {
    fn default() -> Self {
        Self {
            pool: FramePool::new(POOL_FRAME_CAPACITY, WAITING),
            waiting: Vec::with_capacity(WAITING),
            passed_on: 0,
        }
    }
}

impl Forwarder {
    /// How many frames were passed on so far.
    pub(super) fn passed_on(&self) -> u64 {
        self.passed_on
    }
}

/// Of one worker alone.
#[derive(Debug)]
pub(super) enum NoLetter {}

impl Engine for Forwarder {
    type Letter = NoLetter;

    fn frame_pool(&mut self) -> &mut FramePool {
        &mut self.pool
    }

    fn receive_burst(
        &mut self,
        _now: Instant,
        frames: impl IntoIterator<Item = (Frame, ReceiveMeta)>,
    ) {
        for (frame, meta) in frames {
            if self.waiting.len() < WAITING {
                self.waiting.push((meta.port, frame));
            } else {
                self.pool.put(frame);
            }
        }
    }

    fn deliver(&mut self, _now: Instant, letter: NoLetter) {
        match letter {}
    }

    fn poll_letter(&mut self, _to: WorkerId) -> Option<NoLetter> {
        None
    }

    fn refuse_letter(&mut self, _to: WorkerId, letter: NoLetter) {
        match letter {}
    }

    fn letters_waiting(&self) -> bool {
        false
    }

    fn set_link(&mut self, _now: Instant, _port: PortId, _up: bool) {}

    fn advance(&mut self, _now: Instant) {}

    fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }

    fn is_due(&self, _now: Instant) -> bool {
        false
    }

    fn transmit(&mut self, _now: Instant, batch: &mut impl TransmitBatch) -> usize {
        let mut sent = 0;
        for (port, frame) in self.waiting.drain(..) {
            let bytes = frame.bytes();
            if let Some(room) = batch.reserve(port, bytes.len()) {
                room.copy_from_slice(bytes);
                batch.commit(port, bytes.len(), TransmitMeta::default());
                sent += 1;
            }
            self.pool.put(frame);
        }
        self.passed_on += sent as u64;
        sent
    }
}
