//! Several copies of each byte, for latency (schedulers leave RFC 8684 section 3.3.5 that choice).
//!
//! A copy is not sent because something was lost, and is not counted as if. Each subflow is offered
//! each byte once, in order; bytes that the peer has acknowledged by then, or that enough others
//! carry, it skips. So the copies of a byte are no more than the subflows, and a slow subflow does
//! not fall ever further behind.

use super::context::Context;
use super::schedule::{MAX_GRANT, grant_length};
use super::subflow_view::SubflowView;
use super::{Connection, Mode};
use crate::mptcp::scheduler::{Candidate, Scheduler, min_rtt};
use core::ops::Range;
use std::sync::Arc;

/// The most copies that can be asked for.
pub const MAX_REDUNDANCY: u8 = 32;

impl Connection {
    /// Goes on with another scheduler, which remembers nothing of what was before.
    pub fn set_scheduler(&mut self, scheduler: Scheduler, cx: &mut Context<'_>) {
        self.use_scheduler(scheduler);
        self.settle(cx);
    }

    pub(super) fn use_scheduler(&mut self, scheduler: Scheduler) {
        Arc::make_mut(&mut self.config).scheduler = scheduler;
        self.scheduler = scheduler.into();
    }

    /// From now on each byte goes out on that many subflows, if there are so many; `None` leaves it
    /// to the scheduler.
    pub fn set_redundancy(&mut self, redundancy: Option<u8>, cx: &mut Context<'_>) {
        Arc::make_mut(&mut self.config).redundancy = redundancy;
        self.settle(cx);
    }

    /// On how many subflows each byte goes out; at least one.
    pub fn redundancy(&self) -> u8 {
        let default = match self.config.scheduler {
            Scheduler::Redundant => MAX_REDUNDANCY,
            _ => 1,
        };
        let redundancy = self.config.redundancy.unwrap_or(default);
        redundancy.clamp(1, MAX_REDUNDANCY)
    }

    /// Grants some subflow a copy of bytes that others carry, the fastest first.
    pub(super) fn grant_copy(&mut self, cx: &mut Context<'_>) -> bool {
        if self.redundancy() == 1 || !matches!(self.mode, Mode::Multipath { .. }) {
            return false;
        }
        // Each turn but the last takes a subflow out of those that lag.
        while let Some(index) = self.fastest_that_lags() {
            if let Some(start) = self.next_to_copy(index) {
                return self.grant_copy_on(index, start, cx);
            }
            let end = self.send.data_nxt();
            self.note_offered(index, end);
        }
        false
    }

    fn fastest_that_lags(&self) -> Option<usize> {
        let everything = |_: &SubflowView| u64::MAX;
        let leader = self
            .candidates(self.best_rank(), |_| true, everything)
            .min_by_key(Candidate::order)?;
        let lags = |view: &SubflowView| {
            !self.is_offered_all(view) && (view.id == leader.id || self.room_for_copies(view) > 0)
        };
        let candidates = self.candidates(self.best_rank(), lags, everything);
        min_rtt::pick(candidates).map(|choice| choice.index)
    }

    /// The first byte that the subflow was not offered and that is worth a copy on it.
    fn next_to_copy(&self, index: usize) -> Option<u64> {
        let view = self.views.get(index)?;
        let end = self.send.data_nxt();
        let mut start = view.copied_to.max(self.send.snd_una);
        while start < end {
            let piece = self.piece_at(start);
            let carriers = self
                .views
                .iter()
                .filter(|view| view.is_open() && !view.is_stale())
                .filter(|view| view.ledger.overlaps(&piece))
                .count();
            // Of what nobody carries the DATA_ACK is on its way, or it waits to go out again.
            let wanted = carriers > 0 && carriers < usize::from(self.redundancy());
            if wanted && !view.ledger.overlaps(&piece) {
                return Some(start);
            }
            start = piece.end;
        }
        None
    }

    /// From `start` up to the nearest bound of a ledger: a subflow carries all of it or nothing.
    fn piece_at(&self, start: u64) -> Range<u64> {
        let bound = self
            .views
            .iter()
            .filter_map(|view| view.ledger.next_bound(start))
            .min();
        let end = self.send.data_nxt().min(start + MAX_GRANT);
        start..end.min(bound.unwrap_or(end))
    }

    fn grant_copy_on(&mut self, index: usize, start: u64, cx: &mut Context<'_>) -> bool {
        let piece = self.piece_at(start);
        let Some(view) = self.views.get(index) else {
            return false;
        };
        let room = self.room_for_copies(view).max(view.segment_size().into());
        let length = grant_length(view, (piece.end - piece.start).min(room));
        self.note_offered(index, start + length);
        if length == 0 {
            return false;
        }
        self.grant(index, start..start + length, cx);
        true
    }

    fn note_offered(&mut self, index: usize, to: u64) {
        if let Some(view) = self.views.get_mut(index) {
            view.copied_to = to;
        }
    }

    /// Nothing is left to copy on it.
    pub(super) fn is_offered_all(&self, view: &SubflowView) -> bool {
        view.copied_to.max(self.send.snd_una) >= self.send.data_nxt()
    }

    /// What a slow subflow holds keeps the send buffer from being released, so copies take no more
    /// than a part of it. Whole segments.
    fn room_for_copies(&self, view: &SubflowView) -> u64 {
        let subflows = self.views.len().max(1) as u64;
        let most = self.send.buffer.capacity() as u64 / (2 * subflows);
        let room = most.saturating_sub(view.ledger.bytes());
        room - room % u64::from(view.segment_size())
    }
}
