//! What was measured: ratios to the engine's own API and to Linux's Multipath TCP, taken within each
//! round, and the figures themselves for orientation.

mod table;

use std::collections::BTreeMap;

use braid_control::bench::Latencies;
use serde::Serialize;

pub use braid_control::bench::Spread;
pub use braid_control::bench::machine::{CrossCore, Machine, Surroundings};

use crate::contender::{Contender, Measured};
use crate::load::{Load, Outcome, Pace};

/// All of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// How often everything was measured.
    pub rounds: u32,
    /// What it was measured on.
    pub machine: Machine,
    /// What handing a line of cache to the other core cost.
    pub cross_core_nanoseconds: CrossCore,
    /// The loads.
    pub cases: Vec<Case>,
    /// What could not be measured here.
    pub absent: Vec<Absence>,
}

/// A contender that this machine does not have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Absence {
    /// Which.
    pub contender: Contender,
    /// Why, and what mends it.
    pub reason: String,
}

/// One load over all contenders.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Case {
    /// What was done.
    pub load: Load,
    /// How its applications waited.
    pub pace: Pace,
    /// In the order of the contenders.
    pub entries: Vec<Entry>,
}

/// One load over one contender.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// Over what.
    pub contender: Contender,
    /// What came of it.
    pub figure: Figure,
    /// Its figure (goodput, or the median round trip) divided by that of the engine's own API in the
    /// same round.
    pub of_engine: Option<Spread>,
    /// The same, of Linux's Multipath TCP.
    pub of_linux_mptcp: Option<Spread>,
    /// How often threads slept, those of the engine too: for each MiB, or for each round trip.
    pub sleeps: f64,
}

/// What came of a load.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Of one way: 10^9 bits of payload each second.
    Goodput(Spread),
    /// Of round trips: microseconds, over all rounds.
    RoundTrip {
        /// Half took no longer.
        p50: f64,
        /// 99 of 100 took no longer.
        p99: f64,
        /// 999 of 1,000 took no longer.
        p99_9: f64,
        /// The longest.
        longest: f64,
    },
}

impl Case {
    pub(crate) fn new(
        load: Load,
        pace: Pace,
        runs: impl Iterator<Item = (Contender, Vec<Measured>)>,
    ) -> Self {
        let runs: BTreeMap<Contender, Vec<Measured>> = runs.collect();
        let ratio = |of: &[Measured], to: Contender| -> Option<Spread> {
            let to = runs.get(&to)?;
            let rounds = of.iter().zip(to);
            Spread::of(rounds.map(|(of, to)| judged(&of.outcome) / judged(&to.outcome)))
        };
        let entry = |(&contender, measured): (&Contender, &Vec<Measured>)| -> Option<Entry> {
            Some(Entry {
                contender,
                figure: figure(measured)?,
                of_engine: ratio(measured, Contender::Engine),
                of_linux_mptcp: ratio(measured, Contender::LinuxMptcp),
                sleeps: measured.iter().map(|one| one.sleeps as f64).sum::<f64>()
                    / measured.len().max(1) as f64
                    / load.units(),
            })
        };
        Self {
            load,
            pace,
            entries: runs.iter().filter_map(entry).collect(),
        }
    }
}

/// The one number of a run that ratios are made of.
fn judged(outcome: &Outcome) -> f64 {
    match outcome {
        Outcome::Bulk { bytes, nanoseconds } => *bytes as f64 * 8.0 / *nanoseconds as f64,
        Outcome::RoundTrips(counts) => {
            let mut times = Latencies::new();
            times.add_counts(counts);
            times.at(0.5) as f64
        }
    }
}

fn figure(measured: &[Measured]) -> Option<Figure> {
    let mut times = Latencies::new();
    for one in measured {
        match &one.outcome {
            Outcome::Bulk { .. } => {
                let goodput = measured.iter().map(|one| judged(&one.outcome));
                return Spread::of(goodput).map(Figure::Goodput);
            }
            Outcome::RoundTrips(counts) => times.add_counts(counts),
        }
    }
    let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1_000.0;
    (!measured.is_empty()).then(|| Figure::RoundTrip {
        p50: microseconds(times.at(0.5)),
        p99: microseconds(times.at(0.99)),
        p99_9: microseconds(times.at(0.999)),
        longest: microseconds(times.longest()),
    })
}
