//! Bytes one way over two links in namespaces of the process: with our engine at one end and Linux's
//! Multipath TCP at the other, or with Linux at both.

use std::io;
use std::num::NonZeroU8;
use std::time::Duration;

use braid_control::bench::workload::{Bulk, Direction, Goodput, Outcome};
use braid_control::bench::{BenchError, FarHost, Links, LinuxPair, Workload, isolate};
use braid_control::demo::PortKind;
use braid_control::peer::PeerProtocol;
use serde::{Deserialize, Serialize};

/// Links between the hosts.
const LINKS: u8 = 2;

/// How long each transfer is measured, about.
const TIME: Duration = Duration::from_secs(2);

/// How our engine reaches Linux.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// TAP devices.
    Tap,
    /// Packet sockets on virtual Ethernet.
    AfPacket,
}

/// Who sends to whom.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinksTask {
    /// Our engine to Linux.
    ToLinux(Way),
    /// Linux to our engine.
    FromLinux(Way),
    /// Linux to Linux, over virtual Ethernet: both links, or TCP on one of them.
    Linux(Protocol, Program),
}

/// What Linux speaks.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Multipath TCP, over all links.
    Multipath,
    /// TCP, over the first link.
    Tcp,
}

/// Who uses its sockets.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// This program, by the calls that it makes at the far end of an engine.
    Own,
    /// iperf3.
    Iperf3,
}

impl LinksTask {
    /// Transfers for a while, in a process without a second thread: 10^9 bits of payload a second.
    ///
    /// # Errors
    ///
    /// When the machine forbids namespaces, or the connection ends early.
    pub fn run(self) -> io::Result<f64> {
        isolate().map_err(io::Error::other)?;
        let goodput = match self {
            Self::ToLinux(way) => engine(way, Direction::Upload),
            Self::FromLinux(way) => engine(way, Direction::Download),
            Self::Linux(protocol, program) => linux(protocol, program),
        };
        goodput.map_err(io::Error::other)
    }
}

fn linux(protocol: Protocol, program: Program) -> Result<f64, BenchError> {
    let pair = LinuxPair::create(LINKS)?;
    let protocol = match protocol {
        Protocol::Multipath => PeerProtocol::Multipath,
        Protocol::Tcp => PeerProtocol::Plain,
    };
    match program {
        Program::Own => Ok(mean(&pair.goodput(protocol, TIME)?)),
        Program::Iperf3 => pair.iperf3(protocol, TIME),
    }
}

fn engine(way: Way, direction: Direction) -> Result<f64, BenchError> {
    let links = Links {
        far: FarHost::Linux(match way {
            Way::Tap => PortKind::Tap,
            Way::AfPacket => PortKind::AfPacket,
        }),
        count: LINKS,
        workers: NonZeroU8::MIN,
        mtu: 1_500,
        large_segments: true,
    };
    let bulk = Bulk {
        connections: 1,
        direction,
    };
    match Workload::Bulk(bulk).measure(&links, TIME)? {
        Outcome::Goodput(goodput) => Ok(mean(&goodput)),
        _ => Err(BenchError::Impossible("bulk is told as goodput".into())),
    }
}

/// Of all parts of the time: the median of one that stands still in most of them would be nothing.
fn mean(goodput: &Goodput) -> f64 {
    let samples = &goodput.samples;
    samples.iter().sum::<f64>() / samples.len().max(1) as f64
}
