//! The transmission control block (RFC 9293 section 3.3.1): one subflow.

use super::config::{Keepalive, Negotiated, TcbConfig};
use super::progress::Progress;
use super::segment::{Advanced, Content, Emission, InOrder, Payload, Plan, PlanKind, Received};
use super::state::{End, State};
use crate::congestion::{ControllerKind, Coupling};
use crate::sequence::SequenceNumber;
use crate::storage::frame::FramePool;
use crate::time::{Duration, Instant};
use crate::wire::tcp::{TcpFlags, TcpHeader};

/// One TCP connection, which is one subflow.
#[derive(Debug)]
pub struct Tcb {
    config: TcbConfig,
    state: State,
    end: Option<End>,
    iss: SequenceNumber,
    queued: u64,
}

impl Tcb {
    /// Opens actively: SYN-SENT, and [`Self::plan`] yields the SYN.
    pub fn connect(
        config: TcbConfig,
        _now: Instant,
        iss: SequenceNumber,
        _timestamp_offset: u32,
    ) -> Self {
        Self {
            config,
            state: State::SynSent,
            end: None,
            iss,
            queued: 0,
        }
    }

    /// Opens passively, after a listener sent the SYN/ACK: SYN-RECEIVED. The third ACK is to be
    /// given to [`Self::receive`].
    pub fn accept(config: TcbConfig, _now: Instant, negotiated: Negotiated) -> Self {
        Self {
            config,
            state: State::SynReceived,
            end: None,
            iss: negotiated.iss,
            queued: 0,
        }
    }

    /// Takes a segment (RFC 9293 section 3.10.7). Frames that hold nothing new return to `pool`.
    ///
    /// `marked_ce`: the IP header said "congestion experienced" (RFC 3168).
    pub fn receive(
        &mut self,
        _now: Instant,
        _header: &TcpHeader,
        payload: Option<Payload>,
        _marked_ce: bool,
        _coupling: Coupling,
        pool: &mut FramePool,
    ) -> Received {
        if let Some(payload) = payload {
            pool.put(payload.frame);
        }
        Received::default()
    }

    /// The next piece of the receive stream, trimmed of what was delivered before.
    pub fn take_in_order(&mut self) -> Option<InOrder> {
        None
    }

    /// What to send next, or `None` when nothing is due at `now`. Changes nothing.
    pub fn plan(&self, _now: Instant) -> Option<Plan> {
        (self.state == State::SynSent).then_some(Plan {
            kind: PlanKind::Syn { attempt: 0 },
            offset: 0,
            available: 0,
        })
    }

    /// Sends what was planned: builds the header, moves SND.NXT and arms the timers.
    pub fn commit(&mut self, _now: Instant, plan: Plan, _content: Content) -> Emission {
        Emission {
            header: TcpHeader {
                sequence: self.iss,
                flags: TcpFlags::SYN,
                ..TcpHeader::default()
            },
            offset: plan.offset,
            length: 0,
            segment_size: self.config.maximum_segment_size,
            retransmission: false,
            fin: false,
            ecn_capable: false,
        }
    }

    /// When to call [`Self::advance`] next.
    pub fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Fires the timers that are due.
    pub fn advance(&mut self, _now: Instant) -> Advanced {
        Advanced::default()
    }

    /// `bytes` more bytes belong to the send stream; with `push` the last of them carries PSH.
    pub fn queue(&mut self, bytes: u32, _push: bool) {
        self.queued = self.queued.saturating_add(bytes.into());
    }

    /// Sends FIN after what is queued.
    pub fn close(&mut self) {}

    /// Ends the connection at once: one RST where the state calls for it, then CLOSED.
    pub fn abort(&mut self) {}

    /// The window to advertise from now on, in bytes. Data inside what was advertised earlier is
    /// still taken.
    pub fn set_receive_window(&mut self, _bytes: u32) {}

    /// Asks for an acknowledgment to be sent at once.
    pub fn request_ack(&mut self) {}

    /// Asks for a segment that the peer must answer.
    pub fn request_probe(&mut self) {}

    /// Bytes beyond those queued that congestion window and the peer's window admit now.
    pub fn room(&self) -> u32 {
        0
    }

    /// The shape of the subflow.
    pub fn progress(&self) -> Progress {
        Progress::default()
    }

    /// The state of RFC 9293.
    pub fn state(&self) -> State {
        self.state
    }

    /// How the connection ended: once, when CLOSED or TIME-WAIT was reached and nothing is left
    /// to send.
    pub fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    /// ICMP said that a segment was too big: the path takes segments whose size and
    /// fixed headers fit, `maximum_segment_size` bytes as in the MSS option. `quoted` is the
    /// sequence number of the segment that ICMP quotes; one that is not in flight is ignored.
    pub fn on_packet_too_big(
        &mut self,
        _now: Instant,
        _maximum_segment_size: u16,
        _quoted: SequenceNumber,
    ) {
    }

    /// ICMP said that the destination is unreachable; `hard` as RFC 5927 section 5 divides them.
    pub fn on_unreachable(&mut self, _hard: bool, _quoted: SequenceNumber) {}

    /// Offset just past the last byte sent.
    pub fn sent_offset(&self) -> u64 {
        0
    }

    /// Offset just past the last byte acknowledged.
    pub fn acknowledged_offset(&self) -> u64 {
        0
    }

    /// Offset just past the last byte received in order.
    pub fn received_offset(&self) -> u64 {
        0
    }

    /// Offset just past the last byte queued.
    pub fn queued_offset(&self) -> u64 {
        self.queued
    }

    /// The initial sequence number of this side.
    pub fn initial_sequence(&self) -> SequenceNumber {
        self.iss
    }

    /// The initial sequence number of the peer, once its SYN has come.
    pub fn peer_initial_sequence(&self) -> Option<SequenceNumber> {
        None
    }

    /// Payload and option bytes that a segment to the peer may hold now.
    pub fn maximum_segment(&self) -> u32 {
        self.config.maximum_segment_size.into()
    }

    /// TCP_NODELAY.
    pub fn set_nodelay(&mut self, nodelay: bool) {
        self.config.nodelay = nodelay;
    }

    /// TCP_CORK.
    pub fn set_cork(&mut self, cork: bool) {
        self.config.cork = cork;
    }

    /// SO_KEEPALIVE.
    pub fn set_keepalive(&mut self, keepalive: Option<Keepalive>) {
        self.config.keepalive = keepalive;
    }

    /// TCP_USER_TIMEOUT.
    pub fn set_user_timeout(&mut self, user_timeout: Option<Duration>) {
        self.config.user_timeout = user_timeout;
    }

    /// How long FIN-WAIT-2 may last without a word of the peer.
    pub fn set_fin_wait_timeout(&mut self, timeout: Option<Duration>) {
        self.config.fin_wait_timeout = timeout;
    }

    /// Goes on with another congestion controller.
    pub fn set_controller(&mut self, kind: ControllerKind) {
        self.config.congestion = kind;
    }
}
