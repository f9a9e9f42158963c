//! What the subflows of a connection tell each other's congestion control (RFC 6356 section 3,
//! draft-khalili-mptcp-congestion-control-05, draft-walid-mptcp-congestion-control-04).

use crate::time::Duration;

/// What a connection publishes for all its subflows. It may be a little old when a subflow reads
/// it, so a subflow measures its own part itself.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub struct Coupling {
    /// LIA: how aggressive all subflows are together, compared with one TCP on the best path.
    pub alpha: f64,
    /// Sum of the congestion windows in bytes.
    pub total_window: u64,
    /// Sum of window over round trip, in bytes per second.
    pub total_rate: f64,
    /// The largest window over round trip of any subflow, in bytes per second.
    pub best_rate: f64,
    /// True when there is more than one subflow; otherwise each grows by itself.
    pub coupled: bool,
}

/// One subflow as the coupling sees it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PathSample {
    /// Congestion window in bytes; of a subflow in recovery its slow-start threshold.
    pub window: u32,
    /// Smoothed round-trip time.
    pub srtt: Duration,
    /// Bytes that the path carries between two losses
    /// ([`Controller::bytes_between_losses`](super::Controller::bytes_between_losses)).
    pub between_losses: u64,
}

/// In seconds, and never zero: a subflow without a measurement counts as a very fast one.
pub(super) fn round_trip(srtt: Duration) -> f64 {
    srtt.max(Duration::from_micros(1)).as_secs_f64()
}

impl PathSample {
    fn rate(&self) -> f64 {
        f64::from(self.window) / round_trip(self.srtt)
    }

    /// How good OLIA takes the path for: what it carries between losses, squared, over its round
    /// trip. That is what a TCP alone would get there, but for a constant and a square root.
    fn quality(&self) -> f64 {
        (self.between_losses as f64).powi(2) / round_trip(self.srtt)
    }
}

impl Coupling {
    /// The coupling of established subflows. Its alpha is that of RFC 6356 section 3.1:
    /// total * max(window / rtt^2) / (sum of window / rtt)^2.
    pub fn of(paths: impl Iterator<Item = PathSample> + Clone) -> Self {
        let total_window = paths.clone().map(|path| u64::from(path.window)).sum();
        let steepest = paths
            .clone()
            .map(|path| path.rate() / round_trip(path.srtt))
            .fold(0.0, f64::max);
        let total_rate: f64 = paths.clone().map(|path| path.rate()).sum();
        let alpha = if total_rate > 0.0 {
            total_window as f64 * steepest / total_rate.powi(2)
        } else {
            1.0
        };
        Self {
            alpha,
            total_window,
            total_rate,
            best_rate: paths.clone().map(|path| path.rate()).fold(0.0, f64::max),
            coupled: paths.take(2).count() > 1,
        }
    }
}

/// How OLIA moves window between subflows: the best paths that have not the largest window gain
/// what those with the largest window give (draft-khalili section 2, alpha_r).
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Shift {
    best_quality: f64,
    largest_window: u32,
    gain: f64,
    loss: f64,
}

impl Shift {
    /// The shift among established subflows.
    pub fn of(paths: impl Iterator<Item = PathSample> + Clone) -> Self {
        let count = paths.clone().count();
        let best_quality = paths.clone().map(|path| path.quality()).fold(0.0, f64::max);
        let largest_window = paths.clone().map(|path| path.window).max().unwrap_or(0);
        let largest = |path: &PathSample| path.window == largest_window;
        let collected = paths
            .clone()
            .filter(|path| path.quality() >= best_quality && !largest(path))
            .count();
        let share = |among: usize| 1.0 / (count.max(1) as f64 * among.max(1) as f64);
        Self {
            best_quality,
            largest_window,
            gain: share(collected),
            loss: match collected {
                0 => 0.0,
                _ => share(paths.filter(largest).count()),
            },
        }
    }

    /// Alpha of one of these subflows: all of them add up to zero.
    pub fn alpha(&self, path: &PathSample) -> f64 {
        if path.window == self.largest_window {
            -self.loss
        } else if path.quality() >= self.best_quality {
            self.gain
        } else {
            0.0
        }
    }
}
