//! `braid demo`: shows the engine at work against Linux's own Multipath TCP.

use std::io::IsTerminal;
use std::num::NonZeroU8;
use std::path::PathBuf;

use braid_engine::stack::Steering;
use clap::{Args, ValueEnum};

use super::Failure;
use super::link::{Delay, Loss, Rate};
use super::output::{print, print_json};
use super::port::Port;
use super::size::Size;
use crate::demo::{self, LinuxPlan, MemoryLinks, PeerChoice, Plan};
use crate::lab::link;
use crate::peer::PeerProtocol;

/// Transfer data between the engine and Linux over several links, and prove that it arrived.
///
/// Makes its own namespaces (root is not needed), runs the engine as server and as client, sends
/// both ways, cuts a link in the middle of each run and restores it, and measures Linux against
/// Linux beside it.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// How much each run transfers, such as 64KiB, 256MiB or 1G.
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    bytes: Size,

    /// How many links join the two hosts.
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u8).range(1..=8))]
    links: u8,

    /// How many workers each engine has, each with a queue on every port.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=i64::from(Steering::MAX_WORKERS)))]
    workers: u8,

    /// Who is at the other end; Linux, unless the machine forbids namespaces.
    #[arg(long, value_enum)]
    peer: Option<Peer>,

    /// How the engine reaches its peer: tap (TAP devices whose other side is in Linux's namespace),
    /// af_packet (packet sockets on virtual Ethernet pairs), dpdk:DRIVER[,ARGUMENT...] with the driver
    /// net_tap, net_af_packet or net_af_xdp (in a build with DPDK) or, with another engine, memory.
    /// Linux by TAP devices, unless the machine keeps /dev/net/tun to root.
    #[arg(long, value_name = "PORT")]
    port: Option<Port>,

    /// Write a capture of each link to this directory.
    #[arg(long, value_name = "DIR")]
    pcap: Option<PathBuf>,

    /// What the engine is.
    #[arg(long, value_enum, default_value_t = Role::Both)]
    role: Role,

    /// The internet protocol of all links.
    #[arg(long, value_enum, default_value_t = Family::V4)]
    family: Family,

    /// Protect the data with the checksums of Multipath TCP as well.
    #[arg(long)]
    checksum: bool,

    /// What befalls the links: in the middle of each run one is cut and restored, or nothing.
    #[arg(long, value_enum, default_value_t = Fault::Cut)]
    fault: Fault,

    /// What Linux speaks.
    #[arg(long, value_enum, default_value_t = Protocol::Mptcp)]
    peer_protocol: Protocol,

    /// Leave out the measurement of Linux against itself.
    #[arg(long)]
    no_baseline: bool,

    /// A command for `sh -c` in the peer's namespace once the links are up.
    #[arg(long, value_name = "CMD", hide = true)]
    peer_setup: Option<String>,

    /// How long each link takes one way, such as 500us, 20ms or 1s; with --peer engine only.
    #[arg(long, value_name = "TIME")]
    delay: Option<Delay>,

    /// How many of the frames each link loses by chance, such as 1% or 0.05%; with --peer engine
    /// only.
    #[arg(long, value_name = "PERCENT")]
    loss: Option<Loss>,

    /// Bits a second that each link carries, such as 100M or 1G; with --peer engine only.
    #[arg(long, value_name = "BITS")]
    rate: Option<Rate>,

    /// Print one JSON object instead of progress and tables.
    #[arg(long)]
    json: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// The kernel, in a namespace of its own.
    Linux,
    /// A second engine, over links in memory.
    Engine,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// It connects.
    Client,
    /// It listens.
    Server,
    /// First the one, then the other.
    Both,
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

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// A link goes down and comes up again.
    Cut,
    /// All links stay whole.
    None,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Multipath TCP.
    Mptcp,
    /// TCP alone.
    Tcp,
}

/// Runs the verb.
pub(super) fn run(arguments: DemoArguments) -> Result<(), Failure> {
    let json = arguments.json;
    let plan = parse(arguments)?;
    let report = demo::run(&plan).map_err(|error| Failure::Configuration(error.to_string()))?;
    if json {
        print_json(&report)?;
    } else {
        print(&report.as_text())?;
    }
    if report.ok {
        Ok(())
    } else {
        Err(Failure::Reported)
    }
}

fn parse(arguments: DemoArguments) -> Result<Plan, Failure> {
    if arguments.bytes.0 == 0 {
        return Err(Failure::Configuration(
            "--bytes 0 transfers nothing: give a size of at least 1".into(),
        ));
    }
    let peer = parse_peer(&arguments)?;
    if let Some(directory) = &arguments.pcap {
        demo::capture::check_directory(directory).map_err(|error| {
            Failure::Configuration(format!(
                "cannot write captures to {}: {error}; name a directory that you can write to",
                directory.display()
            ))
        })?;
    }
    Ok(Plan {
        bytes: arguments.bytes.0,
        workers: NonZeroU8::new(arguments.workers).unwrap_or(NonZeroU8::MIN),
        links: arguments.links,
        peer,
        roles: match arguments.role {
            Role::Client => vec![demo::Role::Client],
            Role::Server => vec![demo::Role::Server],
            Role::Both => vec![demo::Role::Server, demo::Role::Client],
        },
        family: match arguments.family {
            Family::V4 => link::Family::V4,
            Family::V6 => link::Family::V6,
        },
        checksum: arguments.checksum,
        cut: arguments.fault == Fault::Cut,
        baseline: !arguments.no_baseline,
        capture: arguments.pcap,
        show_progress: !arguments.json && std::io::stderr().is_terminal(),
    })
}

fn parse_peer(arguments: &DemoArguments) -> Result<PeerChoice, Failure> {
    let of_linux = match &arguments.port {
        None | Some(Port::Memory) => None,
        Some(Port::Linux(kind)) => Some(kind.clone()),
    };
    let linux = LinuxPlan {
        port: of_linux,
        protocol: match arguments.peer_protocol {
            Protocol::Mptcp => PeerProtocol::Multipath,
            Protocol::Tcp => PeerProtocol::Plain,
        },
        setup: arguments.peer_setup.clone(),
    };
    let memory = MemoryLinks {
        delay: arguments.delay.unwrap_or_default().0,
        loss: arguments.loss.unwrap_or_default().0,
        rate: arguments.rate.map(|rate| rate.0),
    };
    let names_memory =
        arguments.delay.is_some() || arguments.loss.is_some() || arguments.rate.is_some();
    if arguments.port == Some(Port::Memory) && arguments.peer == Some(Peer::Linux) {
        return Err(Failure::Configuration(
            "--port memory is a link between two engines, which Linux has no end of: drop --peer \
             linux, or use --port tap or --port af_packet"
                .into(),
        ));
    }
    let names_engine = arguments.peer == Some(Peer::Engine) || arguments.port == Some(Port::Memory);
    if names_memory && !names_engine {
        return Err(Failure::Configuration(
            "--delay, --loss and --rate are of links in memory, which join two engines: add \
             --peer engine or drop them"
                .into(),
        ));
    }
    let peer = if names_engine {
        Some(Peer::Engine)
    } else {
        arguments.peer
    };
    match peer {
        Some(Peer::Engine) if linux != LinuxPlan::default() => Err(Failure::Configuration(
            "--peer engine leaves Linux out, so other ports than memory, --peer-protocol and --peer-setup mean \
             nothing: drop them or use --peer linux"
                .into(),
        )),
        Some(Peer::Engine) => Ok(PeerChoice::Engine(memory)),
        Some(Peer::Linux) => Ok(PeerChoice::Linux(linux)),
        // What was asked of Linux by name is not quietly replaced by another engine either.
        None if linux != LinuxPlan::default() => Ok(PeerChoice::Linux(linux)),
        None => Ok(PeerChoice::LinuxIfAllowed),
    }
}
