//! An engine that others flood: how many packets it takes in each second, and what a connection that was
//! there before still carries meanwhile.
//!
//! The packets are those of a file, which is made here, over and over: dpdk-testpmd reads it by net_pcap and sends
//! into one end of net_memif, of which the engine has the other; or the engine itself has net_pcap as a
//! port, so that nobody else needs a core.

pub mod packets;
pub mod session;
#[cfg(feature = "dpdk")]
pub mod target;

use std::net::Ipv4Addr;

use braid_dataplane::port::{AnyPort, POOL_FRAME_CAPACITY, Port};
use braid_dataplane::worker::{Clock, IdlePolicy, Worker};
use braid_engine::stack::{InterfaceConfig, PortId, Stack, StackConfig};
use braid_engine::wire::ethernet::MacAddress;
use serde::Serialize;

use crate::memory_links::text;

/// What the engine is flooded with.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// SYNs with MP_CAPABLE from many addresses and ports that answer nothing.
    SynFlood,
    /// The packets of one side of a session of Multipath TCP, over and over.
    Replay,
    /// Segments of no connection, in frames of 64 bytes with the checksum of the link.
    Stream64,
    /// The same in packets of 1,500 bytes.
    Stream1500,
}

/// How the packets reach the engine.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From dpdk-testpmd, over net_memif.
    #[value(name = "net_memif")]
    NetMemif,
    /// From the file, by net_pcap: what the engine answers goes nowhere.
    #[value(name = "net_pcap")]
    NetPcap,
}

/// The engine's end of the flooded link.
const FLOODED: Station = Station {
    mac: MacAddress([2, 0, 0, 0, 9, 2]),
    address: Ipv4Addr::new(10, 9, 0, 2),
};

/// Whom packets to it come from, but for those of many addresses.
const FLOODING: Station = Station {
    mac: MacAddress([2, 0, 0, 0, 9, 1]),
    address: Ipv4Addr::new(10, 9, 0, 1),
};

/// Where the engine listens, on all its addresses.
const PORT: u16 = 7;

/// An end of a link.
#[derive(Copy, Clone, Debug)]
struct Station {
    mac: MacAddress,
    address: Ipv4Addr,
}

/// A host of one worker, whose ports are these.
fn host(number: u8, ports: Vec<(Station, AnyPort)>) -> Result<Worker<Stack>, String> {
    let config = StackConfig {
        frame_capacity: POOL_FRAME_CAPACITY,
        ..StackConfig::default()
    };
    let mut stack = Stack::new(config, [number; 32]);
    let mut seats = Vec::new();
    for (id, (station, port)) in (0..).zip(ports) {
        let interface = InterfaceConfig {
            port: PortId(id),
            name: format!("link{id}"),
            mac: station.mac,
            mtu: 1_500,
            addresses: vec![(station.address.into(), 16)],
            gateways: Vec::new(),
            capabilities: port.capabilities(),
        };
        stack.add_interface(interface).map_err(text)?;
        seats.push(port.into());
    }
    Worker::new(stack, seats, Clock::start(), IdlePolicy::Spin).map_err(text)
}
