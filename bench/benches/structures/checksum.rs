//! The Internet checksum, alone and with the copy into a frame; a plain copy beside it. Bytes are those
//! summed, of memory that the nearest cache holds but for the longest.

use std::hint::black_box;

use braid_engine::wire::checksum::{Sum, copy_and_sum};
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::instructions::Marked;

/// A header, a segment, and what a large segment carries.
const LENGTHS: [usize; 3] = [40, 1_448, 65_160];

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "checksum");
    for length in LENGTHS {
        let bytes = Throughput::Bytes(length as u64);
        let from = || (0..length).map(|n| n as u8).collect::<Vec<_>>();
        let both = || (from(), vec![0; length]);
        group.time(format_args!("sum {length}"), bytes.clone(), from, |from| {
            Sum::of(black_box(from))
        });
        group.time(
            format_args!("copy and sum {length}"),
            bytes.clone(),
            both,
            |(from, into)| copy_and_sum(black_box(into), black_box(from)),
        );
        group.time(
            format_args!("copy {length}"),
            bytes,
            both,
            |(from, into)| {
                black_box(into).copy_from_slice(black_box(from));
            },
        );
    }
}
