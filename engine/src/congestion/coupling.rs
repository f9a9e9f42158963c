//! What the subflows of a connection tell each other's congestion control (RFC 6356 section 3).

use crate::time::Duration;

/// What a connection publishes for all its subflows.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub struct Coupling {
    /// How aggressive all subflows are together, compared with one TCP on the best path.
    pub alpha: f64,
    /// Sum of the congestion windows in bytes.
    pub total_window: u64,
    /// True when there is more than one subflow; otherwise each grows by itself.
    pub coupled: bool,
}

/// One subflow as the computation of alpha sees it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PathSample {
    /// Congestion window in bytes; of a subflow in recovery its slow-start threshold.
    pub window: u32,
    /// Smoothed round-trip time.
    pub srtt: Duration,
}

impl PathSample {
    /// In seconds, and never zero: a subflow without a measurement counts as a very fast one.
    fn round_trip(&self) -> f64 {
        self.srtt.max(Duration::from_micros(1)).as_secs_f64()
    }
}

/// Computes alpha of RFC 6356 section 3.1 over the established subflows:
/// total * max(window / rtt^2) / (sum of window / rtt)^2.
pub fn lia_coupling(paths: impl Iterator<Item = PathSample> + Clone) -> Coupling {
    let total_window = paths.clone().map(|path| u64::from(path.window)).sum();
    let best = paths
        .clone()
        .map(|path| f64::from(path.window) / path.round_trip().powi(2))
        .fold(0.0, f64::max);
    let rate: f64 = paths
        .clone()
        .map(|path| f64::from(path.window) / path.round_trip())
        .sum();
    let alpha = if rate > 0.0 {
        total_window as f64 * best / rate.powi(2)
    } else {
        1.0
    };
    Coupling {
        alpha,
        total_window,
        coupled: paths.take(2).count() > 1,
    }
}
