//! `braid bench`: measures the engine on this machine.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::Duration;

use braid_engine::stack::Steering;
use clap::{Args, ValueEnum};

use super::Failure;
use super::output::{print, print_json};
use super::port::Port;
use super::size::Size;
use crate::bench::workload::{
    Aggregation, Bulk, ConnectRate, Direction, Failover, Idle, Rate, RequestResponse,
};
use crate::bench::{self, FarHost, Links, Plan, Workload};

/// The longest measurement of one workload.
const LONGEST: f64 = 600.0;

/// Measure the engine on this machine, over links of its own.
///
/// Over memory the far host is a second engine in this process, of which each worker shares a core
/// with one of the first; over all other ports it is Linux in a namespace. Latencies are taken at a steady
/// rate and count from when a request was due, so that one that waits behind a slow one is late too.
///
/// Example: braid bench request-response --connections 1,100 --size 64,1KiB --port tap
#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    /// What is done; all of it, when nothing is named.
    #[arg(value_enum, value_name = "WORKLOAD")]
    workloads: Vec<Kind>,

    /// How the engine reaches the far host: memory, tap, af_packet, or dpdk:DRIVER[,ARGUMENT...] as in
    /// `braid demo`.
    #[arg(long, value_name = "PORT", default_value = "memory")]
    port: Port,

    /// How many links join the two hosts.
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u8).range(1..=8))]
    links: u8,

    /// How many workers each engine has.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=i64::from(Steering::MAX_WORKERS)))]
    workers: u8,

    /// The largest IP packet on a link, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1_500,
          value_parser = clap::value_parser!(u16).range(1_280..=9_000))]
    mtu: u16,

    /// Whether frames carry segments of up to 64 KiB, which the other side of the port cuts.
    #[arg(long, value_enum, default_value_t = Switch::On)]
    large_segments: Switch,

    /// How long each workload is measured, about.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,

    /// Connections, a measurement for each number.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 100],
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: Vec<u32>,

    /// Bytes of a request and of its answer, up to 1MiB, a measurement for each.
    #[arg(
        long,
        value_name = "SIZE",
        value_delimiter = ',',
        default_value = "1,1KiB,64KiB"
    )]
    size: Vec<Size>,

    /// Requests a second when latencies are measured; half of what can be done, when not named.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,

    /// Connections of the workload `idle`.
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    idle_connections: u32,

    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,

    /// Write the report to this file too, as a page with plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Measure the workload of this number only, and print what came of it as JSON: for processes that this one
    /// starts.
    #[arg(long = bench::PART.trim_start_matches('-'), value_name = "N", hide = true)]
    part: Option<usize>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Bytes to the far host, as fast as they go.
    Bulk,
    /// The same from the far host.
    Download,
    /// Messages and their answers, over connections that stay.
    RequestResponse,
    /// Connections that come to be, carry a message and its answer, and go.
    ConnectRate,
    /// Connections on which nothing happens: what each takes of memory.
    Idle,
    /// How long nothing arrives when a link is cut.
    Failover,
    /// What two unequal links carry together.
    Aggregation,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Runs the verb.
pub(super) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let mut plan = parse(arguments)?;
    if let Some(part) = arguments.part {
        plan.workloads = plan.workloads.into_iter().skip(part).take(1).collect();
        let report = bench::run(&plan, |_| {});
        let report = report.map_err(|error| Failure::Configuration(error.to_string()))?;
        return report
            .workloads
            .iter()
            .try_for_each(|entry| print_json(&entry.result));
    }
    let page = arguments.html.as_deref().map(Page::create).transpose()?;
    let quiet = arguments.json || !io::stderr().is_terminal();
    let progress = |workload: &Workload| {
        if !quiet {
            eprintln!("{} ...", workload.describe());
        }
    };
    let report = if plan.links.far.is_for_once() {
        bench::run_apart(&plan, progress)
    } else {
        let report = bench::run(&plan, progress);
        report.map_err(|error| Failure::Configuration(error.to_string()))?
    };
    if let Some(page) = page {
        page.write(&report.as_html())?;
    }
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&report.to_string())?;
    }
    match report.is_complete() {
        true => Ok(()),
        false => Err(Failure::Reported),
    }
}

/// The file of a page: made before anything is measured, so that nothing is measured in vain.
struct Page<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Page<'a> {
    fn create(path: &'a Path) -> Result<Self, Failure> {
        let refused = |error| {
            Failure::Configuration(format!(
                "cannot write {}: {error}; name a file that you can write to in --html",
                path.display()
            ))
        };
        let file = File::create(path).map_err(refused)?;
        Ok(Self { path, file })
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        let failed = |error| Failure::Run(format!("cannot write {}: {error}", self.path.display()));
        self.file.write_all(text.as_bytes()).map_err(failed)
    }
}

fn parse(arguments: &BenchArguments) -> Result<Plan, Failure> {
    let wrong = |text: &str| Err(Failure::Configuration(text.into()));
    let time = Duration::try_from_secs_f64(arguments.seconds);
    let time = match time {
        Ok(time) if !time.is_zero() && arguments.seconds <= LONGEST => time,
        _ => return wrong("--seconds takes a number above 0, of 600 at most"),
    };
    if arguments
        .rate
        .is_some_and(|rate| !(rate.is_finite() && rate > 0.0))
    {
        return wrong("--rate takes a number of requests a second above 0");
    }
    if arguments
        .size
        .iter()
        .any(|size| !(1..=1 << 20).contains(&size.0))
    {
        return wrong("--size takes 1 byte to 1MiB");
    }
    Ok(Plan {
        links: Links {
            far: match &arguments.port {
                Port::Memory => FarHost::Engine,
                Port::Linux(kind) => FarHost::Linux(kind.clone()),
            },
            count: arguments.links,
            workers: NonZeroU8::new(arguments.workers).unwrap_or(NonZeroU8::MIN),
            mtu: arguments.mtu,
            large_segments: arguments.large_segments == Switch::On,
        },
        workloads: match arguments.workloads.as_slice() {
            [] => Kind::value_variants(),
            named => named,
        }
        .iter()
        .flat_map(|&kind| workloads(kind, arguments))
        .collect(),
        time,
    })
}

fn workloads(kind: Kind, arguments: &BenchArguments) -> Vec<Workload> {
    let numbers = arguments.connections.iter();
    let rate = match arguments.rate {
        Some(rate) => Rate::PerSecond(rate),
        None => Rate::OfCapacity(0.5),
    };
    match kind {
        Kind::Bulk => bulk(numbers, Direction::Upload),
        Kind::Download => bulk(numbers, Direction::Download),
        Kind::RequestResponse => {
            let of_size = |size: &Size| {
                let size = usize::try_from(size.0).unwrap_or(usize::MAX);
                numbers.clone().map(move |&connections| {
                    Workload::RequestResponse(RequestResponse {
                        size,
                        connections,
                        rate,
                    })
                })
            };
            arguments.size.iter().flat_map(of_size).collect()
        }
        Kind::ConnectRate => numbers
            .map(|&connections| Workload::ConnectRate(ConnectRate { connections, rate }))
            .collect(),
        Kind::Idle => vec![Workload::Idle(Idle {
            connections: arguments.idle_connections,
        })],
        Kind::Failover => vec![Workload::Failover(Failover {})],
        Kind::Aggregation => vec![Workload::Aggregation(Aggregation {})],
    }
}

fn bulk<'a>(connections: impl Iterator<Item = &'a u32>, direction: Direction) -> Vec<Workload> {
    let of = |&connections| {
        Workload::Bulk(Bulk {
            connections,
            direction,
        })
    };
    connections.map(of).collect()
}
