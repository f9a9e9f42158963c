//! What a second worker brings: goodput of two workers beside that of one, in interleaved rounds.

use std::num::NonZeroU8;
use std::process::ExitCode;

use braid_bench::interleaved::compare;
use braid_bench::machine;
use braid_bench::memory_links::Links;
use braid_bench::scaling::{Traffic, goodput};
use clap::Parser;

/// Measure two workers beside one, on a connection with two subflows and on many connections.
///
/// Example: cargo run --release -p braid-bench --bin scaling -- --rounds 5
#[derive(Debug, Parser)]
#[command(name = "scaling")]
struct Arguments {
    /// How often each is measured; one round more comes before them and does not count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Workers of each host, beside one.
    #[arg(long, default_value = "2")]
    workers: NonZeroU8,

    /// Connections of the second case.
    #[arg(long, default_value_t = 1_000)]
    connections: u32,
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    let cost = || machine::cross_core_nanoseconds().map_or("?".into(), |cost| format!("{cost:.0}"));
    println!("a line of cache to the other core: {} ns before", cost());
    let workers = arguments.workers;
    let cases = [
        ("one connection, two subflows", 1, 1 << 20),
        (
            "many connections, two subflows each",
            arguments.connections,
            64 << 10,
        ),
    ];
    for (what, connections, buffer) in cases {
        for large_segments in [false, true] {
            let traffic = Traffic {
                connections,
                buffer,
            };
            let links = |workers| Links {
                subflows: 2,
                large_segments,
                workers,
            };
            let compared = compare(
                arguments.rounds,
                || goodput(links(workers), traffic),
                || goodput(links(NonZeroU8::MIN), traffic),
            )?;
            let size = if large_segments {
                "64 KiB"
            } else {
                "1,448 bytes"
            };
            println!(
                "{what}, segments of {size}: {workers} workers {} Gbit/s, one {}, ratio {}",
                compared.ours, compared.theirs, compared.ratio
            );
        }
    }
    println!("a line of cache to the other core: {} ns after", cost());
    Ok(())
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scaling: {error}");
            ExitCode::FAILURE
        }
    }
}
