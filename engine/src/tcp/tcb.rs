//! The transmission control block (RFC 9293 section 3.3.1): one subflow.

use super::acknowledgment::AckPolicy;
use super::challenge::ChallengeLimit;
use super::config::{Keepalive, Negotiated, TcbConfig};
use super::ecn::Ecn;
use super::keepalive::KeepaliveState;
use super::path_mtu::PathMtu;
use super::progress::{Doubt, Progress};
use super::rack::Rack;
use super::receive_queue::ReceiveQueue;
use super::recovery::{Phase, Recovery};
use super::rtt::RoundTrip;
use super::scoreboard::Scoreboard;
use super::segment::InOrder;
use super::send_sequence::SendSequence;
use super::space::{SequenceSpace, offset_of};
use super::state::{End, State};
use super::time_wait::{TimeWaitRecord, TimeWaitTimestamps};
use super::timestamp::TimestampState;
use super::window::{ReceiveWindow, SendWindow, WindowScale};
use crate::congestion::{Controller, ControllerKind};
use crate::sequence::SequenceNumber;
use crate::storage::prefetch::Prefetch;
use crate::time::{Duration, Instant};

/// The receive sequence variables, once the peer's SYN has come.
#[derive(Debug)]
pub(super) struct ReceiveSequence {
    pub(super) space: SequenceSpace,
    /// RCV.NXT.
    pub(super) nxt: u64,
    /// RCV.NXT as the last segment sent told it: Last.ACK.sent of RFC 7323.
    pub(super) acknowledged: u64,
    pub(super) window: ReceiveWindow,
    /// Position of the peer's FIN, once a segment with it was in the window.
    pub(super) fin: Option<u64>,
}

impl ReceiveSequence {
    pub(super) fn new(irs: SequenceNumber, window: u32) -> Self {
        Self {
            space: SequenceSpace::new(irs),
            nxt: 1,
            acknowledged: 0,
            window: ReceiveWindow::new(window, 1),
            fin: None,
        }
    }

    /// RCV.NXT on the wire.
    pub(super) fn next_sequence(&self) -> SequenceNumber {
        self.space.sequence(self.nxt)
    }
}

/// How far the handshake is.
#[derive(Copy, Clone, Debug)]
pub(super) struct Handshake {
    /// A SYN or SYN/ACK is to be sent.
    pub(super) due: bool,
    /// How many were sent.
    pub(super) attempts: u8,
    /// This side sent the first SYN.
    pub(super) active: bool,
    pub(super) sent_at: Instant,
}

/// Segments that something other than data or acknowledgment calls for.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Due {
    /// The RST that ends the connection.
    pub(super) reset: bool,
    /// A RST with this sequence number that answers a segment and ends nothing here.
    pub(super) stray_reset: Option<SequenceNumber>,
    /// A segment that the peer must answer.
    pub(super) probe: bool,
    /// A tail loss probe.
    pub(super) tail_probe: bool,
    /// One segment regardless of the congestion window: the first after a timeout.
    pub(super) past_window: bool,
    /// One segment although it is small: the override of RFC 9293 section 3.8.6.2.1.
    pub(super) small: bool,
}

/// Zero-window probing (RFC 9293 section 3.8.6.1).
#[derive(Copy, Clone, Debug)]
pub(super) struct Persist {
    pub(super) from: Instant,
    /// Probes sent since the window was last open.
    pub(super) probes: u32,
    /// Probes sent since the peer was last heard.
    pub(super) unanswered: u32,
}

/// One TCP connection, which is one subflow.
#[derive(Debug)]
pub struct Tcb {
    pub(super) config: TcbConfig,
    pub(super) state: State,
    pub(super) end: Option<End>,
    /// The latest time that was told.
    pub(super) clock: Instant,
    pub(super) handshake: Handshake,
    pub(super) send: SendSequence,
    pub(super) receive: Option<ReceiveSequence>,
    pub(super) queue: ReceiveQueue,
    pub(super) timestamp_offset: u32,
    pub(super) timestamps: Option<TimestampState>,
    pub(super) send_scale: Option<u8>,
    pub(super) sack: bool,
    pub(super) ecn: Ecn,
    pub(super) scoreboard: Scoreboard,
    pub(super) recovery: Recovery,
    pub(super) rack: Rack,
    pub(super) rtt: RoundTrip,
    pub(super) controller: Controller,
    pub(super) acknowledgment: AckPolicy,
    pub(super) challenge: ChallengeLimit,
    pub(super) path_mtu: PathMtu,
    pub(super) keepalive: KeepaliveState,
    pub(super) persist: Persist,
    pub(super) due: Due,
    /// MPTCP option bytes of the last data segment: what the next one will likely carry.
    pub(super) mptcp_option_length: u16,
}

impl Tcb {
    /// Opens actively: SYN-SENT, and [`Self::plan`] yields the SYN.
    ///
    /// This side's timestamps are milliseconds of the clock plus `timestamp_offset`.
    pub fn connect(
        config: TcbConfig,
        now: Instant,
        iss: SequenceNumber,
        timestamp_offset: u32,
    ) -> Self {
        let mut tcb = Self::new(config, now, iss, timestamp_offset);
        tcb.handshake.due = true;
        tcb.handshake.active = true;
        tcb
    }

    /// Opens passively, after a listener sent the SYN/ACK: SYN-RECEIVED. The third ACK is to be
    /// given to [`Self::receive`].
    pub fn accept(config: TcbConfig, now: Instant, negotiated: Negotiated) -> Self {
        let mut tcb = Self::new(config, now, negotiated.iss, negotiated.timestamp_offset);
        tcb.state = State::SynReceived;
        tcb.handshake.attempts = if negotiated.syn_ack_sent.is_some() {
            1
        } else {
            2
        };
        tcb.handshake.sent_at = negotiated.syn_ack_sent.unwrap_or(now);
        tcb.send.nxt = 1;
        tcb.receive = Some(ReceiveSequence::new(
            negotiated.irs,
            tcb.config.receive_window,
        ));
        tcb.set_scales(negotiated.send_scale);
        tcb.sack = negotiated.sack;
        tcb.timestamps = negotiated
            .timestamps
            .map(|recent| TimestampState::new(recent, now));
        tcb.ecn = Ecn::new(negotiated.ecn);
        tcb.set_peer_segment_size(negotiated.peer_mss);
        tcb
    }

    fn new(config: TcbConfig, now: Instant, iss: SequenceNumber, timestamp_offset: u32) -> Self {
        let space = SequenceSpace::new(iss);
        let segment = config.maximum_segment_size;
        Self {
            state: State::SynSent,
            end: None,
            clock: now,
            handshake: Handshake {
                due: false,
                attempts: 0,
                active: false,
                sent_at: now,
            },
            send: SendSequence::new(space, SendWindow::new(WindowScale::NONE), now),
            receive: None,
            queue: ReceiveQueue::default(),
            timestamp_offset,
            timestamps: None,
            send_scale: None,
            sack: false,
            ecn: Ecn::new(false),
            scoreboard: Scoreboard::default(),
            recovery: Recovery::new(),
            rack: Rack::new(),
            rtt: RoundTrip::new(),
            controller: Controller::new(config.congestion, segment.into()),
            acknowledgment: AckPolicy::new(config.delayed_ack),
            challenge: ChallengeLimit::new(now),
            path_mtu: PathMtu::new(segment),
            keepalive: KeepaliveState::new(now),
            persist: Persist {
                from: now,
                probes: 0,
                unanswered: 0,
            },
            due: Due::default(),
            mptcp_option_length: 0,
            config,
        }
    }

    /// Sets the scales of both directions: without the peer's there are none.
    pub(super) fn set_scales(&mut self, peers: Option<u8>) {
        self.send_scale = peers;
        let (send, receive) = match peers {
            Some(shift) => (
                WindowScale::new(shift),
                WindowScale::new(self.config.window_scale),
            ),
            None => (WindowScale::NONE, WindowScale::NONE),
        };
        self.send.window.set_scale(send);
        if let Some(sequence) = &mut self.receive {
            sequence.window.set_scale(receive);
        }
    }

    /// The peer takes segments of `size` bytes.
    pub(super) fn set_peer_segment_size(&mut self, size: u16) {
        self.path_mtu = PathMtu::new(size.min(self.config.maximum_segment_size));
        self.controller.set_mss(self.segment_payload());
    }

    /// Asks for the memory of what was sent and of what came.
    pub(crate) fn prefetch(&self, prefetch: Prefetch) {
        self.scoreboard.prefetch(prefetch);
        self.queue.prefetch(prefetch);
    }

    /// The next piece of the receive stream, trimmed of what was delivered before.
    pub fn take_in_order(&mut self) -> Option<InOrder> {
        self.queue.pop()
    }

    /// `bytes` more bytes belong to the send stream; with `push` the last of them carries PSH.
    /// After [`Self::close`] nothing more is taken.
    pub fn queue(&mut self, bytes: u32, push: bool) {
        self.send.queue(bytes, push);
    }

    /// Sends FIN after what is queued (RFC 9293 section 3.10.4).
    pub fn close(&mut self) {
        self.send.close();
        match self.state {
            State::SynSent => self.finish(End::Closed),
            State::Established => self.state = State::FinWait1,
            State::CloseWait => self.state = State::LastAck,
            _ => {}
        }
    }

    /// Ends the connection at once (RFC 9293 section 3.10.5): one RST where the state calls for
    /// it, then CLOSED. What was received and not taken is dropped.
    pub fn abort(&mut self) {
        self.reset_with(End::Aborted);
        self.queue.clear();
    }

    /// Goes to CLOSED with a RST to the peer, if it may still think the connection open.
    pub(super) fn reset_with(&mut self, end: End) {
        let peer_knows = matches!(
            self.state,
            State::SynReceived
                | State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
                | State::Closing
                | State::LastAck
        );
        if self.state == State::Closed {
            return;
        }
        self.finish(end);
        self.due.reset = peer_knows;
    }

    /// Goes to CLOSED without a word.
    pub(super) fn finish(&mut self, end: End) {
        self.state = State::Closed;
        self.end = Some(end);
        self.due = Due::default();
        self.handshake.due = false;
        self.scoreboard.clear();
        self.queue.clear_held();
    }

    /// The window to advertise from now on, in bytes. Data inside what was advertised earlier is
    /// still taken.
    pub fn set_receive_window(&mut self, bytes: u32) {
        match &mut self.receive {
            Some(sequence) => sequence.window.offer(bytes),
            None => self.config.receive_window = bytes,
        }
    }

    /// Bounds the memory of received payloads that wait, in bytes: those out of order, and those in
    /// order behind others that nobody has taken. Without it only the window bounds them.
    ///
    /// What is past it is dropped before it is acknowledged. Payloads that can be taken at once
    /// always pass, so the stream goes on however small the allowance.
    pub fn set_allowance(&mut self, bytes: usize) {
        self.queue.set_allowance(bytes);
    }

    /// Bytes of memory of received payloads that are held: out of order, or not yet taken.
    pub fn held_bytes(&self) -> usize {
        self.queue.memory()
    }

    /// Bytes of memory that the payload dropped last would have taken, if it was for want of
    /// allowance and none has found room since; otherwise zero.
    pub fn refused_bytes(&self) -> usize {
        self.queue.refused()
    }

    /// Asks for an acknowledgment to be sent at once.
    pub fn request_ack(&mut self) {
        self.acknowledgment.at_once();
    }

    /// An acknowledgment goes at once or when its delay ends.
    pub fn owes_ack(&self) -> bool {
        self.acknowledgment.is_owed()
    }

    /// Asks for a segment that the peer must answer.
    pub fn request_probe(&mut self) {
        self.due.probe = self.state.is_synchronized() && self.state != State::TimeWait;
    }

    /// Bytes beyond those queued that congestion window and the peer's window admit now.
    pub fn room(&self) -> u32 {
        let usable = self.send.usable();
        let congestion = u64::from(self.congestion_window()).saturating_sub(self.pipe());
        let room = usable.min(congestion).saturating_sub(self.send.unsent());
        if self.send.is_closing() || !self.state.is_synchronized() {
            return 0;
        }
        u32::try_from(room).unwrap_or(u32::MAX)
    }

    /// The shape of the subflow.
    pub fn progress(&self) -> Progress {
        Progress {
            granted: self.send.queued(),
            acknowledged: self.send.acknowledged_offset(),
            room: self.room(),
            window: self.send.window.bytes(),
            segment_size: self.segment_payload(),
            congestion_window: self.congestion_window(),
            slow_start_threshold: self.controller.ssthresh(),
            between_losses: self.controller.bytes_between_losses(),
            in_flight: u32::try_from(self.pipe()).unwrap_or(u32::MAX),
            smoothed_rtt: self.rtt.smoothed(),
            rtt_variation: self.rtt.variation(),
            retransmission_timeout: self.rtt.timeout(),
            in_recovery: !self.recovery.is_open(),
            timeouts: self.recovery.timeouts,
            doubt: self.doubt(),
            lost: u32::try_from(self.scoreboard.lost()).unwrap_or(u32::MAX),
            retransmissions: self.recovery.retransmissions,
        }
    }

    fn doubt(&self) -> Doubt {
        // A probe that is due tells as much as one that has gone.
        let due = if self.due.tail_probe {
            Doubt::Probed
        } else {
            Doubt::None
        };
        self.recovery.doubt().max(due)
    }

    /// The state of RFC 9293.
    pub fn state(&self) -> State {
        self.state
    }

    /// How the connection ended: once, when CLOSED or TIME-WAIT was reached and nothing is left
    /// to send.
    pub fn take_end(&mut self) -> Option<End> {
        match self.state {
            State::Closed if !self.due.reset => self.end.take(),
            State::TimeWait if !self.acknowledgment.is_due(self.clock) => {
                let record = self.time_wait_record()?;
                self.finish(End::TimeWait(record));
                self.end.take()
            }
            _ => None,
        }
    }

    fn time_wait_record(&self) -> Option<TimeWaitRecord> {
        let receive = self.receive.as_ref()?;
        Some(TimeWaitRecord {
            rcv_nxt: receive.next_sequence(),
            snd_nxt: self.send.space.sequence(self.send.nxt),
            window: receive.window.field(receive.nxt, self.segment_payload()),
            timestamps: self.timestamps.map(|state| TimeWaitTimestamps {
                ts_recent: state.recent(),
                offset: self.timestamp_offset,
            }),
        })
    }

    /// Offset just past the last byte sent.
    pub fn sent_offset(&self) -> u64 {
        self.send.sent_offset()
    }

    /// Offset just past the last byte acknowledged.
    pub fn acknowledged_offset(&self) -> u64 {
        self.send.acknowledged_offset()
    }

    /// Offset just past the last byte received in order.
    pub fn received_offset(&self) -> u64 {
        self.receive.as_ref().map_or(0, |sequence| {
            let nxt = sequence
                .fin
                .map_or(sequence.nxt, |fin| sequence.nxt.min(fin));
            offset_of(nxt)
        })
    }

    /// Offset just past the last byte queued.
    pub fn queued_offset(&self) -> u64 {
        self.send.queued()
    }

    /// The initial sequence number of this side.
    pub fn initial_sequence(&self) -> SequenceNumber {
        self.send.space.initial()
    }

    /// The initial sequence number of the peer, once its SYN has come.
    pub fn peer_initial_sequence(&self) -> Option<SequenceNumber> {
        self.receive
            .as_ref()
            .map(|sequence| sequence.space.initial())
    }

    /// TCP option and payload bytes that a segment to the peer may hold now.
    pub fn maximum_segment(&self) -> u32 {
        self.path_mtu.segment().into()
    }

    /// Payloads that were dropped because too many were held out of order, or too much memory.
    pub fn dropped_out_of_order(&self) -> u64 {
        self.queue.dropped()
    }

    /// Acknowledgments of suspect segments that were not sent for the limit of RFC 5961.
    pub fn suppressed_challenges(&self) -> u64 {
        self.challenge.suppressed()
    }

    /// TCP_NODELAY.
    pub fn set_nodelay(&mut self, nodelay: bool) {
        self.config.nodelay = nodelay;
    }

    /// TCP_CORK.
    pub fn set_cork(&mut self, cork: bool) {
        self.config.cork = cork;
    }

    /// See [`TcbConfig::prompt_probe`].
    pub fn set_prompt_probe(&mut self, prompt: bool) {
        self.config.prompt_probe = prompt;
    }

    /// SO_KEEPALIVE.
    pub fn set_keepalive(&mut self, keepalive: Option<Keepalive>) {
        self.config.keepalive = keepalive;
    }

    /// TCP_USER_TIMEOUT.
    pub fn set_user_timeout(&mut self, user_timeout: Option<Duration>) {
        self.config.user_timeout = user_timeout;
    }

    /// How long FIN-WAIT-2 may last without a word of the peer; `None` is for ever.
    pub fn set_fin_wait_timeout(&mut self, timeout: Option<Duration>) {
        self.config.fin_wait_timeout = timeout;
    }

    /// Reduces the congestion window as after a loss, unless that is what it has just done.
    pub fn slow_down(&mut self, now: Instant) {
        if self.recovery.is_open() {
            self.controller.on_loss(now, self.flight());
        }
    }

    /// Goes on with another congestion controller.
    pub fn set_controller(&mut self, kind: ControllerKind) {
        self.config.congestion = kind;
        self.controller.switch(kind);
    }

    /// What OLIA is to move between this subflow and others.
    pub fn set_shift(&mut self, alpha: f64) {
        self.controller.set_shift(alpha);
    }

    /// Payload bytes of a full segment with the options that data usually carries.
    pub(super) fn segment_payload(&self) -> u32 {
        let timestamps = if self.timestamps.is_some() { 12 } else { 0 };
        self.maximum_segment()
            .saturating_sub(timestamps + u32::from(self.mptcp_option_length))
            .max(1)
    }

    /// Bytes believed to be in the network.
    pub(super) fn pipe(&self) -> u64 {
        let left = if self.sack {
            0
        } else {
            // Each duplicate acknowledgment says that a segment has arrived.
            u64::from(self.recovery.duplicate_acks) * u64::from(self.segment_payload())
        };
        self.scoreboard.in_flight().saturating_sub(left)
    }

    /// The congestion window in force, in bytes.
    pub(super) fn congestion_window(&self) -> u32 {
        match &self.recovery.phase {
            Phase::Recovery { reduction, .. } => reduction.window().max(self.segment_payload()),
            Phase::Open | Phase::Loss { .. } => self.controller.window(),
        }
    }
}
