//! Acting on the signs that MPTCP does not work (RFC 8684 section 3.7); which are legal is
//! [`super::fallback`]'s to say.

use super::context::{ConnectionEvent, Context, SubflowHandle};
use super::error::ConnectionError;
use super::fallback::{Sign, Standing, Verdict};
use super::send::Fin;
use super::{Connection, Mode};
use crate::mptcp::message::{FallbackReason, ResetOptions, ToSubflow};
use crate::sequence::DataSequenceNumber;
use crate::time::Duration;
use crate::wire::mptcp_option::{MptcpOption, ResetReason};

/// How many data-level timeouts the echo of an MP_FAIL may take.
const ECHO_TIMEOUTS: u32 = 4;

impl Connection {
    /// Where the connection stands with regard to fallback.
    pub(super) fn standing(&self) -> Standing {
        match self.mode {
            Mode::Opening => Standing::Opening,
            Mode::Fallback(_) => Standing::FallenBack,
            Mode::AwaitingEcho { .. } => Standing::AwaitingEcho,
            Mode::Multipath { .. } if self.views.len() > 1 => Standing::Several,
            Mode::Multipath { .. } if self.ever_joined => Standing::Survivor,
            Mode::Multipath { confirmed: true } => Standing::Sole,
            Mode::Multipath { confirmed: false } => Standing::Unconfirmed,
        }
    }

    /// A subflow has found that its path does not carry MPTCP.
    pub(super) fn on_subflow_fell_back(
        &mut self,
        from: SubflowHandle,
        reason: FallbackReason,
        next: DataSequenceNumber,
        cx: &mut Context<'_>,
    ) {
        let contiguous = self.receive.is_contiguous_at(next) && self.sends_alone(from);
        let sign = match reason {
            FallbackReason::PeerFellBack if contiguous => Sign::InfiniteMapping,
            FallbackReason::PeerFellBack => Sign::InfiniteMappingWithGaps,
            _ => Sign::OptionsLost,
        };
        self.act(from, sign, reason, None, cx);
    }

    pub(super) fn on_bad_mapping(&mut self, from: SubflowHandle, cx: &mut Context<'_>) {
        cx.counters.bad_mapping += 1;
        let reason = FallbackReason::NoMapping;
        self.act(from, Sign::BadMapping, reason, None, cx);
    }

    pub(super) fn on_checksum_failed(
        &mut self,
        from: SubflowHandle,
        data_sequence: DataSequenceNumber,
        cx: &mut Context<'_>,
    ) {
        cx.counters.data_checksum_errors += 1;
        let sign = if self.receive.is_contiguous_at(data_sequence) && self.sends_alone(from) {
            Sign::ChecksumFailed
        } else {
            Sign::ChecksumFailedWithGaps
        };
        let reason = FallbackReason::ChecksumFailed;
        self.act(from, sign, reason, Some(data_sequence), cx);
    }

    pub(super) fn on_fail(&mut self, from: SubflowHandle, cx: &mut Context<'_>) {
        cx.counters.fail_received += 1;
        // What comes after a fallback is placed by order, so none may wait behind a hole.
        let contiguous = self.sends_alone(from) && self.receive.is_contiguous();
        let sign = if contiguous {
            Sign::Fail
        } else {
            Sign::FailWithGaps
        };
        self.act(from, sign, FallbackReason::PeerFellBack, None, cx);
    }

    /// True when all that the peer has not acknowledged at data level went out on this subflow, in
    /// order: only then can the stream go on there without mappings.
    fn sends_alone(&self, on: SubflowHandle) -> bool {
        let end = self.send.data_nxt();
        let outstanding = self.send.snd_una.min(end)..end;
        self.view(on)
            .is_some_and(|view| view.ledger.carries_alone(&outstanding))
    }

    fn act(
        &mut self,
        on: SubflowHandle,
        sign: Sign,
        reason: FallbackReason,
        failed: Option<DataSequenceNumber>,
        cx: &mut Context<'_>,
    ) {
        let standing = self.standing();
        match standing.judge(sign) {
            Verdict::Ignore => {}
            Verdict::FallBack => self.fall_back(reason, cx),
            Verdict::FallBackInfinite => {
                if sign == Sign::Fail && standing != Standing::AwaitingEcho {
                    self.signal_fail(on, self.receive.data_ack(), cx);
                }
                let infinite = Some(
                    self.send
                        .number(self.send.snd_una.min(self.send.data_nxt())),
                );
                cx.counters.infinite_map_sent += 1;
                cx.out.send(on, ToSubflow::FallBack { infinite });
                let reason = match standing {
                    Standing::AwaitingEcho => FallbackReason::ChecksumFailed,
                    _ => reason,
                };
                self.fall_back(reason, cx);
            }
            Verdict::AwaitEcho => {
                self.signal_fail(on, failed.unwrap_or(self.receive.data_ack()), cx);
                let timeout = self.data_timeout().max(Duration::from_secs(1)) * ECHO_TIMEOUTS;
                self.mode = Mode::AwaitingEcho {
                    due: cx.now + timeout,
                };
                self.paths.stop();
            }
            Verdict::ResetSubflow => {
                cx.counters.fallback_refused += 1;
                self.reset_view(on, Some(ResetReason::MiddleboxInterference), cx);
            }
            Verdict::ResetSubflowFail => {
                cx.counters.fail_sent += 1;
                let data_sequence = failed.unwrap_or(self.receive.data_ack());
                let options = ResetOptions::from([
                    MptcpOption::Fail { data_sequence },
                    MptcpOption::Reset {
                        transient: false,
                        reason: ResetReason::MiddleboxInterference,
                    },
                ]);
                self.reset_view_with(on, options, cx);
            }
        }
    }

    /// The peer's stream has ended and no DSS was ever heard: a peer that spoke MPTCP would have put a
    /// DATA_ACK on the FIN at least. True when the connection is regular TCP now, where that FIN is the
    /// end of the data.
    pub(super) fn fall_back_unheard(&mut self, on: SubflowHandle, cx: &mut Context<'_>) -> bool {
        let legal = self.standing().judge(Sign::OptionsLost) == Verdict::FallBack;
        if legal {
            cx.out.send(on, ToSubflow::FallBack { infinite: None });
            self.fall_back(FallbackReason::OptionsStripped, cx);
        }
        legal
    }

    fn signal_fail(
        &self,
        on: SubflowHandle,
        data_sequence: DataSequenceNumber,
        cx: &mut Context<'_>,
    ) {
        cx.counters.fail_sent += 1;
        let option = MptcpOption::Fail { data_sequence };
        cx.out.send(on, ToSubflow::Signal(option));
    }

    /// Regular TCP from here on, for good.
    fn fall_back(&mut self, reason: FallbackReason, cx: &mut Context<'_>) {
        self.mode = Mode::Fallback(reason);
        self.publish();
        self.paths.stop();
        self.join_due = None;
        self.send.reinject.clear();
        self.send.timer = None;
        if self.send.fin == Fin::Sent {
            // The DATA_FIN has no meaning any more; the FIN takes its place.
            self.send.fin = Fin::Wanted;
            self.send.snd_nxt = self.send.buffer.end();
        }
        if let Some(view) = self.views.first() {
            let acknowledged = view.ledger.lowest().unwrap_or(self.send.data_nxt());
            let edge = acknowledged.saturating_add(u64::from(view.progress.window));
            let finished = view.finished;
            self.send.advance_una(acknowledged);
            self.send.widen_window(edge);
            if finished && self.state.can_receive() {
                self.receive.finish_here();
                self.on_peer_finished(cx);
            }
        }
        cx.counters.count_fallback(reason);
        cx.out.events.push_back(ConnectionEvent::FellBack(reason));
        self.release_acknowledged(cx);
    }

    /// The echo of MP_FAIL has not come.
    pub(super) fn on_echo_timeout(&mut self, cx: &mut Context<'_>) {
        self.mode = Mode::Multipath { confirmed: true };
        self.fail(ConnectionError::Aborted, cx);
        let options = ResetOptions::from_iter([MptcpOption::Reset {
            transient: false,
            reason: ResetReason::MiddleboxInterference,
        }]);
        self.reset_all(&options, None, cx);
    }
}
