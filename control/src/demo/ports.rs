//! The engine's ports to the links.

use std::fs::OpenOptions;

use braid_dataplane::port::af_packet::{AfPacketOptions, AfPacketPort};
use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::pcap::Capture;
use braid_dataplane::port::tap::TapPort;
use braid_dataplane::port::{AnyPort, PortError};

use super::DemoError;
use super::capture;
use super::plan::{Plan, PortKind};
use crate::lab::link::Link;
use crate::lab::namespace::Namespace;

/// TAP devices if this user may open them, otherwise packet sockets.
pub(super) fn usable_kind() -> PortKind {
    match OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        Ok(_) => PortKind::Tap,
        Err(_) => PortKind::AfPacket,
    }
}

/// Makes a TAP device for each link: the kernel's side in `peer`, the other in our hands.
pub(super) fn open_taps(peer: &Namespace, links: u8) -> Result<Vec<AnyPort>, DemoError> {
    let open = || {
        Link::all(links)
            .map(|link| TapPort::open(&link.interface(), true).map(AnyPort::from))
            .collect::<Result<Vec<_>, PortError>>()
    };
    peer.run(open)?.map_err(DemoError::Port)
}

/// Makes a veth pair for each link, and opens a packet socket on the end in `engine`.
pub(super) fn open_packet_sockets(
    engine: &Namespace,
    peer: &Namespace,
    links: u8,
) -> Result<Vec<AnyPort>, DemoError> {
    // The engine speaks for the addresses of its side. The kernel there would announce itself over
    // IPv6, which is noise in a capture and no more: where that cannot be switched off, go on.
    let _ = engine.set("net.ipv6.conf.default.disable_ipv6", "1");
    let mut routes = engine.routes()?;
    for link in Link::all(links) {
        link.add_veth(engine, peer)?;
        routes.set_up(&link.interface(), true)?;
    }
    let open = || {
        Link::all(links)
            .map(|link| {
                AfPacketPort::open(&link.interface(), AfPacketOptions::default()).map(AnyPort::from)
            })
            .collect::<Result<Vec<_>, PortError>>()
    };
    engine.run(open)?.map_err(DemoError::Port)
}

/// Makes a link in memory for each link; gives all near ends and all far ends.
pub(super) fn open_memory(links: u8) -> Result<(Vec<AnyPort>, Vec<AnyPort>), DemoError> {
    let mut near_ends = Vec::new();
    let mut far_ends = Vec::new();
    for _ in Link::all(links) {
        let (near, far) = MemoryPort::pair(MemoryOptions::default()).map_err(DemoError::Port)?;
        near_ends.push(near.into());
        far_ends.push(far.into());
    }
    Ok((near_ends, far_ends))
}

/// Puts a capture before each port, where `plan` asks for captures.
pub(super) fn tee_all(
    ports: Vec<AnyPort>,
    plan: &Plan,
) -> Result<(Vec<AnyPort>, Vec<Capture>), DemoError> {
    let Some(directory) = &plan.capture else {
        return Ok((ports, Vec::new()));
    };
    let mut captured = Vec::new();
    let mut captures = Vec::new();
    for (port, link) in ports.into_iter().zip(Link::all(plan.links)) {
        let capture =
            Capture::create(capture::file_of(directory, link)).map_err(DemoError::Port)?;
        let port = capture
            .tee(port, &link.interface())
            .map_err(DemoError::Port)?;
        captured.push(AnyPort::Captured(Box::new(port)));
        captures.push(capture);
    }
    Ok((captured, captures))
}

/// Brings the capture files up to date.
pub(super) fn finish(captures: &[Capture]) -> Result<(), DemoError> {
    captures
        .iter()
        .try_for_each(|capture| capture.finish().map(drop))
        .map_err(DemoError::Port)
}
