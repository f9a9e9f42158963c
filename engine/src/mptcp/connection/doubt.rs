//! What is done about a path before it has failed for certain, and what the peer is told when it has:
//! latency lies in the time until then (RFC 8684 sections 3.3.6 and 3.3.8 leave both to each side).
//!
//! A subflow whose peer is silent goes through three steps: an acknowledgment is overdue and a probe
//! goes, the probe goes unanswered, a retransmission timeout passes. The first is reason enough to
//! send the same bytes elsewhere where a needless copy costs little; with the second, which only
//! the latency profiles ask for, and the third the path counts as failed.

use super::Connection;
use super::Mode;
use super::context::{Context, SubflowHandle};
use super::subflow_view::{Rank, SubflowView};
use crate::mptcp::message::{Progress, ToSubflow};
use crate::socket::Profile;
use crate::time::Duration;
use crate::wire::mptcp_option::MptcpOption;
use core::ops::Range;

/// A path is not silent while others are heard only so much later.
const LEAST_LEAD: Duration = Duration::from_millis(5);

impl Connection {
    /// An acknowledgment is overdue on a subflow.
    pub(super) fn repeat_doubted(&mut self, from: SubflowHandle, cx: &mut Context<'_>) {
        if self.view(from).is_some_and(|view| self.is_repeated(view)) {
            self.reinject_ledger(from, cx);
        }
    }

    /// What is overdue goes out elsewhere too: all of it in the latency profile with overflow, a
    /// single segment in others. Not where one subflow is to carry everything until it fails.
    fn is_repeated(&self, view: &SubflowView) -> bool {
        if self.scheduler.keeps_to_one() {
            return false;
        }
        self.policy.profile == Profile::LatencyOverflow
            || view.ledger.bytes() <= view.segment_size().into()
    }

    /// The latency profile with overflow: new bytes were granted. Where the peer has sent on another
    /// subflow of late and is not heard on theirs, it may have moved from a path that is dead, and
    /// they go out on another one too.
    pub(super) fn accompany(&mut self, index: usize, granted: Range<u64>, cx: &mut Context<'_>) {
        let Some(view) = self.views.get(index) else {
            return;
        };
        let patience = view.progress.smoothed_rtt.unwrap_or_default();
        let moved = |other: &SubflowView| {
            let lead = other.data_at.saturating_since(view.heard_at);
            other.handle != view.handle && !other.is_stale() && lead > patience.max(LEAST_LEAD)
        };
        let multipath = matches!(self.mode, Mode::Multipath { .. });
        if multipath
            && self.policy.profile == Profile::LatencyOverflow
            && self.views.iter().any(moved)
            && !self.send.ask_reinjection(granted)
        {
            cx.counters.queue_full += 1;
        }
    }

    /// The latency profile with overflow: what a subflow lost goes out on another at once, while
    /// it is repaired there. That follows from its report `before` and the one now.
    pub(super) fn repeat_losses(
        &mut self,
        from: SubflowHandle,
        before: &Progress,
        cx: &mut Context<'_>,
    ) {
        if self.policy.profile != Profile::LatencyOverflow {
            return;
        }
        let Some(view) = self.view(from) else {
            return;
        };
        let now = &view.progress;
        let repaired = now.retransmissions.saturating_sub(before.retransmissions);
        let length = repaired
            .saturating_mul(view.segment_size().into())
            .saturating_add(now.lost.into())
            .saturating_sub(before.lost.into());
        let Some(head) = view.ledger.ranges().next().filter(|_| length > 0) else {
            return;
        };
        let end = head.end.min(head.start.saturating_add(length));
        if !self.send.ask_reinjection(head.start..end) {
            cx.counters.queue_full += 1;
        }
    }

    /// While the regular subflows are silent the peer is told to use the backups, for to it the
    /// others may look alive until its own timeouts have passed; and to spare them again as soon as
    /// a regular one is heard.
    pub(super) fn call_up_backups(&mut self, cx: &mut Context<'_>) {
        let is_regular = |view: &SubflowView| view.is_ready() && !view.is_backup();
        let lives = |view: &SubflowView| view.is_ready() && view.rank() == Rank::Regular;
        let needed = self.views.iter().any(is_regular) && !self.views.iter().any(lives);
        for view in &mut self.views {
            let wanted = needed && view.path.backup;
            if !view.is_ready() || view.called_up == wanted || (needed && view.is_stale()) {
                continue;
            }
            view.called_up = wanted;
            cx.counters.priority_sent += 1;
            let option = MptcpOption::Priority { backup: !wanted };
            cx.out.send(view.handle, ToSubflow::Signal(option));
        }
    }

    /// The peer makes a path a backup, or calls it up. It does the latter when it hears nothing on
    /// its regular paths, so what is under way there has likely not arrived, and what comes next
    /// would not either. Where they work all the same, the next acknowledgment shows it.
    pub(super) fn on_priority(&mut self, from: SubflowHandle, backup: bool, cx: &mut Context<'_>) {
        let Some(view) = self.view_mut(from) else {
            return;
        };
        let called_up = view.remote_backup && !backup;
        view.remote_backup = backup;
        if !called_up || !matches!(self.mode, Mode::Multipath { .. }) {
            return;
        }
        for index in 0..self.views.len() {
            if let Some(view) = self.views.get(index)
                && view.handle != from
                && view.is_ready()
                && view.rank() == Rank::Regular
                && !view.ledger.is_empty()
            {
                self.on_stalled(view.handle, cx);
            }
        }
    }
}
