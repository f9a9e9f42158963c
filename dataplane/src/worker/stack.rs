//! The stack of `braid-engine` as what a worker drives.

use braid_engine::stack::{Letter, PortId, ReceiveMeta, Stack, TransmitBatch, WorkerId};
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::storage::prefetch::Prefetch;
use braid_engine::time::Instant;

use super::Engine;

impl Engine for Stack {
    type Letter = Letter;

    fn frame_pool(&mut self) -> &mut FramePool {
        Self::frame_pool(self)
    }

    fn set_prefetch(&mut self, prefetch: Prefetch) {
        Self::set_prefetch(self, prefetch);
    }

    fn expect_frames<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) {
        Self::expect_frames(self, frames);
    }

    fn receive_burst(
        &mut self,
        now: Instant,
        frames: impl IntoIterator<Item = (Frame, ReceiveMeta)>,
    ) {
        Self::receive_burst(self, now, frames);
    }

    fn deliver(&mut self, now: Instant, letter: Letter) {
        Self::deliver(self, now, letter);
    }

    fn poll_letter(&mut self, to: WorkerId) -> Option<Letter> {
        Self::poll_letter(self, to)
    }

    fn refuse_letter(&mut self, to: WorkerId, letter: Letter) {
        Self::refuse_letter(self, to, letter);
    }

    fn letters_waiting(&self) -> bool {
        let mut others = self.place().others();
        others.any(|worker| Self::letters_waiting(self, worker) > 0)
    }

    fn set_link(&mut self, now: Instant, port: PortId, up: bool) {
        Self::set_link(self, now, port, up);
    }

    fn advance(&mut self, now: Instant) {
        Self::advance(self, now);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        Self::poll_timeout(self)
    }

    fn is_due(&self, now: Instant) -> bool {
        Self::is_due(self, now)
    }

    fn transmit(&mut self, now: Instant, batch: &mut impl TransmitBatch) -> usize {
        Self::transmit(self, now, batch)
    }
}
