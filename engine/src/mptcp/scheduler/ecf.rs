//! Earliest completion first (Lim, Nahum, Towsley, Gibbens: "ECF: An MPTCP Path Scheduler to Manage
//! Heterogeneous Paths", CoNEXT 2017).
//!
//! With the fast subflow's window full the slow one is used only if that finishes what is queued
//! earlier than waiting for the fast one would.

use super::min_rtt::{self, fastest, fastest_with_room};
use super::{Candidate, Choice, Demand};

/// Once waiting, waiting may take that much longer: it does not change its mind at once.
const BETA: f64 = 0.25;

/// What ECF remembers.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Ecf {
    /// The last decision was to wait.
    waiting: bool,
}

impl Ecf {
    /// See [`super::SchedulerState::pick`].
    pub fn pick(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
        demand: &Demand,
    ) -> Option<Choice> {
        let fast = fastest(candidates.clone())?;
        let slow = fastest_with_room(candidates.clone())?;
        if slow.index == fast.index || !fast.is_worth_waiting_for() {
            return min_rtt::pick(candidates);
        }
        (!self.is_waiting_better(&fast, &slow, demand)).then(|| Choice::all(&slow))
    }

    fn is_waiting_better(&mut self, fast: &Candidate, slow: &Candidate, demand: &Demand) -> bool {
        let (Some(fast_rtt), Some(slow_rtt)) = (fast.seconds(), slow.seconds()) else {
            return false;
        };
        let queued = demand.queued as f64;
        let margin = fast.rtt_variation.max(slow.rtt_variation).as_secs_f64();
        let patience = if self.waiting { 1.0 + BETA } else { 1.0 };
        let by_fast = (1.0 + queued / fast.window()) * fast_rtt;
        if by_fast >= patience * (slow_rtt + margin) {
            self.waiting = false;
            return false;
        }
        // What little is queued: the slow one has it through before the fast one has room.
        if queued / slow.window() * slow_rtt < 2.0 * fast_rtt + margin {
            return false;
        }
        self.waiting = true;
        true
    }
}
