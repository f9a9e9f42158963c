//! Running a scenario, and what must hold while it runs.

use super::{ConnectionPlan, Fault, HostPlan, LinkPlan, PathPlan, Scenario};
use crate::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use crate::random::Random;
use crate::socket::{ConnectOptions, ListenOptions, SocketError, SocketOptions};
use crate::stack::{
    Capabilities, ConnectionId, Event, InterfaceConfig, ListenerId, PortId, Stack, StackConfig,
};
use crate::tcp::Keepalive;
use crate::testing::application::{self, Application, Ending, Pattern, Plan};
use crate::testing::middlebox::{Direction, Middlebox};
use crate::testing::network::{End, HostId, LinkId, Network};
use crate::time::{Duration, Instant};
use crate::wire::ethernet::MacAddress;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The server listens for connection number `n` at this port plus `n`.
const FIRST_PORT: u16 = 8_000;

/// Silence after which a live run counts as stuck. Keepalives and the user timeout find a dead
/// peer, and the wait for a new subflow ends, well before.
const STUCK: Duration = Duration::from_secs(300);

/// How long the hosts may take to forget the connections after the programs are through.
const FORGET: Duration = Duration::from_secs(600);

/// A promise that a run broke.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    /// A program read something else than its peer wrote.
    Stream {
        /// Index of the connection.
        connection: usize,
        /// Who read.
        reader: Side,
        /// What was wrong.
        violation: application::Violation,
    },
    /// Nothing moved for too long.
    Stuck {
        /// Index of the connection.
        connection: usize,
    },
    /// A connection failed though nothing stood in its way.
    Failed {
        /// Index of the connection.
        connection: usize,
        /// Where it failed.
        side: Side,
        /// How.
        error: SocketError,
    },
    /// A connection fell back to TCP though nothing stood in the way of MPTCP.
    FellBack {
        /// Index of the connection.
        connection: usize,
    },
    /// A host still holds connections or memory of connections that are over.
    Leak {
        /// Which host.
        side: Side,
        /// What it holds.
        held: String,
    },
}

/// One of the two hosts.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Side {
    /// The host that connects.
    Client,
    /// The host that listens.
    Server,
}

/// What a run came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Digest of every frame sent, with time and place.
    pub trace: u64,
    /// The virtual time at the end.
    pub ended: Instant,
    /// Bytes that programs read.
    pub bytes: u64,
    /// Connections that both ends saw end in order, with every byte.
    pub completed: usize,
    /// Connections that ended in a reported error.
    pub failed: usize,
    /// Connections that fell back to TCP.
    pub fell_back: usize,
    /// Most subflows that a connection had at a time.
    pub most_subflows: usize,
    /// What should not have been.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "seed {} broke {} promises:",
            self.seed,
            self.violations.len()
        )?;
        for violation in &self.violations {
            writeln!(formatter, "  {violation:?}")?;
        }
        write!(
            formatter,
            "replay: BRAID_SEED={} cargo test -p braid-engine --test simulation replay -- --nocapture",
            self.seed
        )
    }
}

/// Runs the scenario of a seed.
pub fn run(seed: u64) -> Report {
    Run::new(Scenario::draw(seed)).run()
}

/// One connection with its two programs.
#[derive(Debug)]
struct Session {
    plan: ConnectionPlan,
    listener: ListenerId,
    client: Option<Application>,
    server: Option<Application>,
    fell_back: bool,
    refused: bool,
}

impl Session {
    fn is_over(&self, now: Instant, idle_since: Instant) -> bool {
        let finished =
            |side: &Option<Application>| side.as_ref().is_none_or(Application::is_finished);
        let client = self.refused || self.client.as_ref().is_some_and(Application::is_finished);
        // A server that never saw a connection of which the client has given up has nothing to do.
        let abandoned = self.server.is_none() && now > idle_since + Duration::from_secs(60);
        client && (self.server.is_some() && finished(&self.server) || abandoned || self.refused)
    }

    fn bytes(&self) -> u64 {
        let read = |side: &Option<Application>| side.as_ref().map_or(0, Application::bytes_read);
        read(&self.client) + read(&self.server)
    }

    fn is_complete(&self) -> bool {
        let complete = |side: &Option<Application>| {
            side.as_ref()
                .is_some_and(|side| side.has_read_all() && side.error().is_none())
        };
        complete(&self.client) && complete(&self.server)
    }
}

struct Run {
    scenario: Scenario,
    network: Network,
    client: HostId,
    server: HostId,
    links: Vec<LinkId>,
    sessions: Vec<Session>,
    next_fault: usize,
    last_progress: Instant,
    most_subflows: usize,
    violations: Vec<Violation>,
}

impl Run {
    fn new(scenario: Scenario) -> Self {
        let random = Random::from_u64(scenario.seed);
        let mut network = Network::new(random.fork("network"));
        let client = network.add_host(stack(&scenario, Side::Client, &random));
        let server = network.add_host(stack(&scenario, Side::Server, &random));
        let links = scenario.links.iter().enumerate().map(|(index, link)| {
            let port = PortId(index as u16);
            let ends = [End { host: client, port }, End { host: server, port }];
            let boxes = link.middleboxes.iter().enumerate();
            let boxes = boxes.map(|(number, kind)| {
                let label = format!("middlebox {index} {number}");
                Middlebox::new(kind.clone(), random.fork(&label))
            });
            network.add_link(ends, link.config, boxes.collect())
        });
        let links = links.collect();
        let mut run = Self {
            scenario,
            network,
            client,
            server,
            links,
            sessions: Vec::new(),
            next_fault: 0,
            last_progress: Instant::ZERO,
            most_subflows: 0,
            violations: Vec::new(),
        };
        run.listen();
        run
    }

    fn listen(&mut self) {
        for (index, plan) in self.scenario.connections.iter().enumerate() {
            let port = FIRST_PORT + index as u16;
            // Bound to one address a listener would keep its connections on one path.
            let any: IpAddr = match self.scenario.links[0].ipv6 {
                true => Ipv6Addr::UNSPECIFIED.into(),
                false => Ipv4Addr::UNSPECIFIED.into(),
            };
            let address = SocketAddr::new(any, port);
            let options = ListenOptions {
                multipath: self.scenario.server.multipath,
                socket: socket_options(&self.scenario.server),
                ..ListenOptions::default()
            };
            let listener = self
                .network
                .stack(self.server)
                .listen(address, options)
                .expect("the port is free");
            self.sessions.push(Session {
                plan: *plan,
                listener,
                client: None,
                server: None,
                fell_back: false,
                refused: false,
            });
        }
    }

    fn run(mut self) -> Report {
        while self.violations.is_empty() && !self.is_over() {
            self.connect();
            self.settle();
            if self.network.now().saturating_since(self.last_progress) > STUCK {
                self.find_stuck();
                break;
            }
            let next = self.next_event();
            self.network.advance_to(next);
            self.apply_faults();
        }
        self.judge();
        if self.violations.is_empty() {
            self.forget();
        }
        self.report()
    }

    fn is_over(&self) -> bool {
        let now = self.network.now();
        self.sessions
            .iter()
            .all(|session| session.is_over(now, self.last_progress))
    }

    /// The earliest of: what the network does next, a fault, a connect, the end of patience.
    fn next_event(&self) -> Instant {
        let patience = self.last_progress + STUCK + Duration::from_millis(1);
        let fault = self.scenario.faults.get(self.next_fault).map(|(at, _)| *at);
        let unstarted = self
            .sessions
            .iter()
            .filter(|session| session.client.is_none());
        let start = unstarted
            .filter(|session| !session.refused)
            .map(|session| session.plan.start);
        let next = self
            .network
            .next_event()
            .into_iter()
            .chain(fault)
            .chain(start)
            .min();
        next.unwrap_or(patience)
            .min(patience)
            .max(self.network.now())
    }

    fn connect(&mut self) {
        let now = self.network.now();
        for (index, session) in self.sessions.iter_mut().enumerate() {
            if session.client.is_some() || session.refused || session.plan.start > now {
                continue;
            }
            let remote = address(&self.scenario.links[0], 0, Side::Server);
            let options = ConnectOptions {
                multipath: self.scenario.client.multipath,
                socket: socket_options(&self.scenario.client),
                ..ConnectOptions::to(SocketAddr::new(remote, FIRST_PORT + index as u16))
            };
            match self.network.stack(self.client).connect(now, options) {
                Ok(connection) => {
                    let plan = program(self.scenario.seed, index, &session.plan, Side::Client);
                    session.client = Some(Application::new(connection, plan));
                }
                Err(_) => session.refused = true,
            }
            self.last_progress = now;
        }
    }

    fn apply_faults(&mut self) {
        while let Some((at, fault)) = self.scenario.faults.get(self.next_fault).cloned() {
            if at > self.network.now() {
                return;
            }
            self.next_fault += 1;
            self.last_progress = self.network.now();
            match fault {
                Fault::Cut { link, carrier } => self.set_link(link, carrier, false),
                Fault::Restore { link, carrier } => {
                    if !self.has_vanished() {
                        self.set_link(link, carrier, true);
                    }
                }
                Fault::Change { link, config } => {
                    for direction in DIRECTIONS {
                        self.network
                            .set_link_config(self.links[link], direction, config);
                    }
                }
                Fault::Vanish => {
                    for link in 0..self.links.len() {
                        self.set_link(link, false, false);
                    }
                }
            }
        }
    }

    fn has_vanished(&self) -> bool {
        let past = &self.scenario.faults[..self.next_fault];
        past.iter().any(|(_, fault)| *fault == Fault::Vanish)
    }

    fn set_link(&mut self, link: usize, carrier: bool, up: bool) {
        if carrier {
            self.network.set_carrier(self.links[link], up);
        } else {
            self.network.set_link(self.links[link], None, up);
        }
    }

    /// Lets the programs run until none of them can do more at this point in time.
    fn settle(&mut self) {
        loop {
            self.take_events(Side::Client);
            self.take_events(Side::Server);
            let mut moved = false;
            for index in 0..self.sessions.len() {
                moved |= self.run_program(index, Side::Client);
                moved |= self.run_program(index, Side::Server);
            }
            self.network.transmit();
            if !moved || !self.violations.is_empty() {
                return;
            }
            self.last_progress = self.network.now();
        }
    }

    fn run_program(&mut self, index: usize, side: Side) -> bool {
        let now = self.network.now();
        let host = self.host(side);
        let session = &mut self.sessions[index];
        let application = match side {
            Side::Client => &mut session.client,
            Side::Server => &mut session.server,
        };
        let Some(application) = application else {
            return false;
        };
        if application.is_finished() {
            return false;
        }
        let stack = self.network.stack(host);
        let connection = application.connection();
        let result = application.run(now, stack);
        let info = stack.connection_info(connection);
        session.fell_back |= info.is_some_and(|info| info.fallback.is_some());
        self.most_subflows = self.most_subflows.max(stack.subflows(connection).len());
        match result {
            Ok(moved) => moved,
            // After fallback a middlebox may edit what passes, as with any TCP connection.
            Err(application::Violation::WrongByte { .. })
                if session.fell_back && self.scenario.edits_payload() =>
            {
                stack.abort(now, connection);
                application.on_closed(Err(SocketError::ConnectionReset));
                application.give_up();
                true
            }
            Err(violation) => {
                let connection = index;
                self.violations.push(Violation::Stream {
                    connection,
                    reader: side,
                    violation,
                });
                false
            }
        }
    }

    fn host(&self, side: Side) -> HostId {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    fn take_events(&mut self, side: Side) {
        let host = self.host(side);
        while let Some(event) = self.network.poll_event(host) {
            match event {
                Event::Acceptable(listener) => self.accept(listener),
                Event::Closed(connection, result) => self.closed(side, connection, result),
                _ => {}
            }
        }
    }

    fn accept(&mut self, listener: ListenerId) {
        let seed = self.scenario.seed;
        for (index, session) in self.sessions.iter_mut().enumerate() {
            if session.listener != listener || session.server.is_some() {
                continue;
            }
            if let Some(connection) = self.network.stack(self.server).accept(listener) {
                let plan = program(seed, index, &session.plan, Side::Server);
                session.server = Some(Application::new(connection, plan));
                self.last_progress = self.network.now();
            }
        }
    }

    fn closed(&mut self, side: Side, connection: ConnectionId, result: Result<(), SocketError>) {
        for session in &mut self.sessions {
            let application = match side {
                Side::Client => &mut session.client,
                Side::Server => &mut session.server,
            };
            let application = application.as_mut();
            if let Some(application) = application.filter(|side| side.connection() == connection) {
                application.on_closed(result);
            }
        }
    }

    fn find_stuck(&mut self) {
        let now = self.network.now();
        for (connection, session) in self.sessions.iter().enumerate() {
            if !session.is_over(now, self.last_progress) {
                self.violations.push(Violation::Stuck { connection });
            }
        }
    }

    /// What must hold once the programs are through.
    fn judge(&mut self) {
        if !self.scenario.is_benign() {
            return;
        }
        let multipath = self.scenario.client.multipath && self.scenario.server.multipath;
        for (connection, session) in self.sessions.iter().enumerate() {
            if session.fell_back && multipath {
                self.violations.push(Violation::FellBack { connection });
            }
            let gentle = [session.plan.client, session.plan.server]
                .iter()
                .all(|ending| matches!(ending, Ending::Shutdown | Ending::AfterPeer));
            if !gentle {
                continue;
            }
            for (side, program) in [
                (Side::Client, &session.client),
                (Side::Server, &session.server),
            ] {
                let error = program
                    .as_ref()
                    .and_then(|program| program.error().cloned());
                if let Some(error) = error {
                    self.violations.push(Violation::Failed {
                        connection,
                        side,
                        error,
                    });
                }
            }
        }
    }

    /// Waits until the hosts have forgotten everything.
    fn forget(&mut self) {
        let until = self.network.now() + FORGET;
        while let Some(next) = self.network.next_event().filter(|next| *next <= until) {
            self.network.advance_to(next);
            self.apply_faults();
            self.take_events(Side::Client);
            self.take_events(Side::Server);
            // A connection that nobody accepted is closed by the program that listens.
            for index in 0..self.sessions.len() {
                let listener = self.sessions[index].listener;
                let now = self.network.now();
                let stack = self.network.stack(self.server);
                while let Some(connection) = stack.accept(listener) {
                    stack.abort(now, connection);
                }
            }
        }
        for side in [Side::Client, Side::Server] {
            let host = self.host(side);
            let stack = self.network.stack(host);
            let (connections, subflows) = (stack.connection_count(), stack.subflow_count());
            if connections + subflows > 0 {
                let held = format!("{connections} connections, {subflows} subflows");
                self.violations.push(Violation::Leak { side, held });
            }
        }
    }

    fn report(self) -> Report {
        let errors = |session: &&Session| {
            let failed = |side: &Option<Application>| {
                side.as_ref().is_some_and(|side| side.error().is_some())
            };
            session.refused || failed(&session.client) || failed(&session.server)
        };
        Report {
            seed: self.scenario.seed,
            trace: self.network.trace(),
            ended: self.network.now(),
            bytes: self.sessions.iter().map(Session::bytes).sum(),
            completed: self
                .sessions
                .iter()
                .filter(|session| session.is_complete())
                .count(),
            failed: self.sessions.iter().filter(errors).count(),
            fell_back: self
                .sessions
                .iter()
                .filter(|session| session.fell_back)
                .count(),
            most_subflows: self.most_subflows,
            violations: self.violations,
        }
    }
}

const DIRECTIONS: [Direction; 2] = [Direction::Forth, Direction::Back];

/// The address of a host on a link.
fn address(link: &LinkPlan, index: usize, side: Side) -> IpAddr {
    let host = match side {
        Side::Client => 1,
        Side::Server => 2,
    };
    if link.ipv6 {
        Ipv6Addr::new(0xfd00, index as u16, 0, 0, 0, 0, 0, host).into()
    } else {
        Ipv4Addr::new(10, 0, index as u8, host as u8).into()
    }
}

fn socket_options(host: &HostPlan) -> SocketOptions {
    SocketOptions {
        keepalive: Some(Keepalive {
            idle: Duration::from_secs(10),
            interval: Duration::from_secs(5),
            count: 4,
        }),
        user_timeout: Some(Duration::from_secs(60)),
        send_buffer: Some(host.buffer),
        receive_buffer: Some(host.buffer),
        ..SocketOptions::default()
    }
}

/// What a program of a connection does.
fn program(seed: u64, index: usize, plan: &ConnectionPlan, side: Side) -> Plan {
    let stream = seed.wrapping_mul(1_000) + 2 * index as u64;
    let (upload, download) = (Pattern(stream), Pattern(stream + 1));
    match side {
        Side::Client => Plan {
            writes: upload,
            length: plan.upload,
            reads: download,
            expected: plan.download,
            ending: plan.client,
        },
        Side::Server => Plan {
            writes: download,
            length: plan.download,
            reads: upload,
            expected: plan.upload,
            ending: plan.server,
        },
    }
}

/// A host of the scenario with its interfaces and endpoints.
fn stack(scenario: &Scenario, side: Side, random: &Random) -> Stack {
    let (host, label) = match side {
        Side::Client => (&scenario.client, "client"),
        Side::Server => (&scenario.server, "server"),
    };
    let config = StackConfig {
        multipath: host.multipath,
        checksum: host.checksum,
        message_delay: host.message_delay,
        ..StackConfig::default()
    };
    let mut stack = Stack::new(config, random.fork(label).bytes());
    let (signals, joins) = match (scenario.paths, side) {
        (PathPlan::Single, _) => (false, false),
        (PathPlan::Both, _) => (true, true),
        (PathPlan::ServerSignals, Side::Server) | (PathPlan::ClientSignals, Side::Client) => {
            (true, false)
        }
        _ => (false, true),
    };
    for (index, link) in scenario.links.iter().enumerate() {
        let address = address(link, index, side);
        let interface = InterfaceConfig {
            port: PortId(index as u16),
            name: format!("{label}{index}"),
            mac: MacAddress([2, 0, 0, 0, index as u8, side as u8]),
            mtu: 1_500,
            addresses: vec![(address, if link.ipv6 { 64 } else { 24 })],
            gateways: Vec::new(),
            capabilities: Capabilities {
                checksum: false,
                segmentation: false,
                max_frame: 1_514,
            },
        };
        stack
            .add_interface(interface)
            .expect("the scenario's interfaces do not collide");
        if index > 0 && (signals || joins) {
            let mut flags = EndpointFlags::empty();
            flags.set(EndpointFlags::SIGNAL, signals);
            flags.set(EndpointFlags::SUBFLOW, joins);
            let endpoint = Endpoint {
                id: index as u8,
                address,
                port: None,
                flags,
            };
            stack
                .add_endpoint(Instant::ZERO, endpoint)
                .expect("the scenario's endpoints have their own ids");
        }
    }
    let limits = Limits {
        subflows: 8,
        add_addr_accepted: 8,
    };
    stack.set_limits(Instant::ZERO, limits);
    stack
}
