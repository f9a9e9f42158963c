//! The hosts of a workload and the links between them, made afresh for each.

use std::net::SocketAddr;
use std::num::NonZeroU8;

use braid_dataplane::port::POOL_FRAME_CAPACITY;
use braid_dataplane::port::impaired::ImpairedPort;
use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::worker::{self, Clock, IdlePolicy, LETTER_CAPACITY, Worker, allowed_cores};
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::stack::{Place, Stack, StackConfig};

use super::server::PORT;
use super::{BenchError, FarHost, Links};
use crate::demo::engine_host::{interface, mac, random_seed};
use crate::demo::linux::{PathRole, manage_paths};
use crate::demo::linux_host::{LinuxHost, LinuxLinks};
use crate::demo::ports::{Queues, impair, of_any_kind};
use crate::demo::{DemoError, MemoryLinks, steering};
use crate::lab::link::{Family, Link, Side};
use crate::server::OpenPort;
use crate::server::ports::hand_out;

/// Free frames kept for reception by each worker.
const FRAMES: usize = 512;

/// Frames under way on a link in memory that delays them.
const LONG_QUEUE: usize = 4_096;

/// Room for connections that come and go beside those that were asked for.
const SPARE_CONNECTIONS: usize = 8_192;

/// Flows in TIME-WAIT: few, for the clients of a connect rate would run out of ports otherwise.
const TIME_WAIT: usize = 1_024;

/// What hosts are to be fit for.
#[derive(Copy, Clone, Debug)]
pub(super) struct Demand<'a> {
    /// Connections at a time.
    pub(super) connections: u32,
    /// Delay, loss and rate of each link in its order; none for links as fast as they go.
    pub(super) behaviour: &'a [MemoryLinks],
}

impl Demand<'_> {
    /// So many connections, over links as fast as they go.
    pub(super) fn of(connections: u32) -> Self {
        Self {
            connections,
            behaviour: &[],
        }
    }
}

/// Our host and the one at the far end of its links.
#[derive(Debug)]
pub(super) struct Hosts {
    /// The workers of ours.
    pub(super) near: Vec<Worker<Stack>>,
    /// The other.
    pub(super) far: Far,
}

/// The host at the far end.
#[derive(Debug)]
pub(super) enum Far {
    /// The workers of an engine, as many as ours has.
    Engine(Vec<Worker<Stack>>),
    /// A kernel.
    Linux(LinuxHost),
}

/// Where the far host's server is.
pub(super) fn server() -> SocketAddr {
    SocketAddr::new(Link(1).address(Family::V4, Side::Peer), PORT)
}

impl Hosts {
    /// Makes both hosts. The far one announces its address on every link but the first, and ours opens
    /// a subflow to each.
    pub(super) fn create(links: &Links, demand: Demand<'_>) -> Result<Self, BenchError> {
        let clock = Clock::start();
        let (near, far) = match &links.far {
            FarHost::Engine => {
                let (near, far) = memory(links, demand, clock)?;
                let far = host(links, demand, Side::Peer, far, clock, IdlePolicy::Spin)?;
                (near, Far::Engine(far))
            }
            FarHost::Linux(kind) => {
                let (linux, near) = LinuxHost::create(&LinuxLinks {
                    kind: kind.clone(),
                    count: links.count,
                    mtu: links.mtu,
                    offload: links.large_segments && demand.behaviour.is_empty(),
                    queues: links.workers,
                })?;
                manage_paths(
                    linux.namespace(),
                    PathRole::Announce,
                    links.count,
                    Family::V4,
                )?;
                let pairs = near.into_iter().zip(Link::all(links.count));
                let impaired = pairs.map(|(port, link)| match behaviour_of(demand, link) {
                    None => port,
                    Some(behaviour) => of_any_kind(
                        impair(port, behaviour, link, Side::Engine, clock)
                            .into_iter()
                            .map(|port| port.with_inbound(crate::demo::ports::wire(behaviour), 1))
                            .collect(),
                    ),
                });
                (impaired.collect(), Far::Linux(linux))
            }
        };
        let idle = idle_policy(links);
        let near = host(links, demand, Side::Engine, near, clock, idle)?;
        Ok(Self { near, far })
    }
}

fn behaviour_of(demand: Demand<'_>, link: Link) -> Option<MemoryLinks> {
    demand.behaviour.get(usize::from(link.0) - 1).copied()
}

/// Our workers poll without a rest unless that takes the processor from the far host or each other.
fn idle_policy(links: &Links) -> IdlePolicy {
    let others = match links.far {
        FarHost::Engine => 0,
        FarHost::Linux(_) => 1,
    };
    if usize::from(links.workers.get()) + others <= allowed_cores().len() {
        IdlePolicy::Spin
    } else {
        IdlePolicy::default()
    }
}

/// The near and the far ends of links in memory.
fn memory(
    links: &Links,
    demand: Demand<'_>,
    clock: Clock,
) -> Result<(Vec<Queues>, Vec<Queues>), DemoError> {
    let steering = steering(links.workers);
    let (mut near_ends, mut far_ends) = (Vec::new(), Vec::new());
    for link in Link::all(links.count) {
        let behaviour = behaviour_of(demand, link);
        let usual = MemoryOptions::default();
        let options = MemoryOptions {
            checksum: links.large_segments,
            segmentation: links.large_segments && behaviour.is_none(),
            queue: behaviour.map_or(usual.queue, |_| LONG_QUEUE),
            max_frame: usize::from(links.mtu) + ETHERNET_HEADER,
        };
        let queues = links.workers;
        let pair = MemoryPort::pair_of_queues(options, queues, queues, steering, steering);
        let (near, far) = pair?;
        let end = |port: Vec<MemoryPort>, side| match behaviour {
            None => of_any_kind(port),
            Some(behaviour) => {
                let port: Vec<ImpairedPort<_>> =
                    impair(of_any_kind(port), behaviour, link, side, clock);
                of_any_kind(port)
            }
        };
        near_ends.push(end(near, Side::Engine));
        far_ends.push(end(far, Side::Peer));
    }
    Ok((near_ends, far_ends))
}

const ETHERNET_HEADER: usize = 14;

/// The workers of a host on one side of all links.
fn host(
    links: &Links,
    demand: Demand<'_>,
    side: Side,
    ports: Vec<Queues>,
    clock: Clock,
    idle: IdlePolicy,
) -> Result<Vec<Worker<Stack>>, BenchError> {
    let connections = demand.connections as usize + SPARE_CONNECTIONS;
    let steering = steering(links.workers);
    let mut stacks = Vec::new();
    let open = |(link, queues): (Link, Queues)| OpenPort {
        queues,
        mac: mac(link, side),
    };
    let ports: Vec<OpenPort> = Link::all(links.count).zip(ports).map(open).collect();
    for place in steering.all().filter_map(|it| Place::new(it, steering)) {
        let config = StackConfig {
            place,
            frame_capacity: POOL_FRAME_CAPACITY,
            frame_pool: FRAMES,
            max_connections: connections,
            max_subflows: connections * usize::from(links.count),
            accept_queue: connections,
            time_wait: TIME_WAIT,
            ephemeral_ports: 1_024..=u16::MAX,
            ..StackConfig::default()
        };
        let seed = random_seed().map_err(BenchError::system("cannot read /dev/urandom"))?;
        let mut stack = Stack::new(config, seed);
        for (link, port) in Link::all(links.count).zip(&ports) {
            if let Some(capabilities) = port.capabilities() {
                let interface = interface(link, side, links.mtu, capabilities);
                stack.add_interface(interface).map_err(DemoError::from)?;
            }
        }
        stacks.push(stack);
    }
    let seats = hand_out(ports, &mut stacks);
    let mut workers = stacks
        .into_iter()
        .zip(seats)
        .map(|(stack, seats)| Worker::new(stack, seats, clock, idle))
        .collect::<Result<Vec<_>, _>>()
        .map_err(DemoError::from)?;
    worker::connect(&mut workers, LETTER_CAPACITY);
    for worker in &mut workers {
        manage(worker, side, links.count)?;
    }
    Ok(workers)
}

/// Limits and endpoints for a subflow over each link.
fn manage(worker: &mut Worker<Stack>, side: Side, links: u8) -> Result<(), BenchError> {
    let now = worker.now();
    let stack = worker.engine_mut();
    let others = links.saturating_sub(1);
    let add_addr_accepted = match side {
        Side::Engine => others,
        Side::Peer => 0,
    };
    let subflows = others;
    stack.set_limits(
        now,
        Limits {
            subflows,
            add_addr_accepted,
        },
    );
    if side == Side::Peer {
        for link in Link::all(links).skip(1) {
            let endpoint = Endpoint {
                id: link.0,
                address: link.address(Family::V4, side),
                port: None,
                flags: EndpointFlags::SIGNAL,
            };
            let added = stack.add_endpoint(now, endpoint);
            added.map_err(|error| BenchError::Impossible(error.to_string()))?;
        }
    }
    Ok(())
}

/// Of `total`, the share of each worker, which differ by one at most.
pub(super) fn shares(total: u32, workers: NonZeroU8) -> impl Iterator<Item = u32> {
    let workers = u32::from(workers.get());
    (0..workers).map(move |number| (total + workers - 1 - number) / workers)
}
