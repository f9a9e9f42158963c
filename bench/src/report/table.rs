//! The report as text.

use std::fmt;

use super::{Case, Entry, Figure, Report};
use crate::load::{Load, Pace};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        let known = |number: Option<f64>, digits: usize| {
            number.map_or_else(|| "?".to_owned(), |number| format!("{number:.digits$}"))
        };
        writeln!(
            f,
            "{} x {}; busy threads {} before, {} after; a line of cache to the other core: {} ns \
             before, {} ns after",
            machine.processors,
            machine.processor.as_deref().unwrap_or("unknown processor"),
            known(machine.busy_threads_before, 1),
            known(machine.busy_threads_after, 1),
            known(self.cross_core_nanoseconds.before, 0),
            known(self.cross_core_nanoseconds.after, 0),
        )?;
        writeln!(
            f,
            "{} rounds, interleaved; ratios within a round: median (minimum to maximum)",
            self.rounds
        )?;
        for absence in &self.absent {
            writeln!(
                f,
                "absent: {}: {}",
                absence.contender.name(),
                absence.reason
            )?;
        }
        self.cases.iter().try_for_each(|case| case.fmt(f))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = match self.pace {
            Pace::Sleeping => "calls that block, a thread for each end",
            Pace::Spinning => "calls that do not block, one spinning thread",
        };
        let (load, figures, unit) = match self.load {
            Load::Bulk { buffer, .. } => (
                format!("bulk, buffers of {buffer} bytes"),
                format!("{:>8} {:>17}", "Gbit/s", "(least to most)"),
                "sleeps/MiB",
            ),
            Load::RoundTrips { size, .. } => (
                format!("round trips of {size} bytes"),
                format!("{:>8} {:>8} {:>8} {:>8}", "p50 us", "p99", "p99.9", "max"),
                "sleeps each",
            ),
        };
        writeln!(f, "\n{load}; {pace}")?;
        writeln!(
            f,
            "  {:12} {figures:36} {:>22} {:>22} {unit:>12}",
            "", "ratio to engine", "ratio to Linux MPTCP"
        )?;
        self.entries.iter().try_for_each(|entry| entry.fmt(f))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = match self.figure {
            Figure::Goodput(spread) => {
                let range = format!("({:.1} to {:.1})", spread.min, spread.max);
                format!("{:8.1} {range:>17}", spread.median)
            }
            Figure::RoundTrip {
                p50,
                p99,
                p99_9,
                longest,
            } => format!("{p50:8.1} {p99:8.1} {p99_9:8.1} {longest:8.0}"),
        };
        let ratio = |spread: Option<super::Spread>| {
            spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string())
        };
        writeln!(
            f,
            "  {:12} {figure:36} {:>22} {:>22} {:>12.2}",
            self.contender.name(),
            ratio(self.of_engine),
            ratio(self.of_linux_mptcp),
            self.sleeps
        )
    }
}
