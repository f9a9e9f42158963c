//! The engine's ports to the links.

use std::fs::OpenOptions;
use std::num::NonZeroU8;

use braid_dataplane::port::af_packet::{AfPacketOptions, AfPacketPort};
use braid_dataplane::port::impaired::{ImpairedPort, Impairments};
use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::pcap::Capture;
use braid_dataplane::port::tap::TapPort;
use braid_dataplane::port::{AnyPort, PortError};
use braid_dataplane::worker::Clock;
use braid_engine::stack::FlowHash;
use braid_engine::testing::link::{Chance, LinkConfig};
use braid_engine::testing::middlebox::Direction;

use super::DemoError;
use super::capture;
use super::plan::{MemoryLinks, Plan, PortKind, steering};
use crate::lab::link::{Link, Side};
use crate::lab::namespace::Namespace;

/// The queues of a port: the first is the first worker's, and so on.
pub(crate) type Queues = Vec<AnyPort>;

/// Whether this user may open TAP devices.
pub(crate) fn taps_are_usable() -> bool {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .is_ok()
}

/// TAP devices if this user may open them, otherwise packet sockets.
pub(super) fn usable_kind() -> PortKind {
    if taps_are_usable() {
        PortKind::Tap
    } else {
        PortKind::AfPacket
    }
}

/// Makes a TAP device for each link, with so many queues: the kernel's side in `peer`, the other in our
/// hands. With `offload` it takes and gives segments that are yet to be split.
pub(crate) fn open_taps(
    peer: &Namespace,
    links: u8,
    offload: bool,
    queues: NonZeroU8,
) -> Result<Vec<Queues>, DemoError> {
    let open = || {
        Link::all(links)
            .map(|link| TapPort::open_queues(&link.interface(), offload, queues).map(of_any_kind))
            .collect::<Result<Vec<_>, PortError>>()
    };
    peer.run(open)?.map_err(DemoError::Port)
}

/// The queues of a port, whatever it is.
pub(crate) fn of_any_kind<P: Into<AnyPort>>(queues: Vec<P>) -> Queues {
    queues.into_iter().map(P::into).collect()
}

/// Opens as many packet sockets as there are to be queues on the end in `engine` of each veth pair. With
/// `offload` they take segments that are yet to be split.
pub(crate) fn open_packet_sockets(
    engine: &Namespace,
    links: u8,
    offload: bool,
    queues: NonZeroU8,
) -> Result<Vec<Queues>, DemoError> {
    let open = || {
        Link::all(links)
            .map(|link| {
                let name = link.interface();
                let options = AfPacketOptions {
                    offload,
                    ..AfPacketOptions::default()
                };
                AfPacketPort::open_queues(&name, options, queues, FlowHash::default())
                    .map(of_any_kind)
            })
            .collect::<Result<Vec<_>, PortError>>()
    };
    engine.run(open)?.map_err(DemoError::Port)
}

/// Makes a veth pair for each link, whose end in `engine` is up.
pub(crate) fn add_veths(engine: &Namespace, peer: &Namespace, links: u8) -> Result<(), DemoError> {
    // The engine speaks for the addresses of its side. The kernel there would announce itself over
    // IPv6, which is noise in a capture and no more: where that cannot be switched off, go on.
    let _ = engine.set("net.ipv6.conf.default.disable_ipv6", "1");
    let mut routes = engine.routes()?;
    for link in Link::all(links) {
        link.add_veth(engine, peer)?;
        routes.set_up(&link.interface(), true)?;
    }
    Ok(())
}

/// Makes a link in memory for each link; gives all near ends and all far ends.
pub(super) fn open_memory(
    links: u8,
    behaviour: MemoryLinks,
    queues: NonZeroU8,
) -> Result<(Vec<Queues>, Vec<Queues>), DemoError> {
    let steering = steering(queues);
    let pair = |options| MemoryPort::pair_of_queues(options, queues, queues, steering, steering);
    let clock = Clock::start();
    let mut near_ends = Vec::new();
    let mut far_ends = Vec::new();
    for link in Link::all(links) {
        if behaviour == MemoryLinks::default() {
            let (near, far) = pair(MemoryOptions::default())?;
            near_ends.push(of_any_kind(near));
            far_ends.push(of_any_kind(far));
        } else {
            let (near, far) = pair(WIRE)?;
            let end = |port: Vec<MemoryPort>, side| {
                of_any_kind(impair(of_any_kind(port), behaviour, link, side, clock))
            };
            near_ends.push(end(near, Side::Engine));
            far_ends.push(end(far, Side::Peer));
        }
    }
    Ok((near_ends, far_ends))
}

/// Puts what befalls a link before the port of one of its sides.
pub(crate) fn impair(
    port: Queues,
    behaviour: MemoryLinks,
    link: Link,
    side: Side,
    clock: Clock,
) -> Vec<ImpairedPort<AnyPort>> {
    let impairments = Impairments {
        link: wire(behaviour),
        middleboxes: Vec::new(),
        direction: match side {
            Side::Engine => Direction::Forth,
            Side::Peer => Direction::Back,
        },
        seed: u64::from(link.0),
    };
    ImpairedPort::queues(port, &impairments, clock)
}

/// A link whose frames are those of a wire, with room for all that arrive at one time.
const WIRE: MemoryOptions = MemoryOptions {
    checksum: false,
    segmentation: false,
    queue: 4_096,
    max_frame: 1_514,
};

/// The queue before a link of limited rate holds what fits on it for a round trip, and this much
/// at least, in bytes.
const SHORTEST_QUEUE: u128 = 256 * 1_024;

/// The queue's bound, in bytes.
const LONGEST_QUEUE: u128 = 64 * 1_024 * 1_024;

/// One direction of a link that behaves so.
pub(crate) fn wire(behaviour: MemoryLinks) -> LinkConfig {
    let rate = behaviour.rate.map(|bits| (bits / 8).max(1));
    let round_trip = u128::from(rate.unwrap_or(0)) * 2 * behaviour.delay.as_micros() / 1_000_000;
    LinkConfig {
        delay: behaviour.delay,
        rate,
        queue: round_trip.clamp(SHORTEST_QUEUE, LONGEST_QUEUE) as usize,
        loss: Chance(behaviour.loss),
        ..LinkConfig::default()
    }
}

/// Puts a capture before each port, where `plan` asks for captures.
pub(super) fn tee_all(
    ports: Vec<Queues>,
    plan: &Plan,
) -> Result<(Vec<Queues>, Vec<Capture>), DemoError> {
    let Some(directory) = &plan.capture else {
        return Ok((ports, Vec::new()));
    };
    let mut captured = Vec::new();
    let mut captures = Vec::new();
    for (port, link) in ports.into_iter().zip(Link::all(plan.links)) {
        let capture =
            Capture::create(capture::file_of(directory, link)).map_err(DemoError::Port)?;
        let port = capture
            .tee_queues(port, &link.interface())
            .map_err(DemoError::Port)?;
        captured.push(of_any_kind(port));
        captures.push(capture);
    }
    Ok((captured, captures))
}
