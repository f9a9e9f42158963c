//! Our engine beside its peers, a row for each target; `bench/compare` builds and runs it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use braid_bench::report::{CrossCore, Machine, Surroundings};
use braid_bench::targets::{Row, Target};
use clap::Parser;
use serde::Serialize;

/// Measure the engine beside its peers, each in the same run.
///
/// Example: bench/compare --only T1,T2 --json
#[derive(Debug, Parser)]
#[command(name = "compare")]
struct Arguments {
    /// Only these rows.
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    only: Vec<Target>,

    /// How often each is measured; one round more comes before them and does not count.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    cross_core_nanoseconds: CrossCore,
    rows: BTreeMap<Target, Row>,
}

fn measure(arguments: &Arguments) -> Report {
    let surroundings = Surroundings::before();
    let wanted = |target: &Target| arguments.only.is_empty() || arguments.only.contains(target);
    let rows = Target::ALL.into_iter().filter(wanted).map(|target| {
        eprintln!("{target:?}: {}", target.what());
        (target, target.measure(arguments.rounds))
    });
    let rows = rows.collect();
    let (machine, cross_core_nanoseconds) = surroundings.after();
    Report {
        machine,
        cross_core_nanoseconds,
        rows,
    }
}

fn print(report: &Report) {
    let CrossCore { before, after } = report.cross_core_nanoseconds;
    let nanoseconds = |cost: Option<f64>| cost.map_or("?".into(), |cost| format!("{cost:.0}"));
    println!(
        "a line of cache to the other core: {} ns before, {} ns after",
        nanoseconds(before),
        nanoseconds(after)
    );
    println!("row    braid     peer   ratio   (least to most)   target        peer");
    for (target, row) in &report.rows {
        match row {
            Row::Measured(row) => println!(
                "{:<4} {:>7.2}  {:>7.2}  {:>6.2}   ({:.2} to {:.2})   {:>6.2} {:<6}  {}",
                format!("{target:?}"),
                row.braid,
                row.peer,
                row.ratio,
                row.min,
                row.max,
                row.target,
                if row.met { "met" } else { "missed" },
                row.peer_name
            ),
            Row::Skipped { skipped } => println!("{target:?}   skipped: {skipped}"),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = measure(&arguments);
    if !arguments.json {
        print(&report);
        return ExitCode::SUCCESS;
    }
    match serde_json::to_string_pretty(&report) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}
