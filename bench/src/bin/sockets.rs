//! What the sockets cost: goodput and round trips of sockets through the engine beside the engine's
//! own API, a program under `braid exec`, and Linux.

use std::process::ExitCode;

use braid_bench::contender::Contender;
use braid_bench::contender::part::Part;
use braid_bench::load::{Load, Pace};
use braid_bench::run::{Plan, run};
use braid_control::cli::size::Size;
use clap::{Parser, ValueEnum};

/// Measure what the sockets cost beside the engine's own API and Linux.
///
/// Example: cargo run --release -p braid-bench --bin sockets -- --rounds 5
#[derive(Debug, Parser)]
#[command(name = "sockets")]
struct Arguments {
    /// Payload of each transfer that is measured; a warm-up comes before it.
    #[arg(long, default_value = "256MiB")]
    bytes: Size,

    /// Round trips of each measurement; a warm-up comes before them.
    #[arg(long, default_value_t = 10_000)]
    round_trips: u32,

    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Only these contenders.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,

    /// Only loads of this kind.
    #[arg(long)]
    load: Option<Kind>,

    /// Only applications that wait in this way.
    #[arg(long)]
    pace: Option<Waiting>,

    /// How long the engine's worker polls in vain before it sleeps, in front of applications that
    /// sleep: as `idle` in its configuration.
    #[arg(long, value_name = "TIME")]
    idle: Option<String>,

    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
enum Kind {
    Bulk,
    RoundTrips,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
enum Waiting {
    Sleeping,
    Spinning,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let bulk = [1 << 20, 64 << 10, 4 << 10].map(|buffer| Load::Bulk {
            bytes: self.bytes.0.max(1),
            buffer,
        });
        let round_trips = [64, 1].map(|size| Load::RoundTrips {
            size,
            count: self.round_trips.max(1),
        });
        let kinds = match self.load {
            None => [bulk.as_slice(), &round_trips].concat(),
            Some(Kind::Bulk) => bulk.to_vec(),
            Some(Kind::RoundTrips) => round_trips.to_vec(),
        };
        let paces: &[Pace] = match self.pace {
            None => &[Pace::Sleeping, Pace::Spinning],
            Some(Waiting::Sleeping) => &[Pace::Sleeping],
            Some(Waiting::Spinning) => &[Pace::Spinning],
        };
        let with_paces = |load| paces.iter().map(move |&pace| (load, pace));
        Plan {
            rounds: self.rounds,
            loads: kinds.into_iter().flat_map(with_paces).collect(),
            contenders: Contender::ALL
                .into_iter()
                .filter(|one| self.only.is_empty() || self.only.contains(one))
                .collect(),
            idle: self.idle.clone(),
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    let rounds = arguments.rounds;
    let report = run(&arguments.plan(), |round| {
        eprintln!("round {round} of {rounds}");
    })?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&report);
        println!("{}", text.map_err(|error| error.to_string())?);
    } else {
        print!("{report}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let done = match Part::of_this_process() {
        Some(part) => part.play().map_err(|error| error.to_string()),
        None => measure(&Arguments::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sockets: {error}");
            ExitCode::FAILURE
        }
    }
}
