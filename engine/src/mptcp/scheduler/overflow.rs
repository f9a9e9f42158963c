//! The primary while it has room; what it could not carry in time goes to the next, and everything
//! does while an acknowledgment of the primary is overdue.
//!
//! With the primary's window full, the primary would need `(1 + queued / window) * rtt` for all
//! that is queued. What it could send within the round trip of the next subflow is left to it; only
//! the rest overflows, and so what overflows is there no later than the primary would have had the
//! queue through.

use super::min_rtt::{fastest, fastest_with_room};
use super::primary::Primary;
use super::{Candidate, Choice, Demand};

/// What overflow remembers.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Overflow {
    primary: Primary,
}

impl Overflow {
    /// See [`super::SchedulerState::pick`].
    pub fn pick(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
        demand: &Demand,
    ) -> Option<Choice> {
        let primary = self.primary.of(candidates.clone())?;
        if primary.doubted {
            // It stays primary: more often than not the acknowledgment was only late.
            let others = candidates.clone().filter(|other| !other.doubted);
            if let Some(other) = fastest_with_room(others) {
                return Some(Choice::all(&other));
            }
        }
        if primary.room > 0 {
            return Some(Choice::all(&primary));
        }
        let others = candidates.filter(|other| other.room > 0);
        let next = fastest(others)?;
        let limit = if primary.is_worth_waiting_for() {
            excess(&primary, &next, demand)
        } else {
            u64::MAX
        };
        let segment_size = u64::from(next.segment_size.max(1));
        // Whole segments, unless all that is queued goes.
        let limit = if limit < demand.queued {
            limit - limit % segment_size
        } else {
            limit
        };
        (limit > 0).then_some(Choice {
            index: next.index,
            limit,
        })
    }
}

/// Bytes of what is queued that the primary could not send by the time they would be acknowledged
/// on the other subflow.
fn excess(primary: &Candidate, other: &Candidate, demand: &Demand) -> u64 {
    let (Some(primary_rtt), Some(other_rtt)) = (primary.seconds(), other.seconds()) else {
        return u64::MAX;
    };
    let margin = primary.rtt_variation.max(other.rtt_variation).as_secs_f64();
    let rounds = ((other_rtt + margin) / primary_rtt - 1.0).max(0.0);
    let in_time = (primary.window() * rounds) as u64;
    demand.queued.saturating_sub(in_time)
}
