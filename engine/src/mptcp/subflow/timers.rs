//! The timers a subflow has besides those of TCP.

use super::{Outbox, Phase, Subflow};
use crate::mptcp::message::ToHome;
use crate::storage::frame::FramePool;
use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::ResetReason;

/// How often the third ACK of a join is sent again before the subflow is given up.
const JOIN_ACK_RETRIES: u8 = 6;

/// The first pause when TCP has no estimate (RFC 6298 section 2.1).
const INITIAL_PAUSE: Duration = Duration::from_secs(1);

/// Sends the third ACK of a join again until the peer answers it (RFC 8684 section 3.2).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct JoinAckTimer {
    due: Option<Instant>,
    sent: u8,
}

impl JoinAckTimer {
    /// The ACK has gone; the pauses double.
    pub(super) fn sent(&mut self, now: Instant, timeout: Duration) {
        let pause = if timeout.is_zero() {
            INITIAL_PAUSE
        } else {
            timeout
        };
        let doublings = u32::from(self.sent.min(JOIN_ACK_RETRIES));
        self.due = Some(now + pause.saturating_mul(1 << doublings));
        self.sent = self.sent.saturating_add(1);
    }

    /// The peer has answered.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }
}

impl Subflow {
    /// When to call [`Self::advance`] next.
    pub fn next_timeout(&self) -> Option<Instant> {
        [
            self.tcp.next_timeout(),
            self.join_ack.due,
            self.inflow.patience(),
            self.signals.resume_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Fires the timers that are due; [`Self::take_end`] is to be asked after this.
    pub fn advance(&mut self, now: Instant, pool: &mut FramePool, out: &mut Outbox<ToHome>) {
        let advanced = self.tcp.advance(now);
        if advanced.stalled && self.phase.carries_data() {
            out.push(ToHome::Stalled);
        }
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.join_ack.due) {
            self.join_ack.due = None;
            if self.phase != Phase::PreEstablished {
                self.join_ack.stop();
            } else if self.join_ack.sent > JOIN_ACK_RETRIES {
                self.refuse(ResetReason::UnacceptablePerformance, out);
            } else {
                self.tcp.request_ack();
            }
        }
        if due(self.inflow.patience()) {
            self.pass_data(now, pool, out);
        }
        if due(self.signals.resume_at()) {
            self.signals.resume();
            if self.signals.next().is_some() {
                self.tcp.request_ack();
            }
        }
        self.report_progress(out);
        self.review_allowance(out);
    }
}
