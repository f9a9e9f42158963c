//! A host whose protocols are the engine's: the stacks of its workers, which drive them over its ports.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};

use braid_dataplane::port::POOL_FRAME_CAPACITY;
use braid_dataplane::worker::{
    self, Clock, IdlePolicy, LETTER_CAPACITY, Worker, allowed_cores, pin,
};
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::stack::{Capabilities, InterfaceConfig, Place, PortId, Stack, StackConfig};
use braid_engine::wire::ethernet::MacAddress;

use super::DemoError;
use super::application::{Application, EngineTransfer};
use super::engine_worker::{Driver, Run};
use super::measured::Outcome;
use super::plan::{Plan, steering};
use super::ports::Queues;
use super::report::Role;
use crate::lab::link::{Family, Link, Side, prefix};
use crate::server::OpenPort;
use crate::server::ports::hand_out;

/// The largest IP packet on a link, in bytes.
pub(super) const MTU: u16 = 1_500;

/// Free frames kept for reception, 64 KiB each.
const FRAMES: usize = 512;

/// A link of a host that another thread can take down.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(super) port: PortId,
    open: AtomicBool,
}

impl Gate {
    /// The gate of `link`, open.
    pub(crate) fn of(link: Link) -> Self {
        Self {
            port: port_of(link),
            open: AtomicBool::new(true),
        }
    }

    /// Opens or closes the gate; the host follows within the longest sleep of its workers.
    pub(crate) fn set(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}

/// The engine as a host.
#[derive(Debug)]
pub(super) struct EngineHost {
    /// In the order of their numbers.
    workers: Vec<Worker<Stack>>,
    side: Side,
    family: Family,
    links: u8,
}

impl EngineHost {
    /// A host on one side of all links, the first of which is reached by the first port.
    pub(super) fn create(plan: &Plan, side: Side, ports: Vec<Queues>) -> Result<Self, DemoError> {
        let open = |(link, queues): (Link, Queues)| OpenPort {
            queues,
            mac: mac(link, side),
        };
        let ports: Vec<OpenPort> = Link::all(plan.links).zip(ports).map(open).collect();
        let steering = steering(plan.workers);
        let mut stacks = Vec::new();
        for place in steering.all().filter_map(|it| Place::new(it, steering)) {
            let config = StackConfig {
                place,
                checksum: plan.checksum,
                frame_capacity: POOL_FRAME_CAPACITY,
                frame_pool: FRAMES,
                ..StackConfig::default()
            };
            let seed = random_seed().map_err(|error| {
                DemoError::Refused(format!("cannot read /dev/urandom: {error}"))
            })?;
            let mut stack = Stack::new(config, seed);
            for (link, port) in Link::all(plan.links).zip(&ports) {
                if let Some(capabilities) = port.capabilities() {
                    stack.add_interface(interface(link, side, MTU, capabilities))?;
                }
            }
            stacks.push(stack);
        }
        let seats = hand_out(ports, &mut stacks);
        let clock = Clock::start();
        let mut workers = stacks
            .into_iter()
            .zip(seats)
            .map(|(stack, seats)| Worker::new(stack, seats, clock, IdlePolicy::default()))
            .collect::<Result<Vec<_>, _>>()?;
        worker::connect(&mut workers, LETTER_CAPACITY);
        Ok(Self {
            workers,
            side,
            family: plan.family,
            links: plan.links,
        })
    }

    /// Makes one transfer. The link of `gate`, if there is one, may be taken down meanwhile; when
    /// the transfer is over it is up.
    pub(super) fn run(
        &mut self,
        transfer: EngineTransfer<'_>,
        gate: Option<&Gate>,
    ) -> Result<Outcome, DemoError> {
        self.manage_paths(transfer.role)?;
        let server = self.server_of(transfer);
        let run = Run::new();
        let mut drivers = Vec::new();
        for (number, worker) in self.workers.iter_mut().enumerate() {
            // Who connects is at home at the first; who listens, where the first segment arrives.
            let takes_part = number == 0 || transfer.role == Role::Server;
            let now = worker.now();
            let application = takes_part
                .then(|| Application::start(transfer, server, now, worker.engine_mut()))
                .transpose()
                .map_err(DemoError::engine)?;
            drivers.push(Driver {
                worker,
                application,
                progress: transfer.progress,
                gate,
                run: &run,
            });
        }
        let cores = cores(drivers.len());
        let results = thread::scope(|scope| {
            let mut threads = Vec::new();
            for (driver, core) in drivers.into_iter().zip(cores) {
                threads.push(scope.spawn(move || {
                    // Where it may not be kept there, it runs all the same.
                    let _ = core.map(pin);
                    driver.drive()
                }));
            }
            let join = |thread: ScopedJoinHandle<'_, _>| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            threads.into_iter().map(join).collect::<Vec<_>>()
        });
        let mut outcome = Err(DemoError::OtherSide);
        for result in results {
            match result {
                Ok(Some(seen)) => outcome = Ok(seen),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        outcome
    }

    /// As a server announces the address on every link but the first, where connections begin; as
    /// a client opens a subflow to every address that the server announces.
    fn manage_paths(&mut self, role: Role) -> Result<(), DemoError> {
        let others = self.links.saturating_sub(1);
        let add_addr_accepted = match role {
            Role::Client => others,
            Role::Server => 0,
        };
        let limits = Limits {
            subflows: others,
            add_addr_accepted,
        };
        for worker in &mut self.workers {
            let now = worker.now();
            let stack = worker.engine_mut();
            stack.set_limits(now, limits);
            for link in Link::all(self.links).skip(1) {
                stack.remove_endpoint(now, link.0);
                if role == Role::Server {
                    let endpoint = Endpoint {
                        id: link.0,
                        address: link.address(self.family, self.side),
                        port: None,
                        flags: EndpointFlags::SIGNAL,
                    };
                    stack
                        .add_endpoint(now, endpoint)
                        .map_err(DemoError::engine)?;
                }
            }
        }
        Ok(())
    }

    /// Where the server of a transfer listens, or is connected to.
    fn server_of(&self, transfer: EngineTransfer<'_>) -> SocketAddr {
        let server = match (transfer.role, self.side, self.family) {
            // At every address: a listener at a single one keeps its connections on one path.
            (Role::Server, _, Family::V4) => Ipv4Addr::UNSPECIFIED.into(),
            (Role::Server, _, Family::V6) => Ipv6Addr::UNSPECIFIED.into(),
            (Role::Client, Side::Engine, family) => Link(1).address(family, Side::Peer),
            (Role::Client, Side::Peer, family) => Link(1).address(family, Side::Engine),
        };
        SocketAddr::new(server, transfer.port)
    }
}

/// The core of each of several workers, if there are enough.
fn cores(workers: usize) -> impl Iterator<Item = Option<usize>> {
    let allowed = if workers > 1 {
        allowed_cores()
    } else {
        Vec::new()
    };
    let enough = allowed.len() >= workers;
    let chosen = allowed.into_iter().filter(move |_| enough).map(Some);
    chosen.chain(std::iter::repeat(None))
}

/// The link address of one side of a link.
pub(crate) fn mac(link: Link, side: Side) -> MacAddress {
    let host = match side {
        Side::Peer => 1,
        Side::Engine => 2,
    };
    // Locally administered, so that no manufacturer's address is taken.
    MacAddress([0x02, 0x62, 0x72, host, 0, link.0])
}

/// The interface of one side of a link, whose packets have `mtu` bytes at most.
pub(crate) fn interface(
    link: Link,
    side: Side,
    mtu: u16,
    capabilities: Capabilities,
) -> InterfaceConfig {
    InterfaceConfig {
        port: port_of(link),
        name: link.interface(),
        mac: mac(link, side),
        mtu,
        addresses: [Family::V4, Family::V6]
            .map(|family| (link.address(family, side), prefix(family)))
            .into(),
        gateways: Vec::new(),
        capabilities,
    }
}

fn port_of(link: Link) -> PortId {
    PortId(u16::from(link.0) - 1)
}

/// What a stack draws from.
pub(crate) fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}
