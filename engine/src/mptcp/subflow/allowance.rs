//! How much received data may wait on the subflow (RFC 8684 section 3.3.1: there is one receive window
//! for all subflows, so there is one allowance for what waits on them).
//!
//! Each subflow has a small share of its own. When half of that is in use it asks home for
//! more, and again ahead of need because the answer takes time, and it gives back what it needs no longer.

use super::{Outbox, Subflow};
use crate::mptcp::message::ToHome;

/// What is asked for is a multiple of so many shares: a queue that grows asks seldom.
const STEP: u64 = 4;

/// One part in so many is asked for beyond what is needed. What one subflow does not use another may
/// need: a peer that heeds the window is to find room on every one.
const AHEAD: u64 = 4;

/// Bytes of memory for data that waits.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Allowance {
    share: u64,
    granted: u64,
    /// What was asked for last.
    wanted: u64,
    /// The answer is under way.
    asked: bool,
}

impl Allowance {
    /// It has its share and no more, and no answer is under way: nothing is lost with the rest. What was
    /// asked for in vain is no reason to stay awake, as nobody will grant it later.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.asked && self.granted == 0
    }

    /// All that may be held.
    fn bytes(&self) -> usize {
        usize::try_from(self.share.saturating_add(self.granted)).unwrap_or(usize::MAX)
    }

    /// What to ask home for, if anything, when `held` bytes wait and `refused` more found no room
    /// of late. What is given back is off the allowance already.
    fn review(&mut self, held: usize, refused: usize) -> Option<u64> {
        if self.asked {
            return None;
        }
        let needed = (held as u64).saturating_add(refused as u64);
        let wanted = if needed <= self.share / 2 {
            0
        } else {
            let step = self.share.saturating_mul(STEP).max(1);
            needed
                .saturating_add(needed / AHEAD)
                .div_ceil(step)
                .saturating_mul(step)
        };
        // Home may have had less to give; it is asked again when that was felt.
        let more = wanted > self.granted && (wanted != self.wanted || refused > 0);
        let less = wanted < self.granted && wanted <= self.granted / 2;
        if !more && !less {
            return None;
        }
        self.granted = if less { wanted } else { self.granted };
        self.wanted = wanted;
        self.asked = true;
        Some(wanted)
    }
}

impl Subflow {
    /// Takes the share that home publishes.
    pub(super) fn adopt_share(&mut self, share: u64) {
        if self.allowance.share != share {
            self.allowance.share = share;
            self.tcp.set_allowance(self.allowance.bytes());
        }
    }

    /// Home has answered.
    pub(super) fn take_allowance(&mut self, granted: u64) {
        self.allowance.granted = granted;
        self.allowance.asked = false;
        self.tcp.set_allowance(self.allowance.bytes());
    }

    /// Asks home for what is needed by now, or gives back what is not: after every call that took
    /// in data or passed it on.
    pub(super) fn review_allowance(&mut self, out: &mut Outbox<ToHome>) {
        if self.ended {
            return;
        }
        let (held, refused) = (self.tcp.held_bytes(), self.tcp.refused_bytes());
        if let Some(wanted) = self.allowance.review(held, refused) {
            self.tcp.set_allowance(self.allowance.bytes());
            out.push(ToHome::Allowance { wanted });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance() -> Allowance {
        Allowance {
            share: 1_000,
            ..Allowance::default()
        }
    }

    #[test]
    fn more_is_asked_for_ahead_of_need_and_not_twice() {
        let mut allowance = allowance();
        assert_eq!(allowance.review(500, 0), None);
        assert_eq!(allowance.review(501, 0), Some(4_000));
        assert_eq!(allowance.review(5_000, 0), None, "before the answer");
        allowance.granted = 4_000;
        allowance.asked = false;
        assert_eq!(allowance.review(3_200, 0), None);
        assert_eq!(allowance.review(3_201, 0), Some(8_000));
    }

    #[test]
    fn what_was_not_to_be_had_is_asked_for_again_once_it_is_missed() {
        let mut allowance = allowance();
        assert_eq!(allowance.review(900, 300), Some(4_000));
        allowance.granted = 100;
        allowance.asked = false;
        assert_eq!(allowance.review(900, 0), None);
        assert_eq!(allowance.review(1_000, 300), Some(4_000));
    }

    #[test]
    fn a_subflow_that_was_allowed_nothing_rests_once_it_has_its_answer() {
        let mut allowance = allowance();
        assert_eq!(allowance.review(900, 300), Some(4_000));
        assert!(!allowance.is_at_rest(), "the answer is under way");
        allowance.asked = false;
        assert_eq!(
            allowance.review(0, 0),
            None,
            "there is nothing to give back"
        );
        assert!(allowance.is_at_rest());
    }

    #[test]
    fn what_is_given_back_is_not_used_while_home_is_told() {
        let mut allowance = Allowance {
            granted: 8_000,
            ..allowance()
        };
        assert_eq!(allowance.review(3_201, 0), None, "a little less is kept");
        assert_eq!(allowance.review(3_200, 0), Some(4_000));
        assert_eq!(allowance.bytes(), 5_000);
        allowance.asked = false;
        assert_eq!(allowance.review(0, 0), Some(0));
        assert_eq!(allowance.bytes(), 1_000);
    }
}
