//! Our engine beside its peers, a row for each target; `bench/compare` builds and runs it.

use std::process::ExitCode;

use braid_bench::contender::part::Part;
use braid_bench::interleaved::Told;
use braid_bench::packets::part::run_if_asked;
use braid_bench::report::{CrossCore, Machine, Surroundings};
use braid_bench::targets::{Row, Selection, Target};
use clap::Parser;
use serde::{Serialize, Serializer};

/// Measure the engine beside its peers, each in the same run.
///
/// Example: bench/compare --only T1,T2 --json
#[derive(Debug, Parser)]
#[command(name = "compare")]
struct Arguments {
    /// Only these: all rows of a number (T1), or one row (T1b).
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    only: Vec<Selection>,

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
    #[serde(serialize_with = "by_name")]
    rows: Vec<(String, Row)>,
}

/// An object with a key a row, in the rows' order.
fn by_name<S: Serializer>(rows: &[(String, Row)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rows.iter().map(|(name, row)| (name, row)))
}

fn measure(arguments: &Arguments) -> Report {
    let surroundings = Surroundings::before();
    let wanted = |target: &&Target| {
        arguments.only.is_empty() || arguments.only.iter().any(|only| only.has(target))
    };
    let rows = Target::ALL.iter().filter(wanted).map(|target| {
        eprintln!("{}: {}", target.name(), target.what);
        (target.name(), Row::measure(target, arguments.rounds))
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
    for (name, row) in &report.rows {
        match row {
            Row::Measured(row) => {
                println!(
                    "{:<4} {:>7.2}  {:>7.2}  {:>6.2}   ({:.2} to {:.2})   {:>6.2} {:<6}  {}",
                    name,
                    row.braid,
                    row.peer,
                    row.ratio,
                    row.min,
                    row.max,
                    row.target,
                    if row.met { "met" } else { "missed" },
                    row.peer_name
                );
                for beside in &row.beside {
                    match &beside.told {
                        Told::Figure(figure) => println!(
                            "     beside: {:.2} ({:.2} to {:.2})  {}",
                            figure.median, figure.min, figure.max, beside.name
                        ),
                        Told::Skipped(reason) => {
                            println!("     skipped: {}: {reason}", beside.name);
                        }
                    }
                }
            }
            Row::Skipped { skipped } => println!("{name:<4} skipped: {skipped}"),
        }
    }
}

fn main() -> ExitCode {
    let asked = Part::of_this_process().map(|part| part.play().map_err(|error| error.to_string()));
    if let Some(done) = asked.or_else(run_if_asked) {
        return match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
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
