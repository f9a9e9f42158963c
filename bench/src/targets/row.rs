//! What came of a target.

use serde::Serialize;

use super::{Mode, Target};
use crate::interleaved::{Beside, Compared};
use crate::machine;
use crate::report::CrossCore;

/// A row.
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
    /// What is measured, and its unit.
    pub what: &'static str,
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
    /// The limit: of the ratio, or of ours where that is judged.
    pub target: f64,
    /// Whether it is kept to.
    pub met: bool,
    /// Rounds that count: in which the machine kept to one mode, this one.
    pub rounds: usize,
    /// What the machine was like in them.
    pub mode: Mode,
    /// Other peers' figures, for orientation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
    /// What handing a line of cache to the other core cost, just before and just after.
    pub cross_core_nanoseconds: CrossCore,
}

impl Row {
    /// Measures a target in so many rounds.
    pub fn measure(target: &Target, rounds: u32) -> Self {
        let before = machine::cross_core_nanoseconds();
        match (target.measure)(rounds) {
            Err(skipped) => Self::Skipped { skipped },
            Ok(compared) => {
                let after = machine::cross_core_nanoseconds();
                Self::Measured(Measured::new(target, compared, CrossCore { before, after }))
            }
        }
    }
}

impl Measured {
    fn new(target: &Target, compared: Compared, cross_core: CrossCore) -> Self {
        Self {
            what: target.what,
            braid: compared.ours.median,
            peer: compared.theirs.median,
            peer_name: target.peer,
            ratio: compared.ratio.median,
            min: compared.ratio.min,
            max: compared.ratio.max,
            target: target.bound.limit(compared.mode),
            met: target.bound.is_met(&compared),
            rounds: compared.rounds,
            mode: compared.mode,
            beside: compared.beside,
            cross_core_nanoseconds: cross_core,
        }
    }
}
