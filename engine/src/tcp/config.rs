//! What a subflow's TCP is told at its birth: local settings and what the handshake agreed on.

use crate::congestion::ControllerKind;
use crate::sequence::SequenceNumber;
use crate::time::{Duration, Instant};

/// SO_KEEPALIVE with its three times (RFC 9293 section 3.8.4).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes until the subflow is given up.
    pub count: u32,
}

/// Local settings of one subflow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcbConfig {
    /// The largest segment this side takes, as its SYN says; also the most it sends.
    pub maximum_segment_size: u16,
    /// The shift of the windows this side advertises, at most 14 (RFC 7323 section 2).
    pub window_scale: u8,
    /// Ask for timestamps (RFC 7323 section 3).
    pub timestamps: bool,
    /// Ask for selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Ask for ECN on an active open (RFC 3168); a peer that asks is always answered.
    pub ecn: bool,
    /// The receive window to begin with, in bytes.
    pub receive_window: u32,
    /// The congestion controller.
    pub congestion: ControllerKind,
    /// Send small segments without waiting for acknowledgments (no Nagle algorithm).
    pub nodelay: bool,
    /// Hold back all but full segments.
    pub cork: bool,
    /// Probe for a lost tail without regard to a peer that delays its acknowledgments, and deem
    /// one silent that leaves the probe unanswered: for those to whom a needless small segment
    /// costs less than waiting.
    pub prompt_probe: bool,
    /// Probe an idle peer.
    pub keepalive: Option<Keepalive>,
    /// Give up when sent data stays unacknowledged for so long (RFC 5482, local part); `None`
    /// counts `retransmissions` instead.
    pub user_timeout: Option<Duration>,
    /// How often a SYN or SYN/ACK is sent again before the handshake has failed.
    pub syn_retries: u8,
    /// How many timeouts in a row, without an answer, end the subflow (R2 of RFC 9293 section 3.8.3).
    pub retransmissions: u8,
    /// The longest an acknowledgment is held back.
    pub delayed_ack: Duration,
    /// How long FIN-WAIT-2 may last without a segment from the peer; `None` is for ever, as a
    /// half-closed connection may ask.
    pub fin_wait_timeout: Option<Duration>,
}

impl Default for TcbConfig {
    fn default() -> Self {
        Self {
            maximum_segment_size: 1460,
            window_scale: 7,
            timestamps: true,
            sack: true,
            ecn: false,
            receive_window: 65_535,
            congestion: ControllerKind::Cubic,
            nodelay: false,
            cork: false,
            prompt_probe: false,
            keepalive: None,
            user_timeout: None,
            syn_retries: 6,
            retransmissions: 15,
            delayed_ack: Duration::from_millis(40),
            fin_wait_timeout: None,
        }
    }
}

/// What a listener's request record, or a SYN cookie, knows when the third ACK comes.
#[derive(Copy, Clone, Debug)]
pub struct Negotiated {
    /// The initial sequence number that the SYN/ACK carried.
    pub iss: SequenceNumber,
    /// When the SYN/ACK went, if it went once only: its acknowledgment is the first sample of the
    /// round trip. `None` where that is ambiguous (RFC 6298 section 3) or not known.
    pub syn_ack_sent: Option<Instant>,
    /// The initial sequence number of the peer's SYN.
    pub irs: SequenceNumber,
    /// The peer's maximum segment size; 536 when its SYN had none (1220 over IPv6).
    pub peer_mss: u16,
    /// The shift of the peer's windows; `None` means no scaling in either direction.
    pub send_scale: Option<u8>,
    /// Both sides take selective acknowledgments.
    pub sack: bool,
    /// Both sides use timestamps: the last value of the peer.
    pub timestamps: Option<u32>,
    /// What is added to this side's clock of milliseconds to give its timestamps.
    pub timestamp_offset: u32,
    /// Both sides use ECN.
    pub ecn: bool,
}
