//! One subflow's TCP (RFC 9293). Knows subflow sequence numbers only.

use crate::time::Duration;

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
