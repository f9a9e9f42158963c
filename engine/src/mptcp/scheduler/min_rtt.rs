//! Lowest smoothed round trip first: fills the fastest path's window, then the next one's.

use super::Candidate;
use crate::time::Duration;

/// The candidate of the lowest round trip. One that was never measured comes after all that were;
/// among equals the first wins.
pub fn pick(candidates: impl Iterator<Item = Candidate>) -> Option<usize> {
    candidates
        .min_by_key(|candidate| candidate.smoothed_rtt.unwrap_or(Duration::MAX))
        .map(|candidate| candidate.index)
}
