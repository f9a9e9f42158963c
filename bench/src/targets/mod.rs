//! The targets that the engine is measured against, a row each: what ours reaches, what the peer reaches
//! in the same run, and the ratio that is judged.

mod one_thread;

use serde::Serialize;

use crate::interleaved::Compared;

/// A target.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum, Serialize)]
#[value(rename_all = "verbatim")]
pub enum Target {
    /// One thread, two stacks, segments of an Ethernet link, one subflow.
    T1,
    /// The same with two subflows.
    T1b,
    /// The same with one subflow and large segments, beside T1.
    T2,
}

impl Target {
    /// All that are measured, in their order.
    pub const ALL: [Self; 3] = [Self::T1, Self::T1b, Self::T2];

    /// What is measured.
    pub fn what(self) -> &'static str {
        match self {
            Self::T1 => "one thread, two stacks, 1,448-byte segments, one subflow: Gbit/s",
            Self::T1b => "the same with two subflows: Gbit/s",
            Self::T2 => "the same with 64 KiB segments, one subflow, beside T1: Gbit/s",
        }
    }

    /// What ours is to be at least, in terms of the peer's.
    pub fn least_ratio(self) -> f64 {
        match self {
            Self::T1 => 1.2,
            Self::T1b => 1.0,
            Self::T2 => 3.0,
        }
    }

    /// Whom it is measured against.
    pub fn peer(self) -> &'static str {
        match self {
            Self::T1 | Self::T1b => "smoltcp 0.14",
            Self::T2 => "braid, 1,448-byte segments",
        }
    }

    /// Measures it in so many rounds.
    pub fn measure(self, rounds: u32) -> Row {
        let compared = match self {
            Self::T1 => one_thread::beside_smoltcp(1, rounds),
            Self::T1b => one_thread::beside_smoltcp(2, rounds),
            Self::T2 => one_thread::large_segments(rounds),
        };
        match compared {
            Ok(compared) => Row::Measured(Measured::new(self, &compared)),
            Err(skipped) => Row::Skipped { skipped },
        }
    }
}

/// What came of a target.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum Row {
    /// The figures.
    Measured(Measured),
    /// It could not be measured.
    Skipped {
        /// Why, and what mends it.
        skipped: String,
    },
}

/// The figures of a target.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Measured {
    /// Ours, the median of all rounds.
    pub braid: f64,
    /// The peer's.
    pub peer: f64,
    /// Who that is.
    pub peer_name: &'static str,
    /// The median of the rounds' ratios.
    pub ratio: f64,
    /// The least of them.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// What the ratio is to be at least.
    pub target: f64,
    /// Whether the median is.
    pub met: bool,
}

impl Measured {
    fn new(target: Target, compared: &Compared) -> Self {
        Self {
            braid: compared.ours.median,
            peer: compared.theirs.median,
            peer_name: target.peer(),
            ratio: compared.ratio.median,
            min: compared.ratio.min,
            max: compared.ratio.max,
            target: target.least_ratio(),
            met: compared.ratio.median >= target.least_ratio(),
        }
    }
}
