//! What each structure of the engine costs by itself: times by criterion, and beside them the instructions
//! that callgrind counts, which do not depend on what else the machine does.
//!
//! A module is a structure, and says what an element of its throughput is; the name of a benchmark says
//! what it is given.

mod assembler;
mod byte_ring;
mod checksum;
mod controller;
mod flow_table;
mod handshake;
mod harness;
mod hosts;
mod instructions;
mod option;
mod reassembly_ring;
mod report;
mod scheduler;
mod segment;
mod timer_wheel;

use std::time::Duration;

use criterion::Criterion;
use criterion::measurement::WallTime;
use instructions::Marked;

/// The structures, from the wire to the application.
const STRUCTURES: [fn(&mut Criterion<Marked>); 11] = [
    option::bench,
    checksum::bench,
    flow_table::bench,
    timer_wheel::bench,
    reassembly_ring::bench,
    assembler::bench,
    scheduler::bench,
    controller::bench,
    segment::bench,
    handshake::bench,
    byte_ring::bench,
];

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(Marked(WallTime))
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .output_directory(&report::folder())
        .configure_from_args();
    for bench in STRUCTURES {
        bench(&mut criterion);
    }
    criterion.final_summary();
    report::print();
}
