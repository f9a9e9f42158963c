//! Makes a flame graph on standard output of what `perf script` tells on standard input, and a table of the
//! hottest functions on standard error; `bench/profile` runs it.

use std::fs;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use braid_bench::flame::stacks::Stacks;
use braid_bench::flame::unit::Unit;
use clap::Parser;
use inferno::collapse::Collapse;
use inferno::collapse::perf::Folder;
use inferno::flamegraph::{Options, from_lines};

/// Of threads: the measurement of the machine, which is no part of a workload.
const NOT_OURS: &str = "cross_core";

/// Draw what `perf script` tells.
///
/// Example: perf script --no-inline | flame --top 20 >flame.svg
#[derive(Debug, Parser)]
#[command(name = "flame")]
struct Arguments {
    /// Functions in the table.
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: usize,

    /// What `braid bench --json` or `bench/compare --json` told of the same run: says what a packet or a
    /// request cost.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Only stacks with a function that has this in its name.
    #[arg(long, value_name = "NAME")]
    within: Option<String>,

    /// No stacks with a function that has this in its name.
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,

    /// Above the graph.
    #[arg(long, default_value = "braid")]
    title: String,
}

fn draw(arguments: Arguments) -> io::Result<()> {
    let mut folded = Vec::new();
    Folder::default().collapse(BufReader::new(io::stdin()), &mut folded)?;
    let folded = String::from_utf8_lossy(&folded);
    let mut without = arguments.without;
    without.push(NOT_OURS.into());
    let stacks = Stacks::of(&folded, arguments.within.as_deref(), &without);
    if stacks.is_empty() {
        return Err(io::Error::other(
            "there are no samples: has perf recorded any, and do --within and --without leave some?",
        ));
    }
    let told = arguments.report.map(fs::read_to_string).transpose()?;
    let unit = told.as_deref().and_then(Unit::of_report);
    eprint!("{}", stacks.table(arguments.top, unit));
    let mut options = Options::default();
    options.title = arguments.title;
    from_lines(&mut options, stacks.lines(), io::stdout()).map_err(io::Error::other)
}

fn main() -> ExitCode {
    match draw(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flame: {error}");
            ExitCode::FAILURE
        }
    }
}
