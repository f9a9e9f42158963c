//! Segments arrive (RFC 9293 section 3.10.7): one function for each of its steps.

use super::receive_queue::Placed;
use super::segment::{Payload, Received};
use super::state::{End, State};
use super::tcb::{ReceiveSequence, Tcb};
use super::timestamp::TimestampState;
use crate::congestion::Coupling;
use crate::storage::frame::FramePool;
use crate::time::Instant;
use crate::wire::mptcp_option::MptcpOption;
use crate::wire::tcp::{TcpFlags, TcpHeader};

/// What RFC 9293 section 3.7.1 assumes of a peer whose SYN has no MSS option.
const DEFAULT_SEGMENT_SIZE: u16 = 536;
/// The least that a peer may make segments: a smaller MSS costs more than it tells.
const LEAST_SEGMENT_SIZE: u16 = 88;

/// A segment with its place in the receive stream.
pub(super) struct Segment<'a> {
    pub(super) header: &'a TcpHeader,
    /// Position of the first byte.
    pub(super) start: u64,
    /// Bytes of payload.
    pub(super) length: u32,
    pub(super) coupling: Coupling,
}

impl Segment<'_> {
    pub(super) fn has(&self, flag: TcpFlags) -> bool {
        self.header.flags.contains(flag)
    }

    /// Position just past payload and FIN.
    fn end(&self) -> u64 {
        self.data_end() + u64::from(self.has(TcpFlags::FIN))
    }

    fn data_end(&self) -> u64 {
        self.start.saturating_add(self.length.into())
    }
}

/// Whether processing goes on with the next step.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Step {
    Next,
    Done,
}

impl Tcb {
    /// Takes a segment (RFC 9293 section 3.10.7). Frames that hold nothing new return to `pool`.
    ///
    /// `marked_ce`: the IP header said "congestion experienced" (RFC 3168).
    pub fn receive(
        &mut self,
        now: Instant,
        header: &TcpHeader,
        payload: Option<Payload>,
        marked_ce: bool,
        coupling: Coupling,
        pool: &mut FramePool,
    ) -> Received {
        self.clock = now;
        let mut received = Received::default();
        let mut payload = payload;
        match self.state {
            State::Closed => {}
            State::SynSent => self.receive_in_syn_sent(now, header, &mut received),
            _ => {
                self.receive_after_syn(
                    now,
                    header,
                    &mut payload,
                    marked_ce,
                    coupling,
                    pool,
                    &mut received,
                );
            }
        }
        if let Some(payload) = payload {
            pool.put(payload.frame);
        }
        received
    }

    /// Section 3.10.7.3.
    fn receive_in_syn_sent(&mut self, now: Instant, header: &TcpHeader, received: &mut Received) {
        let flags = header.flags;
        let syn_is_acknowledged = flags.contains(TcpFlags::ACK);
        if syn_is_acknowledged {
            let acknowledged = self.send.space.position(0, header.acknowledgment);
            if self.send.nxt == 0 || acknowledged != Some(1) {
                if !flags.contains(TcpFlags::RST) {
                    self.due.stray_reset = Some(header.acknowledgment);
                }
                return;
            }
        }
        if flags.contains(TcpFlags::RST) {
            if syn_is_acknowledged {
                received.acceptable = true;
                received.reset = true;
                self.finish(End::Refused);
            }
            return;
        }
        if !flags.contains(TcpFlags::SYN) {
            return;
        }
        received.acceptable = true;
        self.take_syn(now, header);
        self.keepalive.heard(now);
        // Text and FIN of a SYN are left to be sent again: they are rare, and without Fast Open
        // they may not be delivered before the handshake is complete.
        if syn_is_acknowledged {
            self.ecn = super::ecn::Ecn::new(
                self.config.ecn
                    && self.handshake.attempts == 1
                    && flags.contains(TcpFlags::ECE)
                    && !flags.contains(TcpFlags::CWR),
            );
            self.handshake_acknowledged(now, received);
            self.send.window.set_unscaled(header.window, 0, 1);
            received.window_update = true;
            self.acknowledgment.at_once();
        } else {
            let asks_for_ecn = TcpFlags::ECE | TcpFlags::CWR;
            self.ecn = super::ecn::Ecn::new(flags.contains(asks_for_ecn));
            self.send.window.set_unscaled(header.window, 0, 0);
            self.state = State::SynReceived;
            self.handshake.due = true;
        }
    }

    /// Takes over what the peer's SYN says.
    fn take_syn(&mut self, now: Instant, header: &TcpHeader) {
        let options = &header.options;
        let window = self.config.receive_window;
        self.receive = Some(ReceiveSequence::new(header.sequence, window));
        self.set_scales(options.window_scale);
        self.sack = self.config.sack && options.sack_permitted;
        self.timestamps = options
            .timestamps
            .filter(|_| self.config.timestamps)
            .map(|theirs| TimestampState::new(theirs.value, now));
        let size = options.maximum_segment_size.unwrap_or(DEFAULT_SEGMENT_SIZE);
        self.set_peer_segment_size(size.max(LEAST_SEGMENT_SIZE));
    }

    /// This side's SYN is acknowledged.
    fn handshake_acknowledged(&mut self, now: Instant, received: &mut Received) {
        received.established = true;
        if self.handshake.attempts == 1 {
            let rtt = now.saturating_since(self.handshake.sent_at);
            self.rtt.sample(rtt);
        } else {
            self.rtt.handshake_was_ambiguous();
        }
        self.rtt.reset_backoff();
        self.recovery.timeouts = 0;
        self.handshake.due = false;
        self.send.una = 1;
        self.send.progress_at = now;
        self.send.timeout_from = now;
        self.send.activity_at = now;
        self.state = if self.send.is_closing() {
            State::FinWait1
        } else {
            State::Established
        };
    }

    /// Section 3.10.7.4.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of receive, unpacked"
    )]
    fn receive_after_syn(
        &mut self,
        now: Instant,
        header: &TcpHeader,
        payload: &mut Option<Payload>,
        marked_ce: bool,
        coupling: Coupling,
        pool: &mut FramePool,
        received: &mut Received,
    ) {
        let length = payload.as_ref().map_or(0, |payload| payload.range.len());
        let place = self
            .receive
            .as_ref()
            .and_then(|sequence| sequence.space.position(sequence.nxt, header.sequence));
        let Some(start) = place else {
            // Before the peer's SYN: nothing that this connection ever sent.
            if !header.flags.contains(TcpFlags::RST) {
                self.challenge_peer(now);
            }
            return;
        };
        let mut segment = Segment {
            header,
            start,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            coupling,
        };
        if self.check_handshake_repeated(&mut segment) == Step::Done
            || self.check_timestamp(now, &segment) == Step::Done
            || self.check_sequence(now, &segment) == Step::Done
            || self.check_reset(now, &segment, received) == Step::Done
            || self.check_syn(now, &segment) == Step::Done
        {
            return;
        }
        if self.check_acknowledgment(now, &segment, received) == Step::Done {
            return;
        }
        self.remember_timestamp(now, &segment);
        received.acceptable = true;
        self.keepalive.heard(now);
        self.persist.unanswered = 0;
        self.ecn.received(header.flags, marked_ce);
        if let Some(payload) = payload.take() {
            self.take_payload(now, &segment, payload, pool);
        }
        self.take_fin(&segment, received);
    }

    /// In SYN-RECEIVED the peer's SYN may come again, with or without an ACK of ours.
    fn check_handshake_repeated(&mut self, segment: &mut Segment<'_>) -> Step {
        if self.state != State::SynReceived
            || segment.start != 0
            || !segment.has(TcpFlags::SYN)
            || segment.has(TcpFlags::RST)
        {
            return Step::Next;
        }
        if segment.has(TcpFlags::ACK) {
            // The SYN/ACK of a simultaneous open: past its SYN it is an acknowledgment.
            segment.start = 1;
            self.acknowledgment.at_once();
            return Step::Next;
        }
        self.handshake.due = true;
        Step::Done
    }

    /// PAWS (RFC 7323 section 5.3), and the rule that negotiated timestamps are on
    /// every segment (section 3.2).
    fn check_timestamp(&mut self, now: Instant, segment: &Segment<'_>) -> Step {
        if segment.has(TcpFlags::RST) {
            return Step::Next;
        }
        let Some(state) = &self.timestamps else {
            return Step::Next;
        };
        let Some(theirs) = segment.header.options.timestamps else {
            // The longest ADD_ADDR leaves them no space.
            let excused = segment.end() == segment.start && announces_address(segment.header);
            return if excused { Step::Next } else { Step::Done };
        };
        if state.is_old(now, theirs.value) {
            self.answer_unacceptable(now, segment);
            return Step::Done;
        }
        Step::Next
    }

    /// First, check the sequence number.
    fn check_sequence(&mut self, now: Instant, segment: &Segment<'_>) -> Step {
        let Some(receive) = &mut self.receive else {
            return Step::Done;
        };
        let end = segment.end();
        let has_length = end > segment.start;
        let old = if has_length {
            end <= receive.nxt
        } else {
            segment.start < receive.nxt
        };
        // A segment at the very edge holds nothing to take but may acknowledge: a peer that has
        // filled the window sends its acknowledgments from there.
        let beyond = segment.start > receive.window.edge().max(receive.nxt);
        if !old && !beyond {
            return Step::Next;
        }
        if segment.has(TcpFlags::RST) {
            return Step::Done;
        }
        if old && segment.length > 0 {
            self.queue.note_duplicate(segment.start, segment.data_end());
        }
        self.answer_unacceptable(now, segment);
        Step::Done
    }

    /// Second, check the RST bit, as RFC 5961 section 3.2 has it.
    fn check_reset(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        received: &mut Received,
    ) -> Step {
        if !segment.has(TcpFlags::RST) {
            return Step::Next;
        }
        let expected = self.receive.as_ref().map(|sequence| sequence.nxt);
        if self.state == State::TimeWait {
            // RFC 1337: a RST does not end TIME-WAIT.
            return Step::Done;
        }
        if expected != Some(segment.start) {
            self.challenge_peer(now);
            return Step::Done;
        }
        received.acceptable = true;
        received.reset = true;
        let refused = self.state == State::SynReceived && self.handshake.active;
        self.finish(if refused { End::Refused } else { End::Reset });
        Step::Done
    }

    /// Fourth, check the SYN bit, as RFC 5961 section 4.2 has it.
    fn check_syn(&mut self, now: Instant, segment: &Segment<'_>) -> Step {
        if !segment.has(TcpFlags::SYN) || segment.start == 1 && self.state == State::SynReceived {
            return Step::Next;
        }
        self.challenge_peer(now);
        Step::Done
    }

    /// RFC 7323 section 4.3, after the ACK field was judged: who has to guess the sequence number
    /// guesses twice before the peer's next segments look old.
    fn remember_timestamp(&mut self, now: Instant, segment: &Segment<'_>) {
        let told = self.receive.as_ref().map(|sequence| sequence.acknowledged);
        if let (Some(state), Some(theirs), Some(told)) = (
            &mut self.timestamps,
            segment.header.options.timestamps,
            told,
        ) && segment.start <= told.max(1)
            && !state.is_old(now, theirs.value)
        {
            state.update(now, theirs.value);
        }
    }

    /// Fifth, check the ACK field.
    fn check_acknowledgment(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        received: &mut Received,
    ) -> Step {
        if !segment.has(TcpFlags::ACK) {
            return Step::Done;
        }
        let field = segment.header.acknowledgment;
        let acknowledged = self.send.space.position(self.send.una, field);
        if self.state == State::SynReceived {
            let valid =
                acknowledged.filter(|acknowledged| (1..=self.send.nxt).contains(acknowledged));
            if valid.is_none() {
                self.due.stray_reset = Some(field);
                return Step::Done;
            }
            self.handshake_acknowledged(now, received);
            // The window of the third ACK is scaled, that of the SYN was not.
            self.send
                .window
                .update(segment.header.window, segment.start, 1);
            received.window_update = true;
        }
        // RFC 5961 section 5.2.
        let oldest = self
            .send
            .una
            .saturating_sub(self.send.window.largest().into());
        match acknowledged {
            Some(acknowledged) if (oldest..=self.send.nxt).contains(&acknowledged) => {
                self.process_acknowledgment(now, segment, acknowledged, received);
            }
            _ => {
                self.challenge_peer(now);
                return Step::Done;
            }
        }
        if self.state == State::Closed {
            return Step::Done;
        }
        Step::Next
    }

    /// Seventh, process the segment text.
    fn take_payload(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        mut payload: Payload,
        pool: &mut FramePool,
    ) {
        let Some(receive) = &mut self.receive else {
            pool.put(payload.frame);
            return;
        };
        let limit_position = receive.fin.unwrap_or(receive.window.edge());
        let excess = segment.data_end().saturating_sub(limit_position) as usize;
        let kept = payload.range.len().saturating_sub(excess);
        if kept == 0 || !self.state.may_receive() {
            pool.put(payload.frame);
            if segment.length > 0 {
                self.acknowledgment.at_once();
            }
            return;
        }
        payload.range.end = payload.range.start + kept;
        let segments = payload.segments;
        // Pieces of 256 bytes at least on average, or the queue costs more than the window.
        let limit = 64 + receive.window.largest() as usize / 256;
        let before = receive.nxt;
        let placed = self
            .queue
            .insert(&mut receive.nxt, segment.start, payload, limit, pool);
        let taken = u32::try_from(receive.nxt - before).unwrap_or(u32::MAX);
        match placed {
            Placed::InOrder { filled: false } if excess == 0 => {
                self.acknowledgment.in_order(now, taken, segments);
            }
            // The peer is in recovery, or sends what cannot be taken: let it know at once.
            Placed::InOrder { .. } | Placed::OutOfOrder | Placed::Duplicate | Placed::Dropped => {
                self.acknowledgment.at_once();
            }
        }
    }

    /// Eighth, check the FIN bit.
    fn take_fin(&mut self, segment: &Segment<'_>, received: &mut Received) {
        let Some(receive) = &mut self.receive else {
            return;
        };
        if segment.has(TcpFlags::FIN) {
            let within = segment.data_end() <= receive.window.edge().max(receive.nxt);
            // A FIN before data that was received contradicts it and is not believed.
            let last = self.queue.highest_held().unwrap_or(0).max(receive.nxt);
            if receive.fin.is_none() && within && segment.data_end() >= last {
                receive.fin = Some(segment.data_end());
            }
            self.acknowledgment.at_once();
        }
        if receive.fin != Some(receive.nxt) {
            return;
        }
        receive.nxt += 1;
        received.fin = true;
        self.queue.clear_held();
        self.acknowledgment.at_once();
        self.state = match self.state {
            State::Established if self.send.is_closing() => State::Closing,
            State::Established => State::CloseWait,
            State::FinWait1 => State::Closing,
            State::FinWait2 => State::TimeWait,
            other => other,
        };
    }

    /// Answers a segment that is not acceptable with an acknowledgment. One that carries
    /// data comes of a retransmission and not of an exchange of acknowledgments, so it
    /// needs no leave of the limit.
    fn answer_unacceptable(&mut self, now: Instant, segment: &Segment<'_>) {
        if segment.length > 0 || segment.has(TcpFlags::FIN) {
            self.acknowledgment.at_once();
        } else {
            self.challenge_peer(now);
        }
    }

    /// A challenge ACK (RFC 5961), within the limit.
    pub(super) fn challenge_peer(&mut self, now: Instant) {
        if self.challenge.admit(now) {
            self.acknowledgment.at_once();
        }
    }
}

/// True for a segment with an ADD_ADDR.
fn announces_address(header: &TcpHeader) -> bool {
    let mut options = header.options.mptcp.iter();
    options.any(|option| matches!(option, MptcpOption::AddAddress { .. }))
}
