//! Durations, and how they are spread.

use std::fmt;
use std::time::Duration;

/// Where the bars of the histogram end, in milliseconds.
const BOUNDS: [u128; 10] = [30, 60, 100, 150, 200, 300, 450, 700, 1_000, 2_000];

/// What was measured, in order.
#[derive(Default)]
pub(super) struct Gaps(Vec<Duration>);

impl Gaps {
    pub(super) fn add(&mut self, gap: Duration) {
        let at = self.0.partition_point(|other| *other <= gap);
        self.0.insert(at, gap);
    }

    /// The least that so many in a hundred do not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    pub(super) fn median(&self) -> Duration {
        self.percentile(50)
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} cuts:", self.0.len())?;
        let named = [(0, "min"), (50, "p50"), (90, "p90"), (100, "max")];
        for (percent, name) in named {
            let millis = self.percentile(percent).as_millis();
            write!(formatter, " {name} {millis} ms")?;
        }
        writeln!(formatter)?;
        let mut from = 0;
        for to in BOUNDS.into_iter().chain([u128::MAX]) {
            let within = |gap: &&Duration| (from..to).contains(&gap.as_millis());
            let count = self.0.iter().filter(within).count();
            if count > 0 {
                writeln!(
                    formatter,
                    "  from {from:>4} ms {count:>4} {}",
                    "#".repeat(count)
                )?;
            }
            from = to;
        }
        Ok(())
    }
}
