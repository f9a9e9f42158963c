//! One subflow until it fails: hot standby. Backups and subflows that fail rank behind, so they
//! become candidates only when nothing better is left.

use super::min_rtt::fastest;
use super::{Candidate, Choice};

/// Another subflow becomes primary if its round trip is less than this part of the primary's,
const SWITCH_NUMERATOR: u32 = 3;
/// which is three quarters: less is chance.
const SWITCH_DENOMINATOR: u32 = 4;

/// The primary subflow.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Primary {
    id: Option<u32>,
}

impl Primary {
    /// The primary if it has room.
    pub fn pick(&mut self, candidates: impl Iterator<Item = Candidate> + Clone) -> Option<Choice> {
        let primary = self.of(candidates)?;
        (primary.room > 0).then(|| Choice::all(&primary))
    }

    /// The primary among the candidates: the one it was, else the fastest. One that the
    /// application prefers takes over at once, a much faster one when the primary has nothing in flight, for under load every round trip grows.
    pub(super) fn of(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
    ) -> Option<Candidate> {
        let is_current = |candidate: &Candidate| Some(candidate.id) == self.id;
        let current = candidates.clone().find(is_current);
        let fastest = fastest(candidates)?;
        let primary = match current {
            Some(current) if !takes_over(&fastest, &current) => current,
            _ => fastest,
        };
        self.id = Some(primary.id);
        Some(primary)
    }
}

fn takes_over(fastest: &Candidate, current: &Candidate) -> bool {
    if fastest.preferred != current.preferred {
        return fastest.preferred;
    }
    current.in_flight == 0 && is_much_faster(fastest, current)
}

fn is_much_faster(one: &Candidate, other: &Candidate) -> bool {
    match (one.smoothed_rtt, other.smoothed_rtt) {
        (Some(one), Some(other)) => one < other / SWITCH_DENOMINATOR * SWITCH_NUMERATOR,
        _ => false,
    }
}
