//! A subflow's shape, for schedulers and statistics.

use crate::time::Duration;

/// What the peer's silence says of a path; the more, the worse.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Doubt {
    /// Nothing: no acknowledgment is overdue.
    #[default]
    None,
    /// An acknowledgment is overdue: a tail loss probe goes or has gone (RFC 8985 section 7), and
    /// nothing was heard since.
    Probed,
    /// A probe went unanswered for as long as its answer may take, or a retransmission timeout
    /// passed.
    Silent,
}

/// A subflow's shape at the time of a message, for the scheduler and for statistics.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub struct Progress {
    /// Bytes granted to the subflow so far, as far as it has seen the grants.
    pub granted: u64,
    /// Bytes of those that the peer has acknowledged on the subflow, in order.
    pub acknowledged: u64,
    /// Bytes it could send now past what it was granted.
    pub room: u32,
    /// Peer's window on this subflow in bytes (what fallback takes for the data window).
    pub window: u32,
    /// Payload bytes of a full segment.
    pub segment_size: u32,
    /// Congestion window in bytes.
    pub congestion_window: u32,
    /// Slow start threshold in bytes.
    pub slow_start_threshold: u32,
    /// Bytes carried between two losses, where the congestion controller measures them.
    pub between_losses: u64,
    /// Bytes in flight.
    pub in_flight: u32,
    /// Smoothed round trip; `None` before the first sample.
    pub smoothed_rtt: Option<Duration>,
    /// Variation of the round trip.
    pub rtt_variation: Duration,
    /// Retransmission timeout as it stands.
    pub retransmission_timeout: Duration,
    /// The subflow is in loss recovery.
    pub in_recovery: bool,
    /// Retransmission timeouts in a row without an acknowledgment.
    pub timeouts: u32,
    /// What the peer's silence says of the path.
    pub doubt: Doubt,
    /// Bytes deemed lost and not yet sent again.
    pub lost: u32,
    /// Segments retransmitted so far.
    pub retransmissions: u64,
}
