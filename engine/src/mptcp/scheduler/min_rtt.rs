//! Lowest smoothed round trip first: fills the fastest path's window, then the next one's.
//! Those that the application prefers count as the fastest.

use super::{Candidate, Choice};

/// The candidate of the lowest round trip that has room. One that was never measured comes after
/// all that were; among equals the first wins.
pub fn pick(candidates: impl Iterator<Item = Candidate>) -> Option<Choice> {
    fastest_with_room(candidates).map(|candidate| Choice::all(&candidate))
}

pub(super) fn fastest_with_room(candidates: impl Iterator<Item = Candidate>) -> Option<Candidate> {
    fastest(candidates.filter(|candidate| candidate.room > 0))
}

pub(super) fn fastest(candidates: impl Iterator<Item = Candidate>) -> Option<Candidate> {
    candidates.min_by_key(Candidate::order)
}
