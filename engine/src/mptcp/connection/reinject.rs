//! Sending again elsewhere, and when sent bytes are let go (RFC 8684 sections 3.3.5 and 3.3.6).

use super::Connection;
use super::Mode;
use super::context::{ConnectionEvent, Context, SubflowHandle};
use super::fallback::Standing;
use super::schedule::grant_length;
use super::send::Fin;
use super::subflow_view::SubflowView;
use crate::mptcp::message::ToSubflow;
use crate::time::Duration;
use crate::wire::mptcp_option::ResetReason;
use core::ops::Range;

/// Timeouts of a DATA_FIN after which a peer of which no DSS was heard is probed: a few may be lost.
const UNHEARD_TIMEOUTS: u32 = 2;

/// At most this much is repeated at one data-level timeout.
const MAX_TIMEOUT_REPEAT: u64 = 1 << 20;

/// A path whose round trip is so many times that of another is slowed for its sake; between paths
/// alike the difference is chance.
const MUCH_SLOWER: u32 = 2;

impl Connection {
    /// A subflow's data in flight seems lost: what it carries should travel elsewhere too.
    pub(super) fn on_stalled(&mut self, from: SubflowHandle, cx: &mut Context<'_>) {
        let Some(view) = self.view_mut(from) else {
            return;
        };
        if !view.stalled {
            view.stalled = true;
            cx.counters.subflow_stale += 1;
        }
        self.reinject_ledger(from, cx);
        // All it holds may be acknowledged already, by copies elsewhere: then no DATA_ACK follows.
        self.ask_to_retain(cx);
        self.recompute_coupling(cx);
    }

    /// Asks that everything a subflow holds travel on another one, if there is one.
    pub(super) fn reinject_ledger(&mut self, handle: SubflowHandle, cx: &mut Context<'_>) {
        if !matches!(self.mode, Mode::Multipath { .. }) {
            return;
        }
        let Some(view) = self.views.iter().find(|view| view.handle == handle) else {
            return;
        };
        for range in view.ledger.ranges() {
            if !self.send.ask_reinjection(range) {
                cx.counters.queue_full += 1;
                break;
            }
        }
    }

    /// Asks the same for all subflows that do not live.
    pub(super) fn reinject_stale(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.views.len() {
            if let Some(view) = self.views.get(index)
                && view.is_stale()
            {
                self.reinject_ledger(view.handle, cx);
            }
        }
    }

    /// Repeats the head of the window on a faster path when it holds up everything: the peer's
    /// window or the send buffer is full and the head travels on a slow path. At most once per
    /// round trip of the path it is repeated on. Where it is the window that is full, the path
    /// that fills it is slowed, at most once per round trip of its own.
    pub(super) fn repeat_head(&mut self, cx: &mut Context<'_>) {
        let unsent = self.send.unsent();
        let window_blocks = !unsent.is_empty() && unsent.start >= self.send.window_edge;
        let buffer_blocks = unsent.is_empty() && self.send.writer_waits;
        let head = self.send.snd_una;
        let multipath = matches!(self.mode, Mode::Multipath { .. });
        if self.scheduler.keeps_to_one() {
            return;
        }
        if !multipath || !(window_blocks || buffer_blocks) || head >= self.send.data_nxt() {
            return;
        }
        let Some((holder_rtt, holder_lowest, holder)) = self.holder_of(head) else {
            return;
        };
        let now = cx.now;
        let admits = |view: &SubflowView| {
            let rtt = view.progress.smoothed_rtt.unwrap_or(Duration::MAX);
            !view.is_stale() && rtt < holder_rtt && now >= view.remarks().repeat_allowed
        };
        let faster = self.fastest(admits, |_| u64::MAX);
        let Some((index, view)) = faster.and_then(|index| Some((index, self.views.get(index)?)))
        else {
            return;
        };
        let range = head..holder_lowest.min(head + u64::from(view.segment_size()));
        if view.ledger.overlaps(&range) {
            return;
        }
        let length = grant_length(view, range.end - range.start);
        if length == 0 {
            return;
        }
        self.grant(index, range.start..range.start + length, cx);
        self.note_reinjected(index, length, cx);
        cx.counters.opportunistic_retransmissions += 1;
        let mut fast_rtt = Duration::ZERO;
        if let Some(view) = self.views.get_mut(index) {
            fast_rtt = view.progress.smoothed_rtt.unwrap_or_default();
            view.remarks_mut().repeat_allowed = now + fast_rtt;
        }
        if window_blocks && holder_rtt >= fast_rtt * MUCH_SLOWER {
            self.slow_down(holder, cx);
        }
    }

    /// A slow path that sends less leaves more of the peer's window to the fast ones.
    fn slow_down(&mut self, handle: SubflowHandle, cx: &mut Context<'_>) {
        if let Some(view) = self.view_mut(handle)
            && cx.now >= view.remarks().slow_down_allowed
        {
            let pause = view.progress.smoothed_rtt.unwrap_or_default();
            view.remarks_mut().slow_down_allowed = cx.now + pause;
            cx.out.send(handle, ToSubflow::SlowDown);
        }
    }

    /// Of the fastest subflow that carries the byte at `head`: its round trip, where the run ends,
    /// and which it is.
    fn holder_of(&self, head: u64) -> Option<(Duration, u64, SubflowHandle)> {
        self.views
            .iter()
            .filter(|view| view.is_open())
            .filter_map(|view| {
                let run = view.ledger.ranges().find(|run| run.contains(&head))?;
                let rtt = view.progress.smoothed_rtt.unwrap_or(Duration::MAX);
                Some((rtt, run.end, view.handle))
            })
            .min_by_key(|(rtt, end, _)| (*rtt, *end))
    }

    /// The data-level timer fired: subflows have delivered what the peer has not acknowledged.
    pub(super) fn on_data_timeout(&mut self, cx: &mut Context<'_>) {
        cx.counters.data_timeouts += 1;
        self.send.data_timeouts += 1;
        if self.send.only_fin_outstanding() {
            // It takes no byte of a subflow, so a dead path never tells that it lost it: try them all.
            let data_sequence = self.send.send_fin();
            let unheard =
                self.standing() == Standing::Unconfirmed && self.send.backoff >= UNHEARD_TIMEOUTS;
            for view in self.views.iter().filter(|view| view.is_ready()) {
                cx.out
                    .send(view.handle, ToSubflow::DataFin { data_sequence });
                if unheard {
                    // The answer shows whether options pass, where no acknowledgment of data can.
                    cx.out.send(view.handle, ToSubflow::Probe);
                }
            }
            return;
        }
        let start = self.send.snd_una;
        let held = self
            .views
            .iter()
            .filter(|view| view.is_open() && !view.is_stale())
            .flat_map(|view| view.ledger.ranges())
            .filter(|run| run.end > start)
            .map(|run| run.start)
            .min();
        let end = held
            .unwrap_or(u64::MAX)
            .min(self.send.data_nxt())
            .min(start + MAX_TIMEOUT_REPEAT);
        if !self.send.ask_reinjection(start..end) {
            cx.counters.queue_full += 1;
        }
    }

    /// Lets go of what is acknowledged at data level and on every subflow that carried it.
    pub(super) fn release_acknowledged(&mut self, cx: &mut Context<'_>) {
        let held = self.views.iter().filter_map(SubflowView::lowest_held).min();
        let to = held.unwrap_or(u64::MAX);
        if self.send.release(to) && self.send.fin == Fin::Open {
            cx.out.events.push_back(ConnectionEvent::Writable);
        }
        self.ask_to_retain(cx);
    }

    /// A slow subflow that keeps the application from writing makes its own copy of what it still
    /// may have to retransmit. All copies together are no larger than the send buffer; past that
    /// a stale subflow is given up, for others carry its data, and for a live one the writer waits.
    /// So this is to be asked whenever bytes are acknowledged, and whenever a subflow goes stale or
    /// one that lives is found: with nothing in flight but on a stale one no acknowledgment comes.
    pub(super) fn ask_to_retain(&mut self, cx: &mut Context<'_>) {
        let blocked: Range<u64> = self.send.buffer.start()..self.send.snd_una;
        if blocked.is_empty() || self.send.buffer.free() >= self.send.buffer.capacity() / 4 {
            return;
        }
        let until = self.send.snd_una.min(self.send.buffer.end());
        let number = self.send.number(until);
        let capacity = self.send.buffer.capacity() as u64;
        let mut retained: u64 = self.views.iter().map(SubflowView::retained_now).sum();
        let is_live = |view: &SubflowView| view.is_ready() && !view.is_stale();
        let any_live = self.views.iter().any(is_live);
        let mut hopeless = None;
        for view in &mut self.views {
            let in_the_way = view.lowest_held().is_some_and(|lowest| lowest < until);
            if in_the_way && view.remarks().retain_asked.is_none() && view.is_open() {
                let others = retained - view.retained_now();
                let wanted = view.ledger.bytes();
                if others + wanted > capacity {
                    cx.counters.queue_full += 1;
                    if any_live && view.is_stale() {
                        hopeless = Some(view.handle);
                    }
                    continue;
                }
                retained = others + wanted;
                view.remarks_mut().retained_bytes = wanted;
                view.remarks_mut().retain_asked = Some(until);
                cx.out
                    .send(view.handle, ToSubflow::Retain { until: number });
            }
        }
        if let Some(handle) = hopeless {
            let reason = Some(ResetReason::UnacceptablePerformance);
            self.reset_view(handle, reason, cx);
        }
    }
}
