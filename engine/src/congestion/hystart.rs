//! HyStart++ (RFC 9406): leaves the first slow start when the round-trip time begins to rise,
//! before the queue overflows.

use super::AckSample;
use crate::time::Duration;

const MIN_RTT_THRESHOLD: Duration = Duration::from_millis(4);
const MAX_RTT_THRESHOLD: Duration = Duration::from_millis(16);
const MIN_RTT_DIVISOR: u32 = 8;
const RTT_SAMPLES: u32 = 8;
const CONSERVATIVE_DIVISOR: f64 = 4.0;
const CONSERVATIVE_ROUNDS: u32 = 5;

/// What an acknowledgement in slow start is worth.
#[derive(Copy, Clone, PartialEq, Debug)]
pub(super) enum Growth {
    /// Grow by what was acknowledged.
    Full,
    /// Conservative slow start: grow by what was acknowledged divided by this.
    Divided(f64),
    /// The path is full: go over to congestion avoidance.
    Over,
}

#[derive(Copy, Clone, Debug)]
enum Phase {
    Standard,
    Conservative {
        /// The round-trip time that looked raised. If it falls below, the rise was a false alarm.
        baseline: Duration,
        rounds: u32,
    },
}

/// Measures rounds: a round lasts until everything is acknowledged that was in flight when it
/// began.
#[derive(Copy, Clone, Debug)]
pub(super) struct HyStart {
    phase: Phase,
    round_bytes: u32,
    samples: u32,
    round_rtt: Option<Duration>,
    previous_round_rtt: Option<Duration>,
}

impl Default for HyStart {
    fn default() -> Self {
        Self {
            phase: Phase::Standard,
            round_bytes: 0,
            samples: 0,
            round_rtt: None,
            previous_round_rtt: None,
        }
    }
}

impl HyStart {
    pub(super) fn on_ack(&mut self, ack: &AckSample) -> Growth {
        if self.round_bytes == 0 && self.begin_round(ack.in_flight) {
            return Growth::Over;
        }
        self.round_bytes = self.round_bytes.saturating_sub(ack.acked);
        if let Some(rtt) = ack.rtt {
            self.samples = self.samples.saturating_add(1);
            self.round_rtt = Some(self.round_rtt.map_or(rtt, |least| least.min(rtt)));
        }
        if self.samples >= RTT_SAMPLES
            && let Some(rtt) = self.round_rtt
        {
            self.judge(rtt);
        }
        match self.phase {
            Phase::Standard => Growth::Full,
            Phase::Conservative { .. } => Growth::Divided(CONSERVATIVE_DIVISOR),
        }
    }

    /// True when the last conservative round is over.
    fn begin_round(&mut self, in_flight: u32) -> bool {
        self.round_bytes = in_flight;
        self.samples = 0;
        self.previous_round_rtt = self.round_rtt.take();
        match &mut self.phase {
            Phase::Standard => false,
            Phase::Conservative { rounds, .. } => {
                // The round in the middle of which the phase began counts as a whole one.
                *rounds += 1;
                *rounds >= CONSERVATIVE_ROUNDS
            }
        }
    }

    fn judge(&mut self, rtt: Duration) {
        match self.phase {
            Phase::Standard => {
                let Some(previous) = self.previous_round_rtt else {
                    return;
                };
                let threshold =
                    (previous / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESHOLD, MAX_RTT_THRESHOLD);
                if rtt >= previous + threshold {
                    self.phase = Phase::Conservative {
                        baseline: rtt,
                        rounds: 0,
                    };
                }
            }
            Phase::Conservative { baseline, .. } if rtt < baseline => {
                self.phase = Phase::Standard;
            }
            Phase::Conservative { .. } => {}
        }
    }
}
