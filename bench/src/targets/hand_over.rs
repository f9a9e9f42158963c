//! Letters from two workers to a third (T10).

use super::{Bound, Target};
use crate::hand_over::{array_queue, rings};
use crate::interleaved::compare;

/// Producers.
const PRODUCERS: usize = 2;

pub(super) const LETTERS: Target = Target {
    number: 10,
    part: "",
    what: "a segment handed to its home, two producers, batches of 32: ns",
    peer: "crossbeam's ArrayQueue",
    bound: Bound::ours_at_most(10.0).in_the_far_mode(25.0),
    measure: |rounds| compare(rounds, || rings(PRODUCERS), || array_queue(PRODUCERS)),
};
