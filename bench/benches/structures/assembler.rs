//! The assembler, which finds out what is in order of what two paths bring. An element is one segment.

use std::hint::black_box;

use braid_engine::storage::assembler::Assembler;
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::instructions::Marked;

/// Bytes of a segment.
const SEGMENT: u64 = 1_448;

/// Segments of one iteration, all of which are in order at its end.
const SEGMENTS: u64 = 128;

/// An order in which segments arrive: the place in the stream of the one that comes `n`th.
type Arrival = fn(u64) -> u64;

const ARRIVALS: [(&str, Arrival); 3] = [
    ("in order", |n| n),
    // The burst of the fast path comes before that of the slow one, of which it is the continuation.
    ("bursts of 16 swapped", |n| n ^ 16),
    // First every other segment, then those between.
    ("64 holes", |n| match n.checked_sub(SEGMENTS / 2) {
        None => 2 * n + 1,
        Some(late) => 2 * late,
    }),
];

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "assembler");
    for (name, arrival) in ARRIVALS {
        group.time(
            name,
            Throughput::Elements(SEGMENTS),
            || (Assembler::new(1_024), 0),
            |(assembler, in_order)| {
                let base = *in_order;
                for n in 0..SEGMENTS {
                    let start = base + arrival(black_box(n)) * SEGMENT;
                    let added = assembler.insert(start, start + SEGMENT);
                    assert!(added.is_ok_and(|added| added.len() == 1));
                    *in_order = assembler.take_front(*in_order);
                }
                assert_eq!(*in_order, base + SEGMENTS * SEGMENT);
            },
        );
    }
}
