//! A host whose protocols are the engine's: a stack and the worker that drives it over its ports.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use braid_dataplane::port::{AnyPort, POOL_FRAME_CAPACITY, Port};
use braid_dataplane::worker::{Clock, IdlePolicy, Seat, Worker};
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::stack::{InterfaceConfig, PortId, Stack, StackConfig};
use braid_engine::wire::ethernet::MacAddress;

use super::DemoError;
use super::application::{Application, EngineTransfer, Turn};
use super::measured::Outcome;
use super::plan::{PATIENCE, Plan};
use super::report::Role;
use crate::lab::link::{Family, Link, Side, prefix};
use crate::peer::Progress;

/// The largest IP packet on a link, in bytes.
const MTU: u16 = 1_500;

/// Free frames kept for reception, 64 KiB each.
const FRAMES: usize = 512;

/// How long the loop sleeps at most, so that it notices what other threads tell it.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// How often the subflows are looked at while data moves.
const INSPECTION: Duration = Duration::from_millis(50);

/// How long a finished connection may take to close before the next run begins.
const CLOSING: Duration = Duration::from_secs(2);

/// How long the engine goes on after a run, so that what it sent last is on its way.
const AFTERMATH: Duration = Duration::from_millis(20);

/// A link of a host that another thread can take down.
#[derive(Debug)]
pub(super) struct Gate {
    port: PortId,
    open: AtomicBool,
}

impl Gate {
    /// The gate of `link`, open.
    pub(super) fn of(link: Link) -> Self {
        Self {
            port: port_of(link),
            open: AtomicBool::new(true),
        }
    }

    /// Opens or closes the gate; the host follows within [`LONGEST_SLEEP`].
    pub(super) fn set(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }
}

/// The engine as a host.
#[derive(Debug)]
pub(super) struct EngineHost {
    worker: Worker<Stack>,
    side: Side,
    family: Family,
    links: u8,
}

impl EngineHost {
    /// A host on one side of all links, the first of which is reached by the first port.
    pub(super) fn create(plan: &Plan, side: Side, ports: Vec<AnyPort>) -> Result<Self, DemoError> {
        let config = StackConfig {
            checksum: plan.checksum,
            frame_capacity: POOL_FRAME_CAPACITY,
            frame_pool: FRAMES,
            ..StackConfig::default()
        };
        let seed = random_seed()
            .map_err(|error| DemoError::Refused(format!("cannot read /dev/urandom: {error}")))?;
        let mut stack = Stack::new(config, seed);
        for (link, port) in Link::all(plan.links).zip(&ports) {
            stack.add_interface(interface(link, side, port))?;
        }
        let seats = ports.into_iter().map(Seat::from).collect();
        let worker = Worker::new(stack, seats, Clock::start(), IdlePolicy::default())
            .map_err(DemoError::Port)?;
        Ok(Self {
            worker,
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
        let mut application = self.start(transfer)?;
        let result = self.drive(&mut application, transfer.progress, gate);
        let now = self.worker.now();
        let outcome = application.finish(now, self.worker.engine_mut());
        if let Some(gate) = gate {
            // Nobody looks at the gate any more, whatever is done to it from now on.
            self.worker.engine_mut().set_link(now, gate.port, true);
        }
        self.flush();
        result.map(|()| outcome)
    }

    /// As a server announces the address on every link but the first, where connections begin; as
    /// a client opens a subflow to every address that the server announces.
    fn manage_paths(&mut self, role: Role) -> Result<(), DemoError> {
        let now = self.worker.now();
        let stack = self.worker.engine_mut();
        let others = self.links.saturating_sub(1);
        let add_addr_accepted = match role {
            Role::Client => others,
            Role::Server => 0,
        };
        let limits = Limits {
            subflows: others,
            add_addr_accepted,
        };
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
        Ok(())
    }

    fn start<'a>(&mut self, transfer: EngineTransfer<'a>) -> Result<Application<'a>, DemoError> {
        let now = self.worker.now();
        let stack = self.worker.engine_mut();
        let server = match (transfer.role, self.side, self.family) {
            // At every address: a listener at a single one keeps its connections on one path.
            (Role::Server, _, Family::V4) => Ipv4Addr::UNSPECIFIED.into(),
            (Role::Server, _, Family::V6) => Ipv6Addr::UNSPECIFIED.into(),
            (Role::Client, Side::Engine, family) => Link(1).address(family, Side::Peer),
            (Role::Client, Side::Peer, family) => Link(1).address(family, Side::Engine),
        };
        let server = SocketAddr::new(server, transfer.port);
        Application::start(transfer, server, now, stack).map_err(DemoError::engine)
    }

    fn drive(
        &mut self,
        application: &mut Application<'_>,
        progress: &Progress,
        gate: Option<&Gate>,
    ) -> Result<(), DemoError> {
        let mut last_move = Instant::now();
        let mut last_inspection = Instant::now();
        let mut gate_open = true;
        while !application.is_over() {
            if let Some(gate) = gate
                && gate.open.load(Ordering::Acquire) != gate_open
            {
                let now = self.worker.now();
                gate_open = !gate_open;
                self.worker.engine_mut().set_link(now, gate.port, gate_open);
            }
            let work = self.worker.step();
            let now = work.now;
            if let Some((_, failure)) = self.worker.take_failure() {
                return Err(DemoError::Port(failure));
            }
            let stack = self.worker.engine_mut();
            while let Some(event) = stack.poll_event() {
                application.on_event(&event).map_err(DemoError::engine)?;
            }
            let turn = application.turn(now, stack).map_err(DemoError::engine)?;
            let present = Instant::now();
            if present.duration_since(last_inspection) >= INSPECTION {
                last_inspection = present;
                application.inspect(stack);
            }
            match turn {
                Turn::Busy => last_move = present,
                Turn::Idle => {
                    let waited = present.duration_since(last_move);
                    if application.has_finished() && waited > CLOSING {
                        return Ok(());
                    }
                    if progress.has_failed() && !application.has_finished() {
                        return Err(DemoError::OtherSide);
                    }
                    if waited > PATIENCE {
                        return Err(DemoError::Stalled);
                    }
                    self.worker.rest(work, Some(now + LONGEST_SLEEP));
                }
            }
        }
        Ok(())
    }

    /// Lets the last segments out, and off links that take their time.
    fn flush(&mut self) {
        let start = Instant::now();
        let going_on =
            |waited: Duration, pending: bool| waited < AFTERMATH || (pending && waited < CLOSING);
        while going_on(start.elapsed(), self.worker.ports().transmit_pending()) {
            let work = self.worker.step();
            while self.worker.engine_mut().poll_event().is_some() {}
            self.worker.rest(work, Some(work.now + AFTERMATH));
        }
    }
}

fn interface(link: Link, side: Side, port: &AnyPort) -> InterfaceConfig {
    let host = match side {
        Side::Peer => 1,
        Side::Engine => 2,
    };
    InterfaceConfig {
        port: port_of(link),
        name: link.interface(),
        // Locally administered, so that no manufacturer's address is taken.
        mac: MacAddress([0x02, 0x62, 0x72, host, 0, link.0]),
        mtu: MTU,
        addresses: [Family::V4, Family::V6]
            .map(|family| (link.address(family, side), prefix(family)))
            .into(),
        gateways: Vec::new(),
        capabilities: port.capabilities(),
    }
}

fn port_of(link: Link) -> PortId {
    PortId(u16::from(link.0) - 1)
}

fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}
