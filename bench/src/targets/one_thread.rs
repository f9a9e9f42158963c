//! Two stacks in one thread, ours and smoltcp's.

use crate::interleaved::{Compared, compare};
use crate::one_thread::braid::{Links, Pair};
use crate::one_thread::{goodput, smoltcp};

const ONE_SUBFLOW: Links = Links {
    subflows: 1,
    large_segments: false,
};

pub(super) fn beside_smoltcp(subflows: u8, rounds: u32) -> Result<Compared, String> {
    let mut ours = Pair::new(Links {
        subflows,
        ..ONE_SUBFLOW
    })?;
    let mut theirs = smoltcp::Pair::new()?;
    compare(rounds, || goodput(&mut ours), || goodput(&mut theirs))
}

pub(super) fn large_segments(rounds: u32) -> Result<Compared, String> {
    let mut large = Pair::new(Links {
        large_segments: true,
        ..ONE_SUBFLOW
    })?;
    let mut small = Pair::new(ONE_SUBFLOW)?;
    compare(rounds, || goodput(&mut large), || goodput(&mut small))
}
