//! Runs many seeds of the simulation and tells what they found.
//!
//! Of a single seed it prints the scenario too.
//!
//! `cargo run --release -p braid-engine --features testing --example simulate -- FIRST COUNT`

use braid_engine::testing::scenario::{Report, Scenario, run};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Sums over all runs.
#[derive(Default)]
struct Totals {
    runs: u64,
    bytes: u64,
    completed: usize,
    failed: usize,
    fell_back: usize,
    several_subflows: u64,
    protected: usize,
    broken: Vec<u64>,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.bytes += report.bytes;
        self.completed += report.completed;
        self.failed += report.failed;
        self.fell_back += report.fell_back;
        self.protected += report.protected;
        self.several_subflows += u64::from(report.most_subflows > 1);
        if !report.violations.is_empty() {
            println!("{report}");
            self.broken.push(report.seed);
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>());
    let (first, count) = match (arguments.next(), arguments.next()) {
        (Some(Ok(first)), Some(Ok(count))) => (first, count),
        _ => {
            eprintln!("say the first seed and how many: simulate -- 0 200000");
            return ExitCode::from(2);
        }
    };
    if count == 1 {
        println!("{:#?}", Scenario::draw(first));
    }
    let next = AtomicU64::new(first);
    let totals = Mutex::new(Totals::default());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let report = match std::panic::catch_unwind(|| run(seed)) {
                        Ok(report) => report,
                        Err(_) => {
                            println!("seed {seed} panicked");
                            totals
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .broken
                                .push(seed);
                            continue;
                        }
                    };
                    totals
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .add(&report);
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} runs: {} bytes read; connections: {} whole, {} had to be, {} ended in an error, \
         {} fell back to TCP; \
         {} runs with several subflows; {} broke a promise",
        totals.runs,
        totals.bytes,
        totals.completed,
        totals.protected,
        totals.failed,
        totals.fell_back,
        totals.several_subflows,
        totals.broken.len()
    );
    if totals.broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
