//! What came of a target.

use serde::Serialize;

use super::{Mode, Target};
use crate::interleaved::{Beside, Compared};
use crate::machine;
use crate::report::CrossCore;

/// How often a target is measured at most, when the machine changes its mode meanwhile.
const ATTEMPTS: usize = 2;

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
    /// Other peers' figures, for orientation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
    /// What handing a line of cache to the other core cost, just before and just after.
    pub cross_core_nanoseconds: CrossCore,
}

impl Row {
    /// Measures a target in so many rounds; again, when the machine has changed its mode meanwhile.
    pub fn measure(target: &Target, rounds: u32) -> Self {
        let mut skipped = String::new();
        for _ in 0..ATTEMPTS {
            let before = machine::cross_core_nanoseconds();
            let compared = match (target.measure)(rounds) {
                Ok(compared) => compared,
                Err(skipped) => return Self::Skipped { skipped },
            };
            let after = machine::cross_core_nanoseconds();
            // Where one of them is not known, nothing says that the mode has changed.
            let [first, last] = [before.or(after), after.or(before)].map(|cost| cost.map(Mode::of));
            if first == last {
                let mode = last.unwrap_or(Mode::Near);
                let cross_core = CrossCore { before, after };
                return Self::Measured(Measured::new(target, &compared, mode, cross_core));
            }
            skipped = format!(
                "a line of cache to the other core cost {:.0} ns before and {:.0} ns after: figures of \
                 the two modes are not mixed; measure again",
                before.unwrap_or_default(),
                after.unwrap_or_default()
            );
        }
        Self::Skipped { skipped }
    }
}

impl Measured {
    fn new(target: &Target, compared: &Compared, mode: Mode, cross_core: CrossCore) -> Self {
        Self {
            what: target.what,
            braid: compared.ours.median,
            peer: compared.theirs.median,
            peer_name: target.peer,
            ratio: compared.ratio.median,
            min: compared.ratio.min,
            max: compared.ratio.max,
            target: target.bound.limit(mode),
            met: target.bound.is_met(compared, mode),
            beside: compared.beside.clone(),
            cross_core_nanoseconds: cross_core,
        }
    }
}
