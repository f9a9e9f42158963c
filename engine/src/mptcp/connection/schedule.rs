//! Which bytes go to which subflow now (RFC 8684 section 3.3.5).

use super::Connection;
use super::Mode;
use super::context::Context;
use super::send::{Fin, Wait};
use super::subflow_view::{Rank, SubflowView};
use crate::mptcp::message::{Grant, ToSubflow};
use crate::mptcp::scheduler::{Candidate, Choice, Demand, SchedulerState, min_rtt};
use crate::time::{Duration, Instant};
use crate::wire::checksum::dss_checksum;
use core::ops::Range;

/// The longest mapping: an IP packet of 64 KiB less the longest headers of IP and TCP, so that a
/// port with segmentation offload carries it in one frame.
pub(super) const MAX_GRANT: u64 = 65_535 - 40 - 60;

/// Grants per call; what is left follows with the next message of a subflow.
const MAX_GRANTS: usize = 256;

impl Connection {
    /// Grants what can be granted, most urgent first: what must travel again, then the further
    /// copies that are wanted, then new data, then the end of the stream. Arms the data-level
    /// timer for what remains.
    pub(super) fn push(&mut self, cx: &mut Context<'_>) {
        if matches!(self.mode, Mode::Opening | Mode::AwaitingEcho { .. }) {
            return;
        }
        for _ in 0..MAX_GRANTS {
            if !self.grant_again(cx) && !self.grant_copy(cx) && !self.grant_new(cx) {
                break;
            }
        }
        let unsent = self.send.unsent();
        if !unsent.is_empty() && unsent.start >= self.send.window_edge {
            self.scheduler.on_window_full();
        }
        self.repeat_head(cx);
        self.finish_stream(cx);
        self.arm_send_timer(cx);
    }

    /// Grants bytes that another subflow carried in vain, on one that does not carry them.
    fn grant_again(&mut self, cx: &mut Context<'_>) -> bool {
        // Each turn but the last takes a range out of the set.
        while let Some(range) = self.send.reinject.first() {
            // Up to the nearest bound of a ledger, so that a subflow carries all of it or nothing.
            let bound = self
                .views
                .iter()
                .filter_map(|view| view.ledger.next_bound(range.start))
                .min();
            let end = range.end.min(range.start + MAX_GRANT);
            let range = range.start..end.min(bound.unwrap_or(end));
            let carries = |view: &SubflowView| view.ledger.overlaps(&range);
            let fresh = |stale: bool| {
                self.views
                    .iter()
                    .any(|view| view.is_ready() && view.is_stale() == stale && !carries(view))
            };
            let carried = self
                .views
                .iter()
                .any(|view| view.is_open() && carries(view));
            // A stale path carries it only where nobody else does.
            let stale = !fresh(false);
            if !stale || (!carried && fresh(true)) {
                return self.grant_again_on(range, stale, cx);
            }
            if !carried {
                // It waits for a subflow to come.
                return false;
            }
            // All that could carry it do so already.
            self.send.reinject.remove_below(range.end);
        }
        false
    }

    fn grant_again_on(&mut self, range: Range<u64>, stale: bool, cx: &mut Context<'_>) -> bool {
        let wanted = range.end - range.start;
        let admits = |view: &SubflowView| view.is_stale() == stale && !view.ledger.overlaps(&range);
        let Some(index) = self.fastest(admits, |_| wanted) else {
            return false;
        };
        let Some(view) = self.views.get(index) else {
            return false;
        };
        let length = grant_length(view, wanted);
        let granted = range.start..range.start + length;
        self.grant(index, granted.clone(), cx);
        self.send.reinject.remove_below(granted.end);
        self.note_reinjected(index, length, cx);
        true
    }

    pub(super) fn note_reinjected(&mut self, index: usize, length: u64, cx: &mut Context<'_>) {
        cx.counters.reinjected_bytes += length;
        self.send.bytes_reinjected += length;
        if let Some(view) = self.views.get_mut(index) {
            view.remarks_mut().bytes_reinjected += length;
        }
    }

    /// Grants bytes that were never granted.
    fn grant_new(&mut self, cx: &mut Context<'_>) -> bool {
        let unsent = self.send.unsent();
        let end = unsent.end.min(self.send.window_edge);
        if unsent.start >= end {
            return false;
        }
        let available = end - unsent.start;
        let small = self.may_send_small(end, unsent.end);
        let wanted = |view: &SubflowView| {
            let tail = available % u64::from(view.segment_size());
            if small { available } else { available - tail }
        };
        if !small && end == unsent.end && self.views.iter().all(|view| wanted(view) == 0) {
            self.hold.note_held(cx.now);
            return false;
        }
        let mut scheduler = self.scheduler;
        let choice = self.pick(&mut scheduler, cx.now, wanted);
        self.scheduler = scheduler;
        let Some(choice) = choice else {
            return false;
        };
        let Some(view) = self.views.get_mut(choice.index) else {
            return false;
        };
        let segment_size = u64::from(view.segment_size());
        let length = grant_length(view, wanted(view).min(choice.limit));
        if length == 0 {
            return false;
        }
        let end = unsent.start + length;
        let aligned = self.send.buffer.aligned_end(unsent.start);
        let granted = unsent.start..aligned.unwrap_or(end).min(end);
        let length = granted.end - granted.start;
        if view.copied_to.max(self.send.snd_una) >= granted.start {
            view.copied_to = granted.end;
        }
        if aligned != Some(granted.end) && !length.is_multiple_of(segment_size) {
            self.send.small_end = granted.end;
            self.hold.note_let_go();
        }
        self.send.snd_nxt = granted.end;
        self.send.last_sent = Some(cx.now);
        self.grant(choice.index, granted.clone(), cx);
        self.accompany(choice.index, granted, cx);
        true
    }

    /// Less than a segment can go out: now, or when more has come together?
    fn may_send_small(&self, end: u64, written: u64) -> bool {
        let idle = self.send.snd_una == self.send.snd_nxt;
        if end < written {
            // The window cuts it short: better wait for it to open than send crumbs.
            return idle;
        }
        if self.send.fin != Fin::Open {
            return true;
        }
        !self.hold.holds() && (self.nodelay || self.send.small_end <= self.send.snd_una)
    }

    /// The scheduler's choice among the subflows of the best rank there is, for new bytes. Each
    /// would take those `wanted` of it.
    fn pick(
        &self,
        scheduler: &mut SchedulerState,
        now: Instant,
        wanted: impl Fn(&SubflowView) -> u64 + Copy,
    ) -> Option<Choice> {
        let alone = self.redundancy() == 1;
        let unsent = self.send.unsent();
        let window = self.send.window_edge.saturating_sub(self.send.snd_una);
        let demand = Demand {
            now,
            queued: unsent.end - unsent.start,
            window: window.min(self.send.buffer.capacity() as u64),
        };
        // One that lags behind in copies leads nowhere.
        let leads = |view: &SubflowView| alone || self.is_offered_all(view);
        scheduler.pick(self.candidates(self.best_rank(), leads, wanted), &demand)
    }

    /// The fastest subflow of the best rank there is that `admits`, if one of them has room for
    /// some of the bytes `wanted` of it: for what has travelled before.
    pub(super) fn fastest(
        &self,
        admits: impl Fn(&SubflowView) -> bool + Copy,
        wanted: impl Fn(&SubflowView) -> u64 + Copy,
    ) -> Option<usize> {
        let ready = self.views.iter().filter(|view| view.is_ready());
        let best = ready
            .filter(|view| admits(view))
            .map(SubflowView::rank)
            .min();
        min_rtt::pick(self.candidates(best, admits, wanted)).map(|choice| choice.index)
    }

    /// The best rank there is.
    pub(super) fn best_rank(&self) -> Option<Rank> {
        let ready = self.views.iter().filter(|view| view.is_ready());
        ready.map(SubflowView::rank).min()
    }

    /// The subflows of a rank that `admits`.
    pub(super) fn candidates(
        &self,
        rank: Option<Rank>,
        admits: impl Fn(&SubflowView) -> bool + Copy,
        wanted: impl Fn(&SubflowView) -> u64 + Copy,
    ) -> impl Iterator<Item = Candidate> + Clone {
        self.views
            .iter()
            .enumerate()
            .filter(move |(_, view)| view.is_ready() && Some(view.rank()) == rank && admits(view))
            .map(move |(index, view)| Candidate {
                index,
                id: view.id,
                room: match grant_length(view, wanted(view)) {
                    0 => 0,
                    _ => view.room(),
                },
                segment_size: view.segment_size(),
                congestion_window: view.progress.congestion_window,
                in_flight: view.in_flight(),
                preferred: view.preferred,
                doubted: view.is_doubted(),
                smoothed_rtt: view.progress.smoothed_rtt,
                rtt_variation: view.progress.rtt_variation,
            })
    }

    /// Gives `range` to the subflow.
    pub(super) fn grant(&mut self, index: usize, range: Range<u64>, cx: &mut Context<'_>) {
        let length = (range.end - range.start) as u16;
        let data_sequence = self.send.number(range.start);
        let push = range.end == self.send.buffer.end();
        let checksum = self.mapping_checksum(index, &range);
        let Some(view) = self.views.get_mut(index) else {
            return;
        };
        view.ledger.push(range);
        view.granted += u64::from(length);
        cx.out.send(
            view.handle,
            ToSubflow::Grant(Grant {
                data_sequence,
                length,
                checksum,
                push,
            }),
        );
    }

    /// The DSS checksum of a mapping, where they are in use.
    fn mapping_checksum(&self, index: usize, range: &Range<u64>) -> Option<u16> {
        let view = self.views.get(index)?;
        if !self.checksum || !matches!(self.mode, Mode::Multipath { .. }) {
            return None;
        }
        let payload = self.send.buffer.pieces(range.clone()).sum();
        Some(dss_checksum(
            payload,
            self.send.number(range.start),
            // Relative to the initial sequence number, which the SYN took (RFC 8684 section 3.3.1).
            (view.granted as u32).wrapping_add(1),
            (range.end - range.start) as u16,
        ))
    }

    /// Sends the end of the stream once all data was granted.
    fn finish_stream(&mut self, cx: &mut Context<'_>) {
        if !self.send.fin_is_due() {
            return;
        }
        if matches!(self.mode, Mode::Fallback(_)) {
            self.send.fin = Fin::Sent;
            self.close_views(cx);
        } else if let Some(handle) = self.best_view(None) {
            let data_sequence = self.send.send_fin();
            cx.out.send(handle, ToSubflow::DataFin { data_sequence });
        }
    }

    /// Starts the data-level timer where no subflow's own timer covers what is awaited.
    fn arm_send_timer(&mut self, cx: &mut Context<'_>) {
        match self.awaited(cx.now) {
            Some(wait) => self.send.start_timer(wait, cx.now, self.data_timeout()),
            None => self.send.timer = None,
        }
    }

    /// What is awaited that no subflow's own timer covers.
    fn awaited(&self, now: Instant) -> Option<Wait> {
        if self.state.is_finished() || !self.views.iter().any(SubflowView::is_ready) {
            return None;
        }
        let again = !self.send.reinject.is_empty();
        let outstanding = self.send.snd_una < self.send.snd_nxt;
        if outstanding && !again && !matches!(self.mode, Mode::Fallback(_)) && !self.head_is_held()
        {
            return Some(Wait::DataAck);
        }
        let wants = again || !self.send.unsent().is_empty();
        let idle = |view: &SubflowView| view.ledger.is_empty() || view.is_stale();
        if wants && self.views.iter().all(idle) && !self.is_held_back(now) {
            return Some(Wait::Window);
        }
        None
    }

    /// Whether a subflow carries the oldest byte that is not acknowledged. A DATA_FIN is held by
    /// nobody, and a stale subflow says nothing of what it holds.
    fn head_is_held(&self) -> bool {
        let head = self.send.snd_una;
        self.views
            .iter()
            .filter(|view| view.is_open() && !view.is_stale())
            .any(|view| view.ledger.ranges().any(|run| run.contains(&head)))
    }

    /// Whether the window has room that nothing goes into. A scheduler that waits for a subflow with
    /// nothing in flight waits for the peer's window on that subflow.
    fn is_held_back(&self, now: Instant) -> bool {
        let mut scheduler = self.scheduler;
        self.send.window_edge > self.send.data_nxt()
            && self.send.reinject.is_empty()
            && self.pick(&mut scheduler, now, |_| u64::MAX).is_some()
    }

    /// How long to wait before doing something again at data level.
    pub(super) fn data_timeout(&self) -> Duration {
        self.views
            .iter()
            .filter(|view| view.is_ready() && !view.is_stale())
            .map(|view| view.progress.retransmission_timeout)
            .max()
            .filter(|timeout| !timeout.is_zero())
            .unwrap_or(Duration::from_secs(1))
            .max(Duration::from_millis(200))
    }
}

/// How much of `available` bytes the subflow gets: whole segments, but for the tail.
pub(super) fn grant_length(view: &SubflowView, available: u64) -> u64 {
    let segment_size = u64::from(view.segment_size());
    let limit = available.min(u64::from(view.room())).min(MAX_GRANT);
    if limit == available {
        return limit;
    }
    let whole = limit - limit % segment_size;
    // A window below one segment still lets an idle subflow move.
    if whole == 0 && view.ledger.is_empty() {
        limit
    } else {
        whole
    }
}
