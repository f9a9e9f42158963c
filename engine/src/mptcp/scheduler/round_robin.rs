//! Each subflow in turn, whatever its round trip: for tests, and for paths that are alike.

use super::{Candidate, Choice};

/// Full segments that a subflow gets in its turn.
const QUANTUM: u32 = 10;

/// Whose turn it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct RoundRobin {
    /// The subflow that was last chosen.
    last: Option<u32>,
}

impl RoundRobin {
    /// The next one with room after the last, in the order of their numbers; while one that the
    /// application prefers has room, only among those.
    pub fn pick(&mut self, candidates: impl Iterator<Item = Candidate> + Clone) -> Option<Choice> {
        let with_room = candidates.filter(|candidate| candidate.room > 0);
        let after = |candidate: &Candidate| self.last.is_none_or(|last| candidate.id > last);
        let next = with_room
            .min_by_key(|candidate| (!candidate.preferred, !after(candidate), candidate.id))?;
        self.last = Some(next.id);
        Some(Choice {
            index: next.index,
            limit: u64::from(next.segment_size) * u64::from(QUANTUM),
        })
    }
}
