//! A segment comes in.

use super::inflow::Passage;
use super::{Fin, Input, Outbox, Phase, Subflow};
use crate::mptcp::message::{Numbering, Published, ToHome};
use crate::storage::frame::FramePool;
use crate::tcp::{Payload, Received, State};
use crate::time::Instant;
use crate::wire::mptcp_option::MptcpOption;
use crate::wire::tcp::{TcpFlags, TcpHeader};

impl Subflow {
    /// Takes a segment of this subflow. Messages to home go to `out`, which the caller carries off
    /// before the next call; [`Self::take_end`] is to be asked after this one.
    #[expect(
        clippy::too_many_arguments,
        reason = "a segment, what surrounds it, and the two places its parts go to"
    )]
    pub fn receive(
        &mut self,
        now: Instant,
        header: &TcpHeader,
        payload: Option<Payload>,
        marked_ce: bool,
        home: &Published,
        pool: &mut FramePool,
        out: &mut Outbox<ToHome>,
    ) {
        if self.overtook_the_key(header) || self.lacks_room_for_mapping(header) {
            self.inflow.dropped += 1;
            if let Some(payload) = payload {
                pool.put(payload.frame);
            }
            return;
        }
        self.adopt_window(home);
        let has_payload = payload.is_some();
        let received = self
            .tcp
            .receive(now, header, payload, marked_ce, home.coupling, pool);
        self.shake_hands(header, &received, out);
        // Before the DATA_ACK beside it: else home would take for held back by this subflow what
        // the same segment has acknowledged on it.
        self.report_progress(out);
        if received.acceptable {
            self.signals.resume();
            self.read_options(header, home, out);
            self.judge_acknowledgment(header, &received, out);
            self.judge_answer(header, has_payload, out);
        }
        self.outflow.release(self.tcp.acknowledged_offset());
        self.pass_data(now, pool, out);
        if received.fin {
            self.fin = Fin::InOrder;
        }
        self.finish(out);
        if self.signals.next().is_some() {
            self.tcp.request_ack();
        }
        self.review_allowance(out);
    }

    /// True for a segment with a DSS that came before the one with the peer's key. Taken as lost it
    /// comes again; taken in it would look like a path that strips MP_CAPABLE.
    fn overtook_the_key(&self, header: &TcpHeader) -> bool {
        let has = |wanted: fn(&MptcpOption) -> bool| header.options.mptcp.iter().any(wanted);
        self.phase == Phase::CapableSynReceived
            && !header.flags.contains(TcpFlags::RST)
            && has(|option| matches!(option, MptcpOption::Dss(_)))
            && !has(|option| matches!(option, MptcpOption::CapableAck { .. }))
    }

    /// Moves the handshake on.
    fn shake_hands(&mut self, header: &TcpHeader, received: &Received, out: &mut Outbox<ToHome>) {
        if received.reset {
            return;
        }
        let options = &header.options.mptcp;
        match self.phase {
            Phase::CapableSynSent | Phase::JoinSynSent => {
                if received.established {
                    let input = self.handshake.on_syn_ack(options);
                    self.step(input, out);
                } else if self.tcp.state() == State::SynReceived {
                    self.step(Input::CrossedSyn, out);
                }
                if received.established {
                    self.timestamps &= header.options.timestamps.is_some();
                }
            }
            Phase::CapableSynReceived | Phase::JoinSynReceived => {
                if received.established {
                    let input = self.handshake.on_third_ack(options);
                    self.step(input, out);
                }
            }
            Phase::PreEstablished => {
                // A repeated SYN/ACK is no answer to the third ACK.
                if received.acceptable && !header.flags.contains(TcpFlags::SYN) {
                    self.join_ack.stop();
                    self.step(Input::Segment, out);
                }
            }
            Phase::Plain(reason) => {
                if received.established {
                    self.timestamps &= header.options.timestamps.is_some();
                    let plain = crate::mptcp::message::Establishment::Plain(reason);
                    self.tell_establishment(plain, out);
                }
            }
            Phase::Unconfirmed(_) | Phase::Confirmed(_) | Phase::Reset => {}
        }
    }

    /// Data acknowledged by a segment without any option of MPTCP: the path does not carry them.
    /// Any option counts, for a long one may leave no space for a DATA_ACK.
    fn judge_acknowledgment(
        &mut self,
        header: &TcpHeader,
        received: &Received,
        out: &mut Outbox<ToHome>,
    ) {
        if received.acked == 0 || !header.options.mptcp.is_empty() {
            return;
        }
        let acknowledged = self.tcp.acknowledged_offset();
        if self.step(Input::BareAcknowledgment, out) && matches!(self.phase, Phase::Plain(_)) {
            self.outflow.declare_infinite_from(acknowledged);
        }
    }

    /// The DATA_FIN was taken in, and its answer lacks the DATA_ACK. Where there was data, the
    /// acknowledgment of that tells.
    fn judge_answer(&mut self, header: &TcpHeader, has_payload: bool, out: &mut Outbox<ToHome>) {
        let is_reset = header.flags.contains(TcpFlags::RST);
        let never_sent = self.tcp.sent_offset() == 0;
        if !is_reset && never_sent && self.unanswered.is_proved_by(header, has_payload) {
            self.step(Input::BareAnswer, out);
        }
    }

    /// Passes on to home what is in order and numbered.
    pub(super) fn pass_data(
        &mut self,
        now: Instant,
        pool: &mut FramePool,
        out: &mut Outbox<ToHome>,
    ) {
        loop {
            if !self.phase.carries_data() {
                return;
            }
            let piece = if self.inflow.has_room() {
                self.tcp.take_in_order()
            } else {
                None
            };
            let last = piece.is_none();
            if let Some(piece) = piece {
                self.inflow.push(piece, pool);
            }
            if self.inflow.is_blocked() {
                return;
            }
            let numbering = match self.phase {
                Phase::Plain(_) => Numbering::Identity,
                _ => Numbering::Mapped,
            };
            match self.inflow.pass(numbering, pool, out) {
                Passage::Clear if last => return,
                Passage::Clear => {}
                Passage::Corrupt(data_sequence) => {
                    self.inflow.block();
                    out.push(ToHome::ChecksumFailed { data_sequence });
                    return;
                }
                // Before MPTCP is confirmed a missing mapping is judged at once.
                Passage::Unmapped if self.step(Input::UnmappedData, out) => {}
                Passage::Unmapped if self.inflow.is_overdue(now) => {
                    self.report_bad_mapping(out);
                    return;
                }
                Passage::Unmapped if last => return,
                Passage::Unmapped => {}
            }
        }
    }

    /// Tells home of the peer's FIN after all data before it. Data that still lacks its mapping by
    /// then will never have one.
    pub(super) fn finish(&mut self, out: &mut Outbox<ToHome>) {
        if self.fin != Fin::InOrder || !self.phase.carries_data() {
            return;
        }
        if self.inflow.holds_data() {
            self.report_bad_mapping(out);
        } else {
            self.fin = Fin::Told;
            out.push(ToHome::Finished);
        }
    }
}
