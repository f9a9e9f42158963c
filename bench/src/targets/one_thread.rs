//! Two stacks in one thread, ours and smoltcp's (T1, T2).

use super::{Bound, Target};
use crate::interleaved::{Compared, Other, compare, compare_beside};
use crate::memory_links::Links;
use crate::one_thread::braid::Pair;
use crate::one_thread::{goodput, mptcp_rs, smoltcp};

pub(super) const ONE_SUBFLOW: Target = Target {
    number: 1,
    part: "",
    what: "one thread, two stacks, 1,448-byte segments, one subflow: Gbit/s",
    peer: "smoltcp 0.14",
    bound: Bound::ratio_at_least(1.2),
    measure: |rounds| beside_smoltcp(1, rounds, vec![beside_mptcp_rs()]),
};

pub(super) const TWO_SUBFLOWS: Target = Target {
    part: "b",
    what: "the same with two subflows: Gbit/s",
    bound: Bound::ratio_at_least(1.0),
    measure: |rounds| beside_smoltcp(2, rounds, Vec::new()),
    ..ONE_SUBFLOW
};

pub(super) const LARGE_SEGMENTS: Target = Target {
    number: 2,
    part: "",
    what: "the same with 64 KiB segments, one subflow, beside T1: Gbit/s",
    peer: "braid, 1,448-byte segments",
    bound: Bound::ratio_at_least(3.0),
    measure: large_segments,
};

fn beside_smoltcp(subflows: u8, rounds: u32, others: Vec<Other<'_>>) -> Result<Compared, String> {
    let mut ours = Pair::new(Links {
        subflows,
        ..Links::ONE
    })?;
    let mut theirs = smoltcp::Pair::new()?;
    compare_beside(
        rounds,
        || goodput(&mut ours),
        || goodput(&mut theirs),
        others,
    )
}

/// The same with another client; what it says when it has no connection stands in the row.
fn beside_mptcp_rs() -> Other<'static> {
    let mut pair = mptcp_rs::Pair::new();
    Other::new("mptcp-rs 0.2 to our server", move || match &mut pair {
        Ok(pair) => goodput(pair),
        Err(reason) => Err(reason.clone()),
    })
}

fn large_segments(rounds: u32) -> Result<Compared, String> {
    let mut large = Pair::new(Links {
        large_segments: true,
        ..Links::ONE
    })?;
    let mut small = Pair::new(Links::ONE)?;
    compare(rounds, || goodput(&mut large), || goodput(&mut small))
}
