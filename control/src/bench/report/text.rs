//! The report as text.

use std::fmt;

use super::{Entry, Measured, Report};
use crate::bench::Spread;
use crate::bench::workload::{Aggregated, Gaps, Goodput, Memory, Outcome, Paced};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting())?;
        writeln!(f, "{}", self.surroundings())?;
        self.workloads.iter().try_for_each(|entry| entry.fmt(f))
    }
}

impl Report {
    /// The hosts and their links, in a line.
    pub(super) fn setting(&self) -> String {
        let plural = |count: u8| if count == 1 { "" } else { "s" };
        format!(
            "port {}; {} link{}, {} worker{}, MTU {}, large segments {}",
            self.port,
            self.links,
            plural(self.links),
            self.workers,
            plural(self.workers),
            self.mtu,
            if self.large_segments { "on" } else { "off" }
        )
    }

    /// The machine, in a line.
    pub(super) fn surroundings(&self) -> String {
        let known = |number: Option<f64>, digits: usize| {
            number.map_or_else(|| "?".to_owned(), |number| format!("{number:.digits$}"))
        };
        format!(
            "{} x {}; busy threads {} before, {} after; a line of cache to the other core: {} ns before, \
             {} ns after",
            self.machine.processors,
            self.machine
                .processor
                .as_deref()
                .unwrap_or("unknown processor"),
            known(self.machine.busy_threads_before, 1),
            known(self.machine.busy_threads_after, 1),
            known(self.cross_core_nanoseconds.before, 0),
            known(self.cross_core_nanoseconds.after, 0),
        )
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.workload.describe())?;
        match &self.result {
            Measured::Done(outcome) => outcome.fmt(f),
            Measured::Failed { failed } => writeln!(f, "  failed: {failed}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Goodput(goodput) => goodput.fmt(f),
            Self::Paced(paced) => paced.fmt(f),
            Self::Memory(memory) => memory.fmt(f),
            Self::Gaps(gaps) => gaps.fmt(f),
            Self::Aggregated(aggregated) => aggregated.fmt(f),
        }
    }
}

impl fmt::Display for Goodput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { median, min, max } = self.gbit_per_second;
        writeln!(
            f,
            "  {median:.3} Gbit/s ({min:.3} to {max:.3} in its parts)"
        )
    }
}

impl fmt::Display for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:.0}/s at most", self.capacity_per_second)?;
        let latency = &self.latency;
        writeln!(
            f,
            "  at {:.0}/s: p50 {:.1} us, p99 {:.1}, p99.9 {:.1}, max {:.1}, of {}",
            self.rate_per_second,
            latency.p50_us,
            latency.p99_us,
            latency.p99_9_us,
            latency.max_us,
            latency.count
        )?;
        match self.unanswered {
            0 => Ok(()),
            unanswered => writeln!(f, "  {unanswered} were not answered in time"),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:.0} bytes of memory an end; {} subflows",
            self.bytes_per_end, self.subflows
        )
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { median, min, max } = self.gap_ms;
        writeln!(
            f,
            "  {median:.1} ms without an arrival ({min:.1} to {max:.1} in {} cuts; {:.1} at most with all \
             links whole)",
            self.gaps_ms.len(),
            self.whole_ms
        )
    }
}

impl fmt::Display for Aggregated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [wide, far] = self.alone_gbit_per_second;
        writeln!(
            f,
            "  {:.3} Gbit/s together, {:.2} of {wide:.3} and {far:.3} alone",
            self.together_gbit_per_second, self.share
        )
    }
}
