//! Sending what was planned: headers, SND.NXT, timers (RFC 9293 section 3.10.3).

use super::recovery::{ProbeAnswer, TailLossProbe};
use super::segment::{Content, Emission, Plan, PlanKind};
use super::space::position_of;
use super::state::State;
use super::tcb::Tcb;
use super::timestamp;
use crate::sequence::SequenceNumber;
use crate::time::Instant;
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_option::{OPTION_SPACE, TcpOptions};

/// Bytes of the timestamps option, unpadded.
const TIMESTAMPS: usize = 10;
/// Bytes of kind and length of the SACK option, and of a block.
const SACK_HEADER: usize = 2;
const SACK_BLOCK: usize = 8;

impl Tcb {
    /// Sends what was planned: builds the header, moves SND.NXT and arms the timers.
    ///
    /// `plan` is what [`Self::plan`] gave since the last change of this `Tcb`.
    pub fn commit(&mut self, now: Instant, plan: Plan, content: Content) -> Emission {
        self.clock = now;
        match plan.kind {
            PlanKind::Syn { .. } | PlanKind::SynAck => self.emit_syn(now, plan),
            PlanKind::Data { retransmission } => self.emit_data(now, plan, content, retransmission),
            PlanKind::Fin => self.emit_fin(now, plan, content),
            PlanKind::Ack => {
                let sequence = self.send.space.sequence(self.send.nxt);
                self.emit_bare(now, plan, content, sequence, TcpFlags::ACK)
            }
            PlanKind::Probe => {
                self.due.probe = false;
                // A byte before SND.UNA is never acceptable, so it must be answered.
                let sequence = self.send.space.sequence(self.send.una) - 1;
                self.emit_bare(now, plan, content, sequence, TcpFlags::ACK)
            }
            PlanKind::Reset => self.emit_reset(plan),
        }
    }

    fn emit_syn(&mut self, now: Instant, plan: Plan) -> Emission {
        let first = self.handshake.attempts == 0;
        self.handshake.due = false;
        self.handshake.attempts = self.handshake.attempts.saturating_add(1);
        self.handshake.sent_at = now;
        self.send.nxt = 1;
        self.send.timeout_from = now;
        if first {
            self.send.progress_at = now;
        }
        let mut header = TcpHeader {
            sequence: self.send.space.initial(),
            flags: TcpFlags::SYN,
            ..TcpHeader::default()
        };
        header.options.maximum_segment_size = Some(self.config.maximum_segment_size);
        if let Some(receive) = &mut self.receive {
            header.flags |= TcpFlags::ACK;
            header.flags.set(TcpFlags::ECE, self.ecn.is_negotiated());
            header.acknowledgment = receive.next_sequence();
            header.window = receive.window.unscaled_field();
            header.options.sack_permitted = self.sack;
            header.options.window_scale = self.send_scale.map(|_| self.config.window_scale.min(14));
            let offset = self.timestamp_offset;
            header.options.timestamps = self
                .timestamps
                .map(|state| timestamp::stamp(now, offset, state.recent()));
            receive.acknowledged = receive.nxt;
            self.acknowledgment.sent();
        } else {
            // Middleboxes that drop a SYN with ECN get one without (RFC 3168 section 6.1.1.1).
            header
                .flags
                .set(TcpFlags::ECE | TcpFlags::CWR, self.config.ecn && first);
            header.window = u16::try_from(self.config.receive_window).unwrap_or(u16::MAX);
            header.options.sack_permitted = self.config.sack;
            header.options.window_scale = Some(self.config.window_scale.min(14));
            header.options.timestamps = self
                .config
                .timestamps
                .then(|| timestamp::stamp(now, self.timestamp_offset, 0));
        }
        self.emission(plan, header)
    }

    fn emission(&self, plan: Plan, header: TcpHeader) -> Emission {
        Emission {
            header,
            offset: plan.offset,
            length: 0,
            segment_size: u16::try_from(self.segment_payload()).unwrap_or(u16::MAX),
            retransmission: false,
            fin: false,
            ecn_capable: false,
        }
    }

    /// Options of a segment after the handshake, and the bytes of all its options.
    fn options(&self, now: Instant, mptcp_option_length: usize) -> (TcpOptions, usize) {
        let mut options = TcpOptions::default();
        let mut length = mptcp_option_length;
        // One option leaves them no space: ADD_ADDR with an IPv6 address, a port and its HMAC.
        let fits = mptcp_option_length + TIMESTAMPS <= OPTION_SPACE;
        if let Some(state) = self.timestamps.filter(|_| fits) {
            options.timestamps = Some(timestamp::stamp(now, self.timestamp_offset, state.recent()));
            length += TIMESTAMPS;
        }
        if let Some(receive) = self.receive.as_ref().filter(|_| self.sack) {
            let room = OPTION_SPACE.saturating_sub(length + SACK_HEADER) / SACK_BLOCK;
            options.sack = self.queue.sack_blocks(receive.space, room);
            if !options.sack.is_empty() {
                length += SACK_HEADER + options.sack.len() * SACK_BLOCK;
            }
        }
        (options, length.next_multiple_of(4))
    }

    /// A header with acknowledgment, window and options; tells the bytes of all options.
    fn header(
        &mut self,
        now: Instant,
        sequence: SequenceNumber,
        flags: TcpFlags,
        mptcp_option_length: usize,
    ) -> (TcpHeader, usize) {
        let (options, option_length) = self.options(now, mptcp_option_length);
        if !options.sack.is_empty() {
            self.queue.blocks_sent();
        }
        let segment = self.segment_payload();
        let mut header = TcpHeader {
            sequence,
            flags,
            options,
            ..TcpHeader::default()
        };
        if let Some(receive) = &mut self.receive {
            header.acknowledgment = receive.next_sequence();
            header.window = receive.window.field(receive.nxt, segment);
            receive.window.advertised(receive.nxt, header.window);
            receive.acknowledged = receive.nxt;
        }
        self.acknowledgment.sent();
        (header, option_length)
    }

    /// A segment without data that takes no sequence number.
    fn emit_bare(
        &mut self,
        now: Instant,
        plan: Plan,
        content: Content,
        sequence: SequenceNumber,
        flags: TcpFlags,
    ) -> Emission {
        let flags = flags | self.ecn.flags(false);
        let (header, _) = self.header(now, sequence, flags, content.mptcp_option_length);
        self.emission(plan, header)
    }

    fn emit_reset(&mut self, plan: Plan) -> Emission {
        let mut header = TcpHeader {
            flags: TcpFlags::RST,
            ..TcpHeader::default()
        };
        if let Some(sequence) = self.due.stray_reset.take() {
            header.sequence = sequence;
        } else {
            self.due.reset = false;
            header.sequence = self.send.space.sequence(self.send.nxt);
            if let Some(receive) = &self.receive {
                header.flags |= TcpFlags::ACK;
                header.acknowledgment = receive.next_sequence();
            }
        }
        self.emission(plan, header)
    }

    fn emit_data(
        &mut self,
        now: Instant,
        plan: Plan,
        content: Content,
        retransmission: bool,
    ) -> Emission {
        let start = position_of(plan.offset);
        let sequence = self.send.space.sequence(start);
        if !retransmission {
            self.resume_after_idle(now);
        }
        let split = if self.ecn.cwr_is_due() {
            1
        } else {
            u32::from(content.max_segments.max(1))
        };
        let (mut header, option_length) =
            self.header(now, sequence, TcpFlags::ACK, content.mptcp_option_length);
        let segment_size = self
            .maximum_segment()
            .saturating_sub(u32::try_from(option_length).unwrap_or(0))
            .max(1);
        let length = plan
            .available
            .min(content.max_payload)
            .min(content.max_frame_payload)
            .min(segment_size.saturating_mul(split))
            .max(1);
        self.mptcp_option_length = u16::try_from(content.mptcp_option_length).unwrap_or(0);
        let data_end = start + u64::from(length);
        // The FIN goes with the last byte, be it for the first time or again.
        let fin = self.send.is_closing()
            && data_end == self.send.data_end()
            && (!retransmission || self.send.fin_is_sent());
        let end = data_end + u64::from(fin);
        header.flags.set(TcpFlags::FIN, fin);
        header.flags |= self.ecn.flags(!retransmission);
        let pushed =
            data_end == self.send.data_end() || (start..data_end).contains(&self.send.push());
        header.flags.set(TcpFlags::PSH, pushed);
        self.record(now, start, end, retransmission);
        if retransmission {
            let segments = length.div_ceil(segment_size);
            self.recovery.retransmissions += u64::from(segments);
        } else if length % segment_size != 0 && data_end == self.send.data_end() {
            // One that others follow was cut short by its mapping, not by a writer of little.
            self.send.small_end = end;
        }
        Emission {
            header,
            offset: plan.offset,
            length,
            segment_size: u16::try_from(segment_size).unwrap_or(u16::MAX),
            retransmission,
            fin,
            ecn_capable: self.ecn.is_negotiated() && !retransmission,
        }
    }

    fn emit_fin(&mut self, now: Instant, plan: Plan, content: Content) -> Emission {
        let retransmission = self.send.fin_is_sent();
        let position = self.send.data_end();
        let sequence = self.send.space.sequence(position);
        let flags = TcpFlags::FIN | TcpFlags::ACK | self.ecn.flags(false);
        let (header, _) = self.header(now, sequence, flags, content.mptcp_option_length);
        self.record(now, position, position + 1, retransmission);
        self.recovery.retransmissions += u64::from(retransmission);
        let mut emission = self.emission(plan, header);
        emission.fin = true;
        emission.retransmission = retransmission;
        emission
    }

    /// Books `start..end` as sent.
    fn record(&mut self, now: Instant, start: u64, end: u64, retransmission: bool) {
        let stamp = self
            .timestamps
            .map(|_| timestamp::value(now, self.timestamp_offset));
        let head = start == self.send.una;
        if self.send.outstanding() == 0 {
            self.send.progress_at = now;
            self.send.timeout_from = now;
        } else if retransmission && head {
            self.send.timeout_from = now;
        }
        self.recovery.sent(end - start, retransmission, stamp);
        if retransmission {
            self.scoreboard.retransmitted(start, end, now);
        } else {
            self.scoreboard.push(start, end, now);
            self.send.nxt = self.send.nxt.max(end);
            self.send.activity_at = now;
        }
        if self.due.tail_probe {
            self.due.tail_probe = false;
            self.send.timeout_from = now;
            self.recovery.probe = Some(TailLossProbe {
                end: self.send.nxt,
                retransmission,
                sent_at: now,
                answer: ProbeAnswer::Awaited,
            });
        }
        self.due.past_window = false;
        self.due.small = false;
        let pipe = self.pipe();
        self.send.note_flight(pipe);
    }

    /// The window is not trusted after a pause (RFC 5681 section 4.1).
    fn resume_after_idle(&mut self, now: Instant) {
        if self.send.outstanding() > 0 || self.state == State::Closed {
            return;
        }
        let idle = now.saturating_since(self.send.activity_at);
        if !idle.is_zero() && self.send.nxt > 1 {
            self.controller.on_idle(now, idle, self.rtt.timeout());
        }
    }
}
