//! An engine under a flood of packets; the scripts in `bench/pktgen` run it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use braid_bench::flood::{Scenario, Way, packets, target};
use braid_bench::report::{CrossCore, Surroundings};
use clap::Parser;

/// Flood an engine with packets, and say what it takes in and what a connection carries meanwhile.
///
/// Example: bench/pktgen/syn-flood
#[derive(Debug, Parser)]
#[command(name = "flood")]
struct Arguments {
    /// What it is flooded with.
    scenario: Scenario,

    /// How the packets reach the engine.
    #[arg(long, value_enum, default_value_t = Way::NetMemif)]
    over: Way,

    /// Write the packets into this file and do no more.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if let Some(file) = &arguments.pcap {
        return packets::write(file, &packets::of(arguments.scenario)?);
    }
    let surroundings = Surroundings::before();
    let (scenario, way) = (arguments.scenario, arguments.over);
    // A thread of its own, as it is kept on a core.
    let flooded = thread::spawn(move || target::flood(scenario, way)).join();
    let outcome = flooded.map_err(|_| "the engine has panicked")??;
    let (_, CrossCore { before, after }) = surroundings.after();
    eprintln!(
        "a line of cache to the other core: {:.0} ns before, {:.0} ns after",
        before.unwrap_or_default(),
        after.unwrap_or_default()
    );
    let outcome = serde_json::to_string(&outcome).map_err(|error| error.to_string())?;
    println!("{outcome}");
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flood: {error}");
            ExitCode::FAILURE
        }
    }
}
