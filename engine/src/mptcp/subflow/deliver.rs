//! A message from home comes in.

use super::outflow::SendBytes;
use super::{Input, Outbox, Phase, Step, Subflow};
use crate::mptcp::message::{FallbackReason, ToHome, ToSubflow};
use crate::sequence::DataSequenceNumber;
use crate::storage::frame::FramePool;
use crate::time::Instant;
use crate::wire::mptcp_option::ResetReason;

impl Subflow {
    /// Takes a message of home. `source` is the connection's send buffer, which only
    /// [`ToSubflow::Retain`] reads; frames come from and go to `pool`.
    pub fn deliver(
        &mut self,
        now: Instant,
        message: ToSubflow,
        source: &impl SendBytes,
        pool: &mut FramePool,
        out: &mut Outbox<ToHome>,
    ) {
        if self.phase == Phase::Reset {
            return;
        }
        match message {
            ToSubflow::Grant(grant) => {
                self.outflow
                    .grant(grant.data_sequence, grant.length, grant.checksum);
                self.tcp.queue(grant.length.into(), grant.push);
            }
            ToSubflow::DataFin { data_sequence } => {
                if self.phase.is_multipath() {
                    self.outflow.data_fin = Some(data_sequence);
                    self.tcp.request_ack();
                }
            }
            ToSubflow::DataAckMoved => {
                if !self.tcp.owes_ack() {
                    self.tcp.request_ack();
                }
            }
            ToSubflow::Allowance { granted } => self.take_allowance(granted),
            ToSubflow::Acknowledge => self.tcp.request_ack(),
            ToSubflow::Signal(option) => {
                if self.phase.is_multipath() {
                    self.signals.push(option);
                    if self.signals.next().is_some() {
                        self.tcp.request_ack();
                    }
                }
            }
            ToSubflow::Probe => {
                // The answer counts even if it repeats what was heard before.
                self.reported_data_ack = None;
                self.unanswered.ask();
                self.tcp.request_probe();
            }
            ToSubflow::FallBack { infinite } => self.fall_back(now, infinite, pool, out),
            ToSubflow::SetBackup(backup) => self.handshake.set_backup(backup),
            ToSubflow::Retain { until } => self.retain(until, source, out),
            ToSubflow::SlowDown => self.tcp.slow_down(now),
            ToSubflow::SetController(kind) => self.tcp.set_controller(kind),
            ToSubflow::SetShift(alpha) => self.tcp.set_shift(alpha),
            ToSubflow::SetNoDelay(nodelay) => self.tcp.set_nodelay(nodelay),
            ToSubflow::SetCork(cork) => self.tcp.set_cork(cork),
            ToSubflow::SetKeepalive(keepalive) => self.tcp.set_keepalive(keepalive),
            ToSubflow::SetUserTimeout(timeout) => self.tcp.set_user_timeout(timeout),
            ToSubflow::Close => {
                self.closing = true;
                self.close_in_turn();
            }
            ToSubflow::Reset { options } => self.reset(options, out),
        }
    }

    fn fall_back(
        &mut self,
        now: Instant,
        infinite: Option<DataSequenceNumber>,
        pool: &mut FramePool,
        out: &mut Outbox<ToHome>,
    ) {
        match self
            .phase
            .on(Input::FallBack(FallbackReason::ChecksumFailed))
        {
            Step::To(next) => self.fall_to(next),
            Step::Refuse(reason) => self.refuse(reason, out),
            // The subflow may have found out first.
            Step::Stay => {}
        }
        if !matches!(self.phase, Phase::Plain(_)) {
            return;
        }
        if let Some(data_sequence) = infinite {
            self.outflow.declare_infinite(data_sequence);
        }
        self.pass_data(now, pool, out);
        self.finish(out);
        self.review_allowance(out);
    }

    fn retain(
        &mut self,
        until: DataSequenceNumber,
        source: &impl SendBytes,
        out: &mut Outbox<ToHome>,
    ) {
        let acknowledged = self.tcp.acknowledged_offset();
        if self.outflow.retain(until, acknowledged, source) {
            out.push(ToHome::Retained);
        } else {
            // The stream has a hole that this side can never fill.
            self.refuse(ResetReason::LackOfResources, out);
        }
    }
}
