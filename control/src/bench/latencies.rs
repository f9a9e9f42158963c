//! Times of requests, counted in a histogram of three digits.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Each is counted from when its request was due, not from when it went out: a request that waits behind
/// a slow one is late too (coordinated omission).
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

/// What a histogram says, in microseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// Requests.
    pub count: u64,
    /// Half took no longer.
    pub p50_us: f64,
    /// 99 of 100 took no longer.
    pub p99_us: f64,
    /// 999 of 1,000 took no longer.
    pub p99_9_us: f64,
    /// The longest.
    pub max_us: f64,
    /// Shares of the requests, 0 to 1, and what those took at most: towards the longest in ever finer
    /// steps.
    pub curve: Vec<(f64, f64)>,
}

/// Points of a curve for each halving of the distance to the longest.
const POINTS_PER_HALVING: u32 = 4;

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        let histogram = Histogram::new(3);
        Self(histogram.unwrap_or_else(|_| unreachable!("three digits are within its bounds")))
    }

    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        // It resizes by itself, up to 2^63 ns.
        let _ = self
            .0
            .record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        // Both resize.
        let _ = self.0.add(&other.0);
    }

    /// Times in nanoseconds, and how often each occurred: to be told to another process.
    pub fn counts(&self) -> Vec<(u64, u64)> {
        let recorded = self.0.iter_recorded();
        recorded
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect()
    }

    /// Adds what another process told as its [`Self::counts`].
    pub fn add_counts(&mut self, counts: &[(u64, u64)]) {
        for &(nanoseconds, count) in counts {
            let _ = self.0.record_n(nanoseconds, count);
        }
    }

    /// The time in nanoseconds that this share of them, 0 to 1, did not exceed.
    pub fn at(&self, share: f64) -> u64 {
        self.0.value_at_quantile(share)
    }

    /// The longest, in nanoseconds.
    pub fn longest(&self) -> u64 {
        self.0.max()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(super) fn summary(&self) -> Latency {
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1_000.0;
        let at = |share| microseconds(self.at(share));
        let steps = self.0.iter_quantiles(POINTS_PER_HALVING);
        Latency {
            count: self.0.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: microseconds(self.longest()),
            curve: steps
                .map(|step| {
                    (
                        step.quantile_iterated_to(),
                        microseconds(step.value_iterated_to()),
                    )
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_rises_to_the_longest() {
        let mut latencies = Latencies::new();
        for micros in 1..=1_000 {
            latencies.record(Duration::from_micros(micros));
        }
        let summary = latencies.summary();
        assert_eq!(summary.count, 1_000);
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.002;
        assert!(near(summary.p50_us, 500.0), "{summary:?}");
        assert!(near(summary.p99_us, 990.0), "{summary:?}");
        assert!(near(summary.p99_9_us, 999.0), "{summary:?}");
        assert!(near(summary.max_us, 1_000.0), "{summary:?}");
        assert!(summary.curve.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
    }

    #[test]
    fn counts_tell_another_process_the_same() {
        let (mut latencies, mut told) = (Latencies::new(), Latencies::new());
        for micros in [3, 3, 5, 1_000] {
            latencies.record(Duration::from_micros(micros));
        }
        told.add_counts(&latencies.counts());
        assert_eq!(told.counts(), latencies.counts());
        assert_eq!(told.summary(), latencies.summary());
    }
}
