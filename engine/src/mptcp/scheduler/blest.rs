//! Blocking estimation (Ferlin, Alay, Mehani, Boreli: "BLEST: Blocking Estimation-based MPTCP
//! Scheduler for Heterogeneous Networks", IFIP Networking 2016).
//!
//! Bytes on a slow subflow occupy the window until they are acknowledged. Where the fast subflow
//! could fill what is left of the window in that time, the slow one would block it, and waits.

use super::min_rtt::{self, fastest, fastest_with_room};
use super::{Candidate, Choice, Demand};
use crate::time::Instant;

/// The correction begins here,
const LAMBDA: f64 = 1.2;
/// stays within these bounds,
const LAMBDA_RANGE: (f64, f64) = (1.0, 1.3);
/// and changes by that much each round trip of the slow subflow.
const LAMBDA_STEP: f64 = 0.1;

/// What BLEST remembers: how far its estimates have been off.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Blest {
    /// Corrects the estimate of what the fast subflow can send.
    lambda: f64,
    /// The window was full since the last correction.
    was_blocked: bool,
    next_correction: Instant,
}

impl Default for Blest {
    fn default() -> Self {
        Self {
            lambda: LAMBDA,
            was_blocked: false,
            next_correction: Instant::ZERO,
        }
    }
}

impl Blest {
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
        self.correct(&slow, demand);
        (!self.blocks(&fast, &slow, demand)).then(|| Choice::all(&slow))
    }

    /// The window was full although estimates said it would not be.
    pub(super) fn on_window_full(&mut self) {
        self.was_blocked = true;
    }

    fn correct(&mut self, slow: &Candidate, demand: &Demand) {
        let Some(rtt) = slow.smoothed_rtt else { return };
        if demand.now < self.next_correction {
            return;
        }
        self.next_correction = demand.now + rtt;
        let step = if core::mem::take(&mut self.was_blocked) {
            LAMBDA_STEP
        } else {
            -LAMBDA_STEP
        };
        let (least, most) = LAMBDA_RANGE;
        self.lambda = (self.lambda + step).clamp(least, most);
    }

    /// A segment on `slow` would keep `fast` from sending while it is under way.
    fn blocks(&self, fast: &Candidate, slow: &Candidate, demand: &Demand) -> bool {
        let (Some(fast_rtt), Some(slow_rtt)) = (fast.seconds(), slow.seconds()) else {
            return false;
        };
        let rounds = slow_rtt / fast_rtt;
        // The fast subflow's window grows by a segment each round.
        let growth = f64::from(fast.segment_size) * (rounds - 1.0) / 2.0;
        let could_send = (fast.window() + growth) * rounds;
        let occupied = slow.in_flight as f64 + f64::from(slow.segment_size);
        self.lambda * could_send > demand.window as f64 - occupied
    }
}
