//! What many connections take (T6), and what they cost the packets of each (T7).

use super::{Bound, Target};
use crate::crowd::{Stage, heap_of_an_endpoint};
use crate::interleaved::{Compared, compare};

/// Idle connections whose memory is measured.
const IDLE: usize = 10_000;

/// What Linux 6 took for an endpoint when the target was set.
const LINUX_BYTES: f64 = 8_900.0;

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;

/// Of the many: together they take some hundred times the last cache.
const BUSY: usize = 100_000;

pub(super) const MEMORY: Target = Target {
    number: 6,
    part: "",
    what: "heap of an idle endpoint with two subflows, without its buffers: bytes",
    peer: "Linux's Multipath TCP, as it was when the target was set",
    bound: Bound::ours_at_most(3_072.0),
    measure: |_| compare(1, || heap_of_an_endpoint(IDLE, 2), || Ok(LINUX_BYTES)),
};

pub(super) const ALL_BUSY: Target = Target {
    number: 7,
    part: "",
    what: "64 bytes and their acknowledgment, any 100,000 of 1,000,000 connections: ns",
    peer: "the same with 1,000 connections",
    bound: Bound::ratio_at_most(2.0),
    measure: |rounds| beside_few(rounds, BUSY),
};

fn beside_few(rounds: u32, busy: usize) -> Result<Compared, String> {
    let mut many = Stage::with(MANY, busy)?;
    let mut few = Stage::with(FEW, FEW)?;
    compare(rounds, || many.message(), || few.message())
}
