//! Balanced Linked Adaptation (draft-walid-mptcp-congestion-control-04 section 3): between the
//! friendliness of LIA and the responsiveness of OLIA.

use super::AckSample;
use super::coupling::round_trip;
use super::reno::Reno;
use super::window::Window;

/// A path that is slower than the best by more than this gives up no larger part at a loss.
const MAX_REDUCTION: f64 = 1.5;

/// How this path compares with the best one, for the next loss, which comes without a measurement.
#[derive(Copy, Clone, Debug)]
pub(super) struct Balia {
    /// Rate of the best path over that of this one; at least one.
    alpha: f64,
}

impl Default for Balia {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

impl Balia {
    /// Notes how the path compares with the others.
    pub(super) fn compare(&mut self, window: &Window, ack: &AckSample) {
        let rate = window.exact() / round_trip(ack.srtt);
        self.alpha = if ack.coupling.coupled {
            (ack.coupling.best_rate / rate).max(1.0)
        } else {
            1.0
        };
    }

    pub(super) fn increase(&self, window: &Window, acked: f64, ack: &AckSample) -> f64 {
        let alone = Reno.increase(window, acked);
        if !ack.coupling.coupled {
            return alone;
        }
        // rate / rtt / total^2 is share^2 / window. The draft has no bound; a stale coupling must
        // not make the path faster than a TCP there.
        let rate = window.exact() / round_trip(ack.srtt);
        let share = rate / ack.coupling.total_rate.max(rate);
        let balance = (1.0 + self.alpha) / 2.0 * (4.0 + self.alpha) / 5.0;
        (alone * share.powi(2) * balance).min(alone)
    }

    pub(super) fn reduce(&self, in_flight: f64) -> f64 {
        in_flight * (1.0 - self.alpha.min(MAX_REDUCTION) / 2.0)
    }
}
