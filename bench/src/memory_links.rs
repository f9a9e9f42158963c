//! Two hosts of our engine in this process, joined by memory ports: each with as many workers as are asked
//! for, every worker with a queue of each link.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;

use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::{AnyPort, POOL_FRAME_CAPACITY, Port};
use braid_dataplane::worker::{self, Clock, IdlePolicy, LETTER_CAPACITY, Worker};
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::socket::SocketError;
use braid_engine::stack::{FlowHash, InterfaceConfig, Place, PortId, Stack, StackConfig, Steering};
use braid_engine::wire::ethernet::MacAddress;

/// The port that servers listen at.
const PORT: u16 = 7;

/// How the hosts are joined, and what they have.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Links {
    /// Links, and subflows over them.
    pub subflows: u8,
    /// Frames carry up to 64 KiB, and no checksums.
    pub large_segments: bool,
    /// Workers of each host.
    pub workers: NonZeroU8,
}

impl Links {
    /// One link that carries segments of 1,448 bytes, and a worker at each end.
    pub const ONE: Self = Self {
        subflows: 1,
        large_segments: false,
        workers: NonZeroU8::MIN,
    };
}

/// The workers of a host.
pub type Workers = Vec<Worker<Stack>>;

/// Where the second host's servers are, seen from the first.
pub fn server() -> SocketAddr {
    SocketAddr::new(address(0, 2), PORT)
}

/// Where they listen: a listener of one address would keep its connections on that.
pub fn anywhere() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT)
}

/// Two hosts, of which the second announces its further addresses to the first.
///
/// # Errors
///
/// What the ports or the engine refuse.
pub fn hosts(links: Links) -> Result<[Workers; 2], String> {
    hosts_of(links, &StackConfig::default())
}

/// The same, whose stacks have the bounds and defaults of `config`; their place and the size of their
/// frames follow from the links.
///
/// # Errors
///
/// What the ports or the engine refuse.
pub fn hosts_of(links: Links, config: &StackConfig) -> Result<[Workers; 2], String> {
    let steering = Steering::new(links.workers.get(), FlowHash::Ports);
    let steering = steering.ok_or("so many workers no host has")?;
    let options = MemoryOptions {
        checksum: links.large_segments,
        segmentation: links.large_segments,
        ..MemoryOptions::default()
    };
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..links.subflows {
        let queues = links.workers;
        let pair = MemoryPort::pair_of_queues(options, queues, queues, steering, steering);
        let (one, other) = pair.map_err(text)?;
        near.push(one);
        far.push(other);
    }
    let further = links.subflows.saturating_sub(1);
    let mut hosts = [
        host_of_workers(1, near, steering, config)?,
        host_of_workers(2, far, steering, config)?,
    ];
    let limits = Limits {
        subflows: further,
        add_addr_accepted: further,
    };
    for worker in hosts.iter_mut().flatten() {
        let now = worker.now();
        worker.engine_mut().set_limits(now, limits);
    }
    for worker in &mut hosts[1] {
        let now = worker.now();
        for link in 1..links.subflows {
            let endpoint = Endpoint {
                id: link,
                address: address(link, 2),
                port: None,
                flags: EndpointFlags::SIGNAL,
            };
            let added = worker.engine_mut().add_endpoint(now, endpoint);
            added.map_err(text)?;
        }
    }
    Ok(hosts)
}

/// A host of one worker, whose ports these are.
pub(crate) fn host(
    number: u8,
    ports: Vec<MemoryPort>,
    config: &StackConfig,
) -> Result<Worker<Stack>, String> {
    let steering = Steering::new(1, FlowHash::Ports).ok_or("so many workers no host has")?;
    let ports = ports.into_iter().map(|port| vec![port]).collect();
    let mut workers = host_of_workers(number, ports, steering, config)?;
    workers.pop().ok_or_else(|| "the host has no worker".into())
}

/// A host whose ports are given by link and then by worker.
fn host_of_workers(
    number: u8,
    ports: Vec<Vec<MemoryPort>>,
    steering: Steering,
    config: &StackConfig,
) -> Result<Workers, String> {
    let clock = Clock::start();
    let mut queues: Vec<_> = ports.into_iter().map(Vec::into_iter).collect();
    let mut workers = Vec::new();
    for worker in steering.all() {
        let ports: Vec<MemoryPort> = queues.iter_mut().filter_map(Iterator::next).collect();
        let config = StackConfig {
            frame_capacity: POOL_FRAME_CAPACITY,
            place: Place::new(worker, steering).ok_or("the worker is not of the host")?,
            ..config.clone()
        };
        let mut stack = Stack::new(config, [number * 16 + worker.number(); 32]);
        for (link, port) in (0..).zip(&ports) {
            let interface = InterfaceConfig {
                port: PortId(u16::from(link)),
                name: format!("link{link}"),
                mac: mac(link, number),
                mtu: 1_500,
                addresses: vec![(address(link, number), 24)],
                gateways: Vec::new(),
                capabilities: port.capabilities(),
            };
            stack.add_interface(interface).map_err(text)?;
        }
        let seats = ports.into_iter().map(|port| AnyPort::from(port).into());
        let worker = Worker::new(stack, seats.collect(), clock, IdlePolicy::Spin);
        workers.push(worker.map_err(text)?);
    }
    worker::connect(&mut workers, LETTER_CAPACITY);
    Ok(workers)
}

pub(crate) fn address(link: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, link, host).into()
}

pub(crate) fn mac(link: u8, host: u8) -> MacAddress {
    MacAddress([2, 0, 0, 0, link, host])
}

/// A turn of a worker whose events nobody waits for.
pub(crate) fn turn(worker: &mut Worker<Stack>) {
    let _ = worker.step();
    while worker.engine_mut().poll_event().is_some() {}
}

/// How many bytes went; none where the call would have blocked.
pub(crate) fn some(result: Result<usize, SocketError>) -> Result<usize, String> {
    match result {
        Err(SocketError::WouldBlock | SocketError::NotConnected) => Ok(0),
        other => other.map_err(text),
    }
}

pub(crate) fn text(error: impl Display) -> String {
    error.to_string()
}
