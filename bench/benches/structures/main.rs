//! What each structure of the engine costs by itself: times by criterion, and beside them the instructions
//! that callgrind counts, which do not depend on what else the machine does.
//!
//! A module is a structure, and says what an element of its throughput is; the name of a benchmark says
//! what it is given.

mod assembler;
mod checksum;
mod controller;
mod flow_table;
mod harness;
mod instructions;
mod option;
mod report;
mod scheduler;
mod timer_wheel;

use criterion::Criterion;
use criterion::measurement::WallTime;
use instructions::Marked;

/// The structures, from the wire to the application.
const STRUCTURES: [fn(&mut Criterion<Marked>); 7] = [
    option::bench,
    checksum::bench,
    flow_table::bench,
    timer_wheel::bench,
    assembler::bench,
    scheduler::bench,
    controller::bench,
];

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(Marked(WallTime))
        .output_directory(&report::folder())
        .configure_from_args();
    for bench in STRUCTURES {
        bench(&mut criterion);
    }
    criterion.final_summary();
    report::print();
}
