//! Two hosts of several workers each, and what goes on between them.

use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::random::Random;
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError};
use braid_engine::stack::{
    Capabilities, ConnectionId, Event, FlowHash, InterfaceConfig, ListenerId, Place, PortId, Stack,
    StackConfig, Steering, WorkerId,
};
use braid_engine::testing::host::{Arrival, PostConfig};
use braid_engine::testing::link::{Chance, LinkConfig};
use braid_engine::testing::network::{End, HostId, Network};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::ethernet::MacAddress;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::BTreeSet;

pub(crate) const LINKS: u8 = 3;
pub(crate) const PORT: u16 = 80;

pub(crate) const POST: PostConfig = PostConfig {
    delay: Duration::from_micros(50),
    capacity: 256,
    refusal: Chance::NEVER,
    arrival: Arrival::Steered,
};

pub(crate) fn v4(link: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, link, host).into()
}

/// Two hosts of as many workers on three links. Host 1 opens subflows from its addresses on the
/// further links to those that host 2 announces.
pub(crate) struct Lab {
    pub(crate) network: Network,
    pub(crate) hosts: [HostId; 2],
    pub(crate) listener: ListenerId,
    pub(crate) events: [Vec<(usize, Event)>; 2],
}

/// A connection on one worker of each host.
#[derive(Copy, Clone)]
pub(crate) struct Pair {
    pub(crate) workers: [usize; 2],
    pub(crate) ends: [ConnectionId; 2],
}

fn stack(number: u8, place: Place, post: PostConfig) -> Stack {
    let config = StackConfig {
        place,
        ..StackConfig::default()
    };
    let mut stack = Stack::new(config, [number ^ place.worker().number() << 4; 32]);
    for link in 0..LINKS {
        let interface = InterfaceConfig {
            port: PortId(link.into()),
            name: format!("eth{link}"),
            mac: MacAddress([2, 0, 0, 0, link, number]),
            mtu: 1_500,
            addresses: vec![(v4(link, number), 24)],
            gateways: Vec::new(),
            capabilities: Capabilities {
                checksum: false,
                segmentation: false,
                attach: false,
                max_frame: 1_514,
            },
        };
        stack.add_interface(interface).expect("sound");
        if post.arrival == Arrival::First {
            stack.set_port_worker(PortId(link.into()), WorkerId::FIRST);
        }
        let flags = match number {
            1 => EndpointFlags::SUBFLOW,
            _ => EndpointFlags::SIGNAL,
        };
        if link > 0 {
            let endpoint = Endpoint {
                id: link,
                address: v4(link, number),
                port: None,
                flags,
            };
            stack.add_endpoint(Instant::ZERO, endpoint).expect("sound");
        }
    }
    let limits = Limits {
        subflows: 8,
        add_addr_accepted: 8,
    };
    stack.set_limits(Instant::ZERO, limits);
    stack
}

impl Lab {
    pub(crate) fn new(workers: u8, post: PostConfig) -> Self {
        let mut network = Network::new(Random::from_u64(11));
        let steering = Steering::new(workers, FlowHash::Ports).expect("so many there may be");
        let hosts = [1, 2].map(|number| {
            let places = steering
                .all()
                .filter_map(|worker| Place::new(worker, steering));
            let stacks = places.map(|place| stack(number, place, post));
            network.add_shared_host(stacks.collect(), post)
        });
        for link in 0..LINKS {
            let port = PortId(link.into());
            let config = LinkConfig {
                delay: Duration::from_millis(2),
                rate: Some(4_000_000),
                ..LinkConfig::default()
            };
            let ends = hosts.map(|host| End { host, port });
            network.add_link(ends, [config; 2], Vec::new());
        }
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT);
        let listeners = (0..usize::from(workers)).map(|worker| {
            let stack = network.worker(hosts[1], worker);
            stack.listen(any, ListenOptions::default()).expect("free")
        });
        let listeners: BTreeSet<ListenerId> = listeners.collect();
        let listener = *listeners.first().expect("a worker listens");
        Self {
            network,
            hosts,
            listener,
            events: [Vec::new(), Vec::new()],
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.network.now()
    }

    pub(crate) fn stack(&mut self, side: usize, worker: usize) -> &mut Stack {
        self.network.worker(self.hosts[side], worker)
    }

    pub(crate) fn workers(&self, side: usize) -> usize {
        self.network.workers(self.hosts[side]).len()
    }

    /// Lets everything happen until then.
    pub(crate) fn run_until(&mut self, until: Instant) {
        self.network.transmit();
        while let Some(next) = self.network.next_event().filter(|next| *next <= until) {
            self.network.advance_to(next);
            for side in 0..2 {
                for worker in 0..self.workers(side) {
                    while let Some(event) = self.stack(side, worker).poll_event() {
                        self.events[side].push((worker, event));
                    }
                }
            }
        }
        self.network.advance_to(until);
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// Connects from a worker, and waits until all further paths are joined.
    pub(crate) fn connect(&mut self, worker: usize) -> Pair {
        let pair = self.greet(worker);
        self.run_for(Duration::from_secs(2));
        pair
    }

    /// Connects from a worker, up to where further paths may be joined.
    pub(crate) fn greet(&mut self, worker: usize) -> Pair {
        let now = self.now();
        let remote = SocketAddr::new(v4(0, 2), PORT);
        let client = self
            .stack(0, worker)
            .connect(now, ConnectOptions::to(remote))
            .expect("there is a way");
        self.run_for(Duration::from_millis(20));
        let listener = self.listener;
        let accepted = (0..self.workers(1)).find_map(|worker| {
            let accepted = self.stack(1, worker).accept(listener)?;
            Some((worker, accepted))
        });
        let (home, server) = accepted.expect("a connection waits");
        let pair = Pair {
            workers: [worker, home],
            ends: [client, server],
        };
        // One byte each way confirms MPTCP, so that the paths are joined.
        self.send_all(pair, 0, b"?");
        self.send_all(pair, 1, b"!");
        pair
    }

    pub(crate) fn send(&mut self, pair: Pair, side: usize, bytes: &[u8]) -> usize {
        let now = self.now();
        let (worker, end) = (pair.workers[side], pair.ends[side]);
        match self.stack(side, worker).send(now, end, bytes) {
            Ok(sent) => sent,
            Err(SocketError::WouldBlock) => 0,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn recv(&mut self, pair: Pair, side: usize, into: &mut Vec<u8>) {
        let now = self.now();
        let (worker, end) = (pair.workers[side], pair.ends[side]);
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = self.stack(side, worker).recv(now, end, &mut buffer) {
            into.extend_from_slice(&buffer[..count]);
        }
    }

    /// Sends all of it and sees that it arrives as it is.
    pub(crate) fn send_all(&mut self, pair: Pair, side: usize, bytes: &[u8]) {
        let mut sent = 0;
        let mut received = Vec::new();
        let deadline = self.now() + Duration::from_secs(60);
        while received.len() < bytes.len() {
            assert!(
                self.now() < deadline,
                "{} of {}",
                received.len(),
                bytes.len()
            );
            sent += self.send(pair, side, &bytes[sent..]);
            self.run_for(Duration::from_millis(5));
            self.recv(pair, 1 - side, &mut received);
        }
        assert!(received == bytes, "it arrives as it was sent");
    }

    /// On how many workers a connection has established subflows.
    pub(crate) fn spread(&mut self, pair: Pair, side: usize) -> usize {
        let (worker, end) = (pair.workers[side], pair.ends[side]);
        let subflows = self.stack(side, worker).subflows(end);
        let established = subflows.iter().filter(|subflow| subflow.established);
        let workers: BTreeSet<_> = established.map(|info| info.handle.worker()).collect();
        workers.len()
    }

    pub(crate) fn counter(&self, side: usize, name: &str) -> u64 {
        let workers = self.network.workers(self.hosts[side]).iter();
        let named = |stack: &Stack| {
            let counters = stack.counters();
            let found = counters.named().find(|(other, _)| *other == name);
            found.expect("such a counter").1
        };
        workers.map(named).sum()
    }

    /// Nothing is left anywhere: no connection, subflow, half-open flow, letter, message or frame.
    pub(crate) fn assert_empty(&mut self) {
        for side in 0..2 {
            assert_eq!(self.network.letters(self.hosts[side]), 0);
            for worker in 0..self.workers(side) {
                let stack = self.stack(side, worker);
                let counts = (stack.connection_count(), stack.subflow_count());
                assert_eq!(counts, (0, 0), "host {side} worker {worker}");
                assert_eq!(stack.flow_counts().0, 0);
                let usage = stack.usage();
                let held = usage.received + usage.carried + usage.retained + usage.messages;
                assert_eq!(held, 0, "{usage:?}");
                let pool = stack.frame_pool();
                // One that was reserved and not used may be kept for the next.
                let missing = pool.made() - pool.free();
                assert!(
                    missing <= 1,
                    "host {side} worker {worker}: {missing} frames"
                );
            }
        }
    }
}

pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| (place * 7 + place / 251) as u8)
        .collect()
}

/// A worker is gone: nothing comes from it any more, and the others are told.
pub(crate) fn lose(lab: &mut Lab, side: usize, gone: usize) {
    let place = *lab.stack(side, gone).place();
    let config = StackConfig {
        place,
        ..StackConfig::default()
    };
    // Without interfaces it takes and sends no frame.
    *lab.stack(side, gone) = Stack::new(config, [0; 32]);
    let now = lab.now();
    for other in (0..lab.workers(side)).filter(|other| *other != gone) {
        let stack = lab.stack(side, other);
        stack.worker_lost(now, place.worker());
        assert_eq!(stack.letters_waiting(place.worker()), 0);
    }
}
