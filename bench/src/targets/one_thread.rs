//! Two stacks in one thread, ours and smoltcp's.

use crate::interleaved::{Compared, compare};
use crate::memory_links::Links;
use crate::one_thread::braid::Pair;
use crate::one_thread::{goodput, smoltcp};

pub(super) fn beside_smoltcp(subflows: u8, rounds: u32) -> Result<Compared, String> {
    let mut ours = Pair::new(Links {
        subflows,
        ..Links::ONE
    })?;
    let mut theirs = smoltcp::Pair::new()?;
    compare(rounds, || goodput(&mut ours), || goodput(&mut theirs))
}

pub(super) fn large_segments(rounds: u32) -> Result<Compared, String> {
    let mut large = Pair::new(Links {
        large_segments: true,
        ..Links::ONE
    })?;
    let mut small = Pair::new(Links::ONE)?;
    compare(rounds, || goodput(&mut large), || goodput(&mut small))
}
