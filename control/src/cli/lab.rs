//! `braid lab`: a user's own programs over the engine and Linux's Multipath TCP.

use std::ffi::OsString;
use std::fs;
use std::num::NonZeroU8;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::link::{Delay, Loss, Rate};
use super::{Failure, exec};
use crate::demo::MemoryLinks;
use crate::lab::link;
use crate::open_lab::{self, OpenLabError, Plan};

/// Run a program at the engine and another one with Linux's Multipath TCP, over links between them.
///
/// Starts an engine of its own and a namespace in which Linux's Multipath TCP is the peer, joined by
/// links; root is not needed. The command runs at the engine as under `braid exec`, the one of
/// --peer in the namespace, where its TCP sockets are made Multipath TCP's. Each finds its own
/// address on the first link in BRAID_LAB_SELF and the other's in BRAID_LAB_PEER. When the command
/// ends, the other one is ended, and the subflows that were used are printed on standard error. The
/// exit status is the command's.
///
/// Example: braid lab --peer 'python3 -m http.server 8000' -- sh -c 'curl http://$BRAID_LAB_PEER:8000/'
#[derive(Debug, Args)]
pub(super) struct LabArguments {
    /// How many links join the two hosts.
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u8).range(1..=8))]
    links: u8,

    /// How many workers the engine has.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=32))]
    workers: u8,

    /// Bits a second that each link carries in either direction, such as 100M; one for all links or
    /// one for each, with commas.
    #[arg(long, value_name = "BITS", value_delimiter = ',')]
    rate: Vec<Rate>,

    /// How long each link takes one way, such as 20ms; one for all links or one for each.
    #[arg(long, value_name = "TIME", value_delimiter = ',')]
    delay: Vec<Delay>,

    /// How many of the frames each link loses by chance, such as 1%; one for all or one for each.
    #[arg(long, value_name = "PERCENT", value_delimiter = ',')]
    loss: Vec<Loss>,

    /// The internet protocol of the addresses that the programs are told.
    #[arg(long, value_enum, default_value_t = Family::V4)]
    family: Family,

    /// The command of the other side, for `sh -c`; it is started first.
    #[arg(long, value_name = "CMD")]
    peer: Option<String>,

    /// Start the command once the other side listens at this port; without it, once it listens at
    /// any, or after a second.
    #[arg(long, value_name = "PORT", requires = "peer",
          value_parser = clap::value_parser!(u16).range(1..))]
    wait_port: Option<u16>,

    /// Swap the sides: the command runs with Linux's Multipath TCP and the one of --peer at the
    /// engine, which is the server then.
    #[arg(long)]
    reverse: bool,

    /// Write the subflows to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Family {
    /// IPv4.
    #[value(name = "4")]
    V4,
    /// IPv6.
    #[value(name = "6")]
    V6,
}

pub(super) fn run(arguments: LabArguments) -> Result<(), Failure> {
    let links = parse_links(&arguments)?;
    // Asked now, so that no run is made whose result cannot be kept.
    let json = arguments.json.as_ref().map(|path| {
        fs::File::create(path).map_err(|error| {
            Failure::Configuration(format!(
                "cannot write to {}: {error}; name a file that you can write",
                path.display()
            ))
        })
    });
    let json = json.transpose()?;
    let report = open_lab::run(Plan {
        links,
        workers: NonZeroU8::new(arguments.workers).unwrap_or(NonZeroU8::MIN),
        family: match arguments.family {
            Family::V4 => link::Family::V4,
            Family::V6 => link::Family::V6,
        },
        command: arguments.command,
        peer: arguments.peer,
        reverse: arguments.reverse,
        wait_port: arguments.wait_port,
        library: exec::library()?,
    })
    .map_err(|error| failure(&error))?;
    // Standard output is the command's.
    eprint!("{}", report.as_text());
    if let Some(file) = json {
        serde_json::to_writer(file, &report)
            .map_err(|error| Failure::Run(format!("cannot write the report: {error}")))?;
    }
    match report.exit_status {
        0 => Ok(()),
        status => Err(Failure::Program(status)),
    }
}

fn failure(error: &OpenLabError) -> Failure {
    let text = error.to_string();
    match error {
        OpenLabError::Lab(_)
        | OpenLabError::Ports(_)
        | OpenLabError::Server(_)
        | OpenLabError::Start { .. } => Failure::Configuration(text),
        _ => Failure::Run(text),
    }
}

fn parse_links(arguments: &LabArguments) -> Result<Vec<MemoryLinks>, Failure> {
    let count = usize::from(arguments.links);
    let rates = for_each_link("--rate", &arguments.rate, count)?;
    let delays = for_each_link("--delay", &arguments.delay, count)?;
    let losses = for_each_link("--loss", &arguments.loss, count)?;
    let links = rates.into_iter().zip(delays).zip(losses);
    Ok(links
        .map(|((rate, delay), loss)| MemoryLinks {
            rate: rate.map(|rate| rate.0),
            delay: delay.unwrap_or_default().0,
            loss: loss.unwrap_or_default().0,
        })
        .collect())
}

/// A value for each of `count` links, from none, one for all or as many.
fn for_each_link<T: Copy>(
    name: &str,
    values: &[T],
    count: usize,
) -> Result<Vec<Option<T>>, Failure> {
    match values {
        [] => Ok(vec![None; count]),
        [value] => Ok(vec![Some(*value); count]),
        values if values.len() == count => Ok(values.iter().copied().map(Some).collect()),
        values => Err(Failure::Configuration(format!(
            "{name} has {} values for {count} links: give one for all, or one for each",
            values.len()
        ))),
    }
}
