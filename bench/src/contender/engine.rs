//! The engine that the sockets are of, and that the applications within a worker use: one stack,
//! whose applications talk to each other at its own address, so by its loopback. Its one port leads
//! to a link in memory that nobody uses.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use braid_control::config::Config;
use braid_control::server::{OpenPort, OpenPorts};
use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::worker::Clock;
use braid_engine::stack::FlowHash;
use braid_engine::wire::ethernet::MacAddress;

/// The engine's address (RFC 5737).
pub(super) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Of the port that leads nowhere; locally administered.
const MAC: MacAddress = MacAddress([0x02, 0x62, 0x72, 1, 0, 1]);

/// As a user would configure it, for a socket at `path` and, if it is not the usual one, such an idle
/// policy.
pub(super) fn configuration(path: &Path, idle: Option<&str>) -> io::Result<Config> {
    let idle = idle.map_or_else(String::new, |idle| format!("idle = {idle:?}\n"));
    let text = format!(
        "[engine]\nsocket = {:?}\n{idle}\
         [[port]]\nname = \"nowhere\"\nkind = \"tap\"\ninterface = \"nowhere\"\n\
         addresses = [\"{ADDRESS}/24\"]\n",
        path.display().to_string()
    );
    Config::parse(&text, Path::new("the engine's configuration")).map_err(io::Error::other)
}

/// Its port, and the other end of the link.
pub(super) fn ports() -> io::Result<(OpenPorts, MemoryPort)> {
    let (port, nowhere) = MemoryPort::pair(MemoryOptions::default()).map_err(io::Error::other)?;
    let ports = OpenPorts {
        ports: vec![OpenPort::single(port, MAC)],
        hash: FlowHash::default(),
        interfaces: Vec::new(),
        probes: Vec::new(),
        pipelines: None,
        clock: Clock::start(),
    };
    Ok((ports, nowhere))
}
