//! What TCP knows of itself, after the fields of Linux's `tcp_info`.

use super::recovery::Phase;
use super::state::State;
use super::tcb::Tcb;
use crate::congestion::ControllerKind;
use crate::time::{Duration, Instant};

/// How loss recovery stands, with the values of Linux's `tcpi_ca_state`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CongestionState {
    /// Nothing is amiss.
    Open = 0,
    /// Duplicate or selective acknowledgments came; nothing is deemed lost.
    Disorder = 1,
    /// Losses are repaired without a timeout.
    Recovery = 3,
    /// The retransmission timer fired.
    Loss = 4,
}

/// The state of one TCP connection, which is one subflow.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TcpInfo {
    /// The state of RFC 9293.
    pub state: State,
    /// How loss recovery stands.
    pub congestion_state: CongestionState,
    /// The congestion controller.
    pub controller: ControllerKind,
    /// Timestamps are in use (RFC 7323).
    pub timestamps: bool,
    /// Selective acknowledgments are in use (RFC 2018).
    pub sack: bool,
    /// ECN is in use (RFC 3168).
    pub ecn: bool,
    /// The shifts of the peer's windows and of this side's; `None` without scaling.
    pub window_scales: Option<(u8, u8)>,
    /// Retransmission timeouts in a row without an acknowledgment.
    pub timeouts: u32,
    /// Probes of a closed window since it was last open.
    pub probes: u32,
    /// Retransmission timeout.
    pub retransmission_timeout: Duration,
    /// The longest that an acknowledgment is held back.
    pub delayed_ack: Duration,
    /// Payload bytes of a full segment.
    pub send_segment_size: u32,
    /// The largest segment that this side takes, as its SYN said.
    pub advertised_segment_size: u16,
    /// Bytes of TCP options and payload that the path takes in one packet.
    pub path_segment_size: u32,
    /// Payload bytes sent and not acknowledged in order.
    pub unacknowledged: u64,
    /// Bytes of those that the peer holds out of order.
    pub selectively_acknowledged: u64,
    /// Bytes of those that are deemed lost and not sent again yet.
    pub lost: u64,
    /// Bytes that are queued and were never sent.
    pub not_sent: u64,
    /// Segments sent again so far.
    pub retransmissions: u64,
    /// Smoothed round trip; `None` before the first sample.
    pub smoothed_rtt: Option<Duration>,
    /// Variation of the round trip.
    pub rtt_variation: Duration,
    /// Shortest round trip measured.
    pub minimum_rtt: Duration,
    /// Congestion window in bytes.
    pub congestion_window: u32,
    /// Slow start threshold in bytes.
    pub slow_start_threshold: u32,
    /// The peer's window in bytes.
    pub send_window: u32,
    /// Bytes that the peer may send beyond what is in order.
    pub receive_window: u64,
    /// Payload bytes sent, each counted once.
    pub bytes_sent: u64,
    /// Payload bytes of those that the peer acknowledged in order.
    pub bytes_acknowledged: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// When data was last sent or acknowledged.
    pub last_activity: Instant,
}

impl Tcb {
    /// The state in full, for whoever watches.
    pub fn info(&self) -> TcpInfo {
        let congestion_state = match self.recovery.phase {
            Phase::Loss { .. } => CongestionState::Loss,
            Phase::Recovery { .. } => CongestionState::Recovery,
            Phase::Open if self.scoreboard.sacked() > 0 || self.recovery.duplicate_acks > 0 => {
                CongestionState::Disorder
            }
            Phase::Open => CongestionState::Open,
        };
        let receive_window = self.receive.as_ref().map_or(0, |sequence| {
            sequence.window.edge().saturating_sub(sequence.nxt)
        });
        TcpInfo {
            state: self.state,
            congestion_state,
            controller: self.config.congestion,
            timestamps: self.timestamps.is_some(),
            sack: self.sack,
            ecn: self.ecn.is_negotiated(),
            window_scales: self
                .send_scale
                .map(|peers| (peers, self.config.window_scale)),
            timeouts: self.recovery.timeouts,
            probes: self.persist.probes,
            retransmission_timeout: self.rtt.timeout(),
            delayed_ack: self.config.delayed_ack,
            send_segment_size: self.segment_payload(),
            advertised_segment_size: self.config.maximum_segment_size,
            path_segment_size: self.maximum_segment(),
            unacknowledged: self
                .sent_offset()
                .saturating_sub(self.acknowledged_offset()),
            selectively_acknowledged: self.scoreboard.sacked(),
            lost: self.scoreboard.lost(),
            not_sent: self.send.unsent(),
            retransmissions: self.recovery.retransmissions,
            smoothed_rtt: self.rtt.smoothed(),
            rtt_variation: self.rtt.variation(),
            minimum_rtt: self.rtt.minimum(),
            congestion_window: self.congestion_window(),
            slow_start_threshold: self.controller.ssthresh(),
            send_window: self.send.window.bytes(),
            receive_window,
            bytes_sent: self.sent_offset(),
            bytes_acknowledged: self.acknowledged_offset(),
            bytes_received: self.received_offset(),
            last_activity: self.send.activity_at,
        }
    }
}
