//! Running a scenario: programs, network and faults in turn, until all is over.

use super::build::{add_host, address, program, socket_options};
use super::memory::check_memory;
use super::session::Session;
use super::{Fault, Report, Scenario, Side, Violation};
use crate::random::Random;
use crate::socket::{ConnectOptions, ListenOptions, SocketError};
use crate::stack::{Event, ListenerId, PortId};
use crate::testing::application::{self, Application};
use crate::testing::middlebox::{Direction, Middlebox};
use crate::testing::network::{End, HostId, LinkId, Network};
use crate::time::{Duration, Instant};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::Range;

/// The server listens for connection number `n` at this port plus `n`.
const FIRST_PORT: u16 = 8_000;

/// Silence after which a connection counts as stuck. Keepalives and the user timeout find a dead
/// peer, and the wait for a new subflow ends, well before.
const STUCK: Duration = Duration::from_secs(300);

/// The same where a path works: no more than a few timeouts that have backed off, and less than it
/// takes to give up a path that does not.
const STUCK_WITH_A_PATH: Duration = Duration::from_secs(45);

/// How long the hosts may take to forget the connections after the programs are through.
const FORGET: Duration = Duration::from_secs(600);

/// Memory is looked at once in so many steps.
const MEMORY_STEPS: u64 = 16;

const DIRECTIONS: [Direction; 2] = [Direction::Forth, Direction::Back];

/// Runs the scenario of a seed.
pub fn run(seed: u64) -> Report {
    Run::new(Scenario::draw(seed)).run()
}

struct Run {
    scenario: Scenario,
    network: Network,
    hosts: [HostId; 2],
    links: Vec<LinkId>,
    sessions: Vec<Session>,
    next_fault: usize,
    next_switch: usize,
    steps: u64,
    most_subflows: usize,
    violations: Vec<Violation>,
}

impl Run {
    fn new(scenario: Scenario) -> Self {
        let random = Random::from_u64(scenario.seed);
        let mut network = Network::new(random.fork("network"));
        if let Some(interval) = scenario.moderation {
            network.set_moderation(interval);
        }
        let hosts = Side::BOTH.map(|side| add_host(&mut network, &scenario, side, &random));
        let links = scenario.links.iter().enumerate().map(|(index, link)| {
            let port = PortId(index as u16);
            let ends = hosts.map(|host| End { host, port });
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
            hosts,
            links,
            sessions: Vec::new(),
            next_fault: 0,
            next_switch: 0,
            steps: 0,
            most_subflows: 0,
            violations: Vec::new(),
        };
        run.listen();
        run
    }

    fn host(&self, side: Side) -> HostId {
        self.hosts[side as usize]
    }

    fn workers(&self, side: Side) -> Range<usize> {
        0..self.network.workers(self.host(side)).len()
    }

    fn listen(&mut self) {
        let server = self.host(Side::Server);
        // Bound to one address a listener would keep its connections on one path.
        let any: IpAddr = match self.scenario.links[0].ipv6 {
            true => Ipv6Addr::UNSPECIFIED.into(),
            false => Ipv4Addr::UNSPECIFIED.into(),
        };
        for (index, plan) in self.scenario.connections.iter().enumerate() {
            let address = SocketAddr::new(any, FIRST_PORT + index as u16);
            let options = ListenOptions {
                multipath: self.scenario.server.multipath,
                socket: socket_options(&self.scenario.server, &self.scenario.policies[1]),
                ..ListenOptions::default()
            };
            // The first call is the same on every worker, and so is the listener's name.
            let listeners = self.workers(Side::Server).map(|worker| {
                let stack = self.network.worker(server, worker);
                let listener = stack.listen(address, options.clone());
                listener.expect("the port is free")
            });
            let listener = listeners.last().expect("a host has a worker");
            let protected = self.scenario.lasts(0);
            self.sessions.push(Session::new(*plan, listener, protected));
        }
    }

    fn run(mut self) -> Report {
        while self.violations.is_empty() && !self.is_over() {
            self.connect();
            self.settle();
            self.find_stuck();
            self.check_memory();
            let next = self.next_event();
            self.network.advance_to(next);
            self.apply_faults();
            self.apply_switches();
        }
        for (connection, session) in self.sessions.iter().enumerate() {
            self.violations
                .extend(session.judge(&self.scenario, connection));
        }
        if self.violations.is_empty() {
            self.forget();
        }
        self.report()
    }

    fn is_over(&self) -> bool {
        let now = self.network.now();
        self.sessions.iter().all(|session| session.is_over(now))
    }

    /// The earliest of: what the network does next, a fault, a connect, the end of patience.
    fn next_event(&mut self) -> Instant {
        let now = self.network.now();
        let live = self.sessions.iter().filter(|session| !session.is_over(now));
        let patience = live.map(|session| session.moved_at() + patience(session));
        let patience = patience.min().unwrap_or(now) + Duration::from_millis(1);
        let fault = self.scenario.faults.get(self.next_fault).map(|(at, _)| *at);
        let switch = self.scenario.switches.get(self.next_switch);
        let switch = switch.map(|(at, ..)| *at);
        let starts = self.sessions.iter().filter_map(Session::starts);
        let next = self.network.next_event().into_iter();
        let next = next.chain(fault).chain(switch).chain(starts).min();
        next.unwrap_or(patience).min(patience).max(now)
    }

    fn connect(&mut self) {
        let now = self.network.now();
        let client = self.host(Side::Client);
        for (index, session) in self.sessions.iter_mut().enumerate() {
            if session.starts().is_none_or(|at| at > now) {
                continue;
            }
            let remote = address(&self.scenario.links[0], 0, Side::Server);
            let options = ConnectOptions {
                multipath: self.scenario.client.multipath,
                socket: socket_options(&self.scenario.client, &self.scenario.policies[0]),
                ..ConnectOptions::to(SocketAddr::new(remote, FIRST_PORT + index as u16))
            };
            let worker = index % self.network.workers(client).len();
            match self.network.worker(client, worker).connect(now, options) {
                Ok(connection) => {
                    let plan = program(self.scenario.seed, index, &session.plan, Side::Client);
                    let program = Application::new(connection, plan);
                    session.start(now, Side::Client, worker, program);
                }
                Err(_) => session.refuse(),
            }
        }
    }

    fn apply_faults(&mut self) {
        let now = self.network.now();
        while let Some((at, fault)) = self.scenario.faults.get(self.next_fault).cloned() {
            if at > now {
                return;
            }
            self.next_fault += 1;
            for session in &mut self.sessions {
                session.moved(now.max(session.moved_at()));
            }
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
                Fault::Withdraw { side, link } => {
                    let host = self.host(side);
                    for worker in self.workers(side) {
                        let stack = self.network.worker(host, worker);
                        stack.remove_endpoint(now, link as u8);
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

    fn apply_switches(&mut self) {
        let now = self.network.now();
        while let Some((at, side, policy)) = self.scenario.switches.get(self.next_switch).copied() {
            if at > now {
                return;
            }
            self.next_switch += 1;
            let host = self.host(side);
            for session in &self.sessions {
                let Some(program) = session.program(side) else {
                    continue;
                };
                let connection = program.connection();
                let stack = self.network.worker(host, session.worker(side));
                // A connection that is gone has nothing to switch.
                let _ = stack.set_congestion(now, connection, policy.congestion);
                let _ = stack.set_scheduler(now, connection, policy.scheduler);
                if let Some(redundancy) = policy.redundancy {
                    let _ = stack.set_redundancy(now, connection, redundancy);
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
        }
    }

    fn run_program(&mut self, index: usize, side: Side) -> bool {
        let now = self.network.now();
        let host = self.host(side);
        let session = &mut self.sessions[index];
        let worker = session.worker(side);
        let Some(application) = session.program_mut(side) else {
            return false;
        };
        if application.is_finished() {
            return false;
        }
        let stack = self.network.worker(host, worker);
        let connection = application.connection();
        let result = application.run(now, stack);
        self.most_subflows = self.most_subflows.max(stack.subflows(connection).len());
        if let Some(reason) = session.observe(&self.scenario, side, stack, connection) {
            let connection = index;
            self.violations
                .push(Violation::FellBack { connection, reason });
        }
        match result {
            Ok(moved) => {
                if moved {
                    session.moved(now);
                }
                moved
            }
            // After fallback a middlebox may edit what passes, as with any TCP connection.
            Err(application::Violation::WrongByte { .. })
                if session.fallback().is_some() && self.scenario.edits_payload() =>
            {
                stack.abort(now, connection);
                if let Some(application) = session.program_mut(side) {
                    application.on_closed(Err(SocketError::ConnectionReset));
                    application.give_up();
                }
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

    fn take_events(&mut self, side: Side) {
        let host = self.host(side);
        for worker in self.workers(side) {
            while let Some(event) = self.network.worker(host, worker).poll_event() {
                match event {
                    Event::Acceptable(listener) => self.accept(worker, listener),
                    Event::Closed(connection, result) => {
                        for session in &mut self.sessions {
                            session.closed(side, worker, connection, &result);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn accept(&mut self, worker: usize, listener: ListenerId) {
        let seed = self.scenario.seed;
        let (now, server) = (self.network.now(), self.host(Side::Server));
        for (index, session) in self.sessions.iter_mut().enumerate() {
            if session.listener != listener || session.program(Side::Server).is_some() {
                continue;
            }
            let stack = self.network.worker(server, worker);
            if let Some(connection) = stack.accept(listener) {
                let plan = program(seed, index, &session.plan, Side::Server);
                let program = Application::new(connection, plan);
                session.start(now, Side::Server, worker, program);
            }
        }
    }

    fn find_stuck(&mut self) {
        let now = self.network.now();
        for (connection, session) in self.sessions.iter().enumerate() {
            let silence = now.saturating_since(session.moved_at());
            if session.is_over(now) || silence <= patience(session) {
                continue;
            }
            let hosts = self.hosts.map(|host| self.network.workers(host));
            let known = session.known(hosts);
            self.violations.push(Violation::Stuck { connection, known });
        }
    }

    fn check_memory(&mut self) {
        self.steps += 1;
        if !self.steps.is_multiple_of(MEMORY_STEPS) {
            return;
        }
        for side in Side::BOTH {
            let workers = self.network.workers(self.host(side));
            if let Err(held) = check_memory(&self.scenario, side, workers) {
                self.violations.push(Violation::Memory { side, held });
            }
        }
    }

    /// Waits until the hosts have forgotten everything.
    fn forget(&mut self) {
        let until = self.network.now() + FORGET;
        let server = self.host(Side::Server);
        while let Some(next) = self.network.next_event().filter(|next| *next <= until) {
            self.network.advance_to(next);
            self.apply_faults();
            self.take_events(Side::Client);
            self.take_events(Side::Server);
            // A connection that nobody accepted is closed by the program that listens.
            for worker in self.workers(Side::Server) {
                let now = self.network.now();
                let stack = self.network.worker(server, worker);
                for session in &self.sessions {
                    while let Some(connection) = stack.accept(session.listener) {
                        stack.abort(now, connection);
                    }
                }
            }
        }
        for side in Side::BOTH {
            let host = self.host(side);
            let letters = self.network.letters(host);
            for (worker, stack) in self.network.workers(host).iter().enumerate() {
                let (connections, subflows) = (stack.connection_count(), stack.subflow_count());
                let (half_open, _) = stack.flow_counts();
                let usage = stack.usage();
                if connections
                    + subflows
                    + half_open
                    + letters
                    + usage.received
                    + usage.carried
                    + usage.retained
                    + usage.messages
                    > 0
                {
                    let held = format!(
                        "worker {worker}: {connections} connections, {subflows} subflows, \
                         {half_open} half open, {letters} letters, {usage:?}"
                    );
                    self.violations.push(Violation::Leak { side, held });
                }
            }
        }
    }

    fn report(self) -> Report {
        let count = |condition: fn(&Session) -> bool| {
            let sessions = self.sessions.iter();
            sessions.filter(|session| condition(session)).count()
        };
        Report {
            seed: self.scenario.seed,
            trace: self.network.trace(),
            ended: self.network.now(),
            bytes: self.sessions.iter().map(Session::bytes).sum(),
            completed: count(Session::is_complete),
            failed: count(Session::has_failed),
            protected: count(|session| session.is_protected() && session.is_gentle()),
            fell_back: count(|session| session.fallback().is_some()),
            most_subflows: self.most_subflows,
            violations: self.violations,
        }
    }
}

/// How long the connection may be silent.
fn patience(session: &Session) -> Duration {
    if session.is_protected() && session.is_gentle() {
        STUCK_WITH_A_PATH
    } else {
        STUCK
    }
}
