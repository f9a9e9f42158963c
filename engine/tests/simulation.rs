//! Seeds of the simulation: two hosts, some links, faults and middleboxes drawn from each, and
//! what must hold whatever was drawn. See `braid_engine::testing::scenario`.

use braid_engine::testing::scenario::{Report, run};
use std::ops::Range;

/// Seeds of every test run.
const SEEDS: u64 = 2_000;

/// Runs the seeds; prints each that broke a promise, then fails.
fn run_all(seeds: Range<u64>) {
    let broken: Vec<Report> = seeds
        .map(run)
        .filter(|report| !report.violations.is_empty())
        .collect();
    for report in &broken {
        println!("{report}");
    }
    assert!(broken.is_empty(), "{} seeds broke a promise", broken.len());
}

/// The seeds in parts, so that the test runner spreads them over the cores.
macro_rules! parts {
    ($($name:ident = $part:expr;)*) => {
        $(#[test]
        fn $name() {
            let length = SEEDS / 8;
            run_all($part * length..($part + 1) * length);
        })*
    };
}

parts! {
    seeds_part_1 = 0;
    seeds_part_2 = 1;
    seeds_part_3 = 2;
    seeds_part_4 = 3;
    seeds_part_5 = 4;
    seeds_part_6 = 5;
    seeds_part_7 = 6;
    seeds_part_8 = 7;
}

#[test]
fn same_seed_gives_the_same_trace() {
    for seed in (0..SEEDS).step_by(100) {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
