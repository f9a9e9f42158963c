//! Hosts whose stacks are those of several workers: subflows away from home, opened by either side,
//! with letters that take their time (RFC 8684 section 3.2). What an application sees is the same as
//! on one worker.

mod stack_support;

use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::random::Random;
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError};
use braid_engine::stack::{
    Capabilities, ConnectionId, Event, FlowHash, InterfaceConfig, ListenerId, Place, PortId,
    ReceiveMeta, Stack, StackConfig, Steering, WorkerId,
};
use braid_engine::storage::frame::Frame;
use braid_engine::testing::host::{Arrival, PostConfig};
use braid_engine::testing::link::{Chance, LinkConfig};
use braid_engine::testing::network::{End, HostId, Network};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::ethernet::MacAddress;
use braid_engine::wire::icmp::{IcmpErrorKind, UnreachableReason};
use braid_engine::wire::icmpv4;
use braid_engine::wire::ip::Protocol;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use stack_support::raw::{self, Seen};
use std::collections::BTreeSet;

const LINKS: u8 = 3;
const PORT: u16 = 80;

const POST: PostConfig = PostConfig {
    delay: Duration::from_micros(50),
    capacity: 256,
    refusal: Chance::NEVER,
    arrival: Arrival::Steered,
};

fn v4(link: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, link, host).into()
}

/// Two hosts of as many workers on three links. Host 1 opens subflows from its addresses on the
/// further links to those that host 2 announces.
struct Lab {
    network: Network,
    hosts: [HostId; 2],
    listener: ListenerId,
    events: [Vec<(usize, Event)>; 2],
}

/// A connection on one worker of each host.
#[derive(Copy, Clone)]
struct Pair {
    workers: [usize; 2],
    ends: [ConnectionId; 2],
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
    fn new(workers: u8, post: PostConfig) -> Self {
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

    fn now(&self) -> Instant {
        self.network.now()
    }

    fn stack(&mut self, side: usize, worker: usize) -> &mut Stack {
        self.network.worker(self.hosts[side], worker)
    }

    fn workers(&self, side: usize) -> usize {
        self.network.workers(self.hosts[side]).len()
    }

    /// Lets everything happen until then.
    fn run_until(&mut self, until: Instant) {
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

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// Connects from a worker, and waits until all further paths are joined.
    fn connect(&mut self, worker: usize) -> Pair {
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
        self.run_for(Duration::from_secs(2));
        pair
    }

    fn send(&mut self, pair: Pair, side: usize, bytes: &[u8]) -> usize {
        let now = self.now();
        let (worker, end) = (pair.workers[side], pair.ends[side]);
        match self.stack(side, worker).send(now, end, bytes) {
            Ok(sent) => sent,
            Err(SocketError::WouldBlock) => 0,
            Err(error) => panic!("{error}"),
        }
    }

    fn recv(&mut self, pair: Pair, side: usize, into: &mut Vec<u8>) {
        let now = self.now();
        let (worker, end) = (pair.workers[side], pair.ends[side]);
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = self.stack(side, worker).recv(now, end, &mut buffer) {
            into.extend_from_slice(&buffer[..count]);
        }
    }

    /// Sends all of it and sees that it arrives as it is.
    fn send_all(&mut self, pair: Pair, side: usize, bytes: &[u8]) {
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
    fn spread(&mut self, pair: Pair, side: usize) -> usize {
        let (worker, end) = (pair.workers[side], pair.ends[side]);
        let subflows = self.stack(side, worker).subflows(end);
        let established = subflows.iter().filter(|subflow| subflow.established);
        let workers: BTreeSet<_> = established.map(|info| info.handle.worker()).collect();
        workers.len()
    }

    fn counter(&self, side: usize, name: &str) -> u64 {
        let workers = self.network.workers(self.hosts[side]).iter();
        let named = |stack: &Stack| {
            let counters = stack.counters();
            let found = counters.named().find(|(other, _)| *other == name);
            found.expect("such a counter").1
        };
        workers.map(named).sum()
    }

    /// Nothing is left anywhere: no connection, subflow, half-open flow, letter, message or frame.
    fn assert_empty(&mut self) {
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

fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| (place * 7 + place / 251) as u8)
        .collect()
}

#[test]
fn subflows_on_other_workers_carry_data_both_ways_and_leave_nothing() {
    for (workers, arrival) in [
        (2, Arrival::Steered),
        (2, Arrival::Scattered),
        (3, Arrival::First),
        (4, Arrival::Scattered),
    ] {
        let mut lab = Lab::new(workers, PostConfig { arrival, ..POST });
        for home in 0..usize::from(workers) {
            let pair = lab.connect(home);
            assert!(lab.spread(pair, 0) > 1, "{workers} workers, {arrival:?}");
            lab.send_all(pair, 0, &bytes(1_000_000));
            lab.send_all(pair, 1, &bytes(1_000_000));
            let subflows = lab.stack(0, home).subflows(pair.ends[0]);
            assert_eq!(subflows.len(), usize::from(LINKS));
            let carried = subflows
                .iter()
                .filter(|subflow| subflow.handle.worker().index() != home)
                .map(|subflow| (subflow.bytes_sent, subflow.bytes_received));
            for (sent, received) in carried {
                assert!(sent > 10_000 && received > 10_000, "{sent} {received}");
            }
            for side in 0..2 {
                let (now, end) = (lab.now(), pair.ends[side]);
                lab.stack(side, pair.workers[side]).close(now, end);
            }
            lab.run_for(Duration::from_secs(120));
            lab.assert_empty();
        }
        for side in 0..2 {
            assert_eq!(lab.counter(side, "EnginePayloadMissing"), 0);
            assert_eq!(lab.counter(side, "MPTcpExtMPJoinSynRejected"), 0);
            let handed_over = lab.counter(side, "SteeredFrames") > 0;
            assert_eq!(handed_over, arrival != Arrival::Steered, "{arrival:?}");
        }
    }
}

#[test]
fn an_abort_reaches_every_worker() {
    for side in 0..2 {
        let mut lab = Lab::new(3, POST);
        let pair = lab.connect(1);
        lab.send(pair, 1 - side, &bytes(500_000));
        lab.run_for(Duration::from_millis(30));
        let (now, end) = (lab.now(), pair.ends[side]);
        lab.stack(side, pair.workers[side]).abort(now, end);
        lab.run_for(Duration::from_secs(1));
        let peer = (pair.workers[1 - side], pair.ends[1 - side]);
        let reset = lab.events[1 - side].iter().any(|(worker, event)| {
            let reset = Event::Closed(peer.1, Err(SocketError::ConnectionReset));
            *worker == peer.0 && *event == reset
        });
        assert!(reset, "the peer is told");
        let now = lab.now();
        lab.stack(1 - side, peer.0).close(now, peer.1);
        lab.run_for(Duration::from_secs(120));
        lab.assert_empty();
    }
}

#[test]
fn a_full_ring_costs_time_and_no_byte() {
    let post = PostConfig {
        delay: Duration::from_millis(1),
        capacity: 1,
        refusal: Chance::percent(10),
        ..POST
    };
    let mut lab = Lab::new(2, post);
    let pair = lab.connect(0);
    lab.send_all(pair, 0, &bytes(400_000));
    lab.send_all(pair, 1, &bytes(400_000));
    let full = lab.counter(0, "ReassemblyRingFull") + lab.counter(1, "ReassemblyRingFull");
    assert!(
        full > 0,
        "segments were dropped before they were acknowledged"
    );
    for side in 0..2 {
        let (now, end) = (lab.now(), pair.ends[side]);
        lab.stack(side, pair.workers[side]).close(now, end);
    }
    lab.run_for(Duration::from_secs(120));
    lab.assert_empty();
}

/// A worker is gone: nothing comes from it any more, and the others are told.
fn lose(lab: &mut Lab, side: usize, gone: usize) {
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

#[test]
fn a_connection_survives_a_worker_that_only_some_of_its_subflows_were_on() {
    for side in 0..2 {
        let mut lab = Lab::new(2, POST);
        let pair = lab.connect(0);
        let (home, end) = (pair.workers[side], pair.ends[side]);
        let gone = 1 - home;
        assert_eq!(lab.spread(pair, side), 2);
        let data = bytes(1_000_000);
        let mut received = [Vec::new(), Vec::new()];
        let mut sent = [0; 2];
        for round in 0..40_000 {
            if round == 10 {
                assert!(received.iter().all(|bytes| bytes.len() < data.len()));
                lose(&mut lab, side, gone);
            }
            for from in 0..2 {
                sent[from] += lab.send(pair, from, &data[sent[from]..]);
            }
            lab.run_for(Duration::from_millis(5));
            for (to, into) in received.iter_mut().enumerate() {
                lab.recv(pair, to, into);
            }
            if received.iter().all(|bytes| bytes.len() >= data.len()) {
                break;
            }
        }
        let lengths = received.each_ref().map(Vec::len);
        assert!(received.iter().all(|bytes| *bytes == data), "{lengths:?}");
        let left = lab.stack(side, home).subflows(end);
        assert!(left.iter().all(|info| info.handle.worker().index() == home));
        assert!(!left.is_empty());
    }
}

#[test]
fn subflows_of_a_home_that_is_gone_are_reset_and_joins_to_it_refused() {
    let mut lab = Lab::new(2, POST);
    let pair = lab.connect(0);
    let home = pair.workers[1];
    let other = 1 - home;
    assert!(lab.stack(1, other).subflow_count() > 0);
    lab.send(pair, 0, &bytes(200_000));
    lab.run_for(Duration::from_millis(20));
    let before = lab.stack(0, 0).subflows(pair.ends[0]).len();
    lose(&mut lab, 1, home);
    // The client hears of it on those paths, and what it tries next is refused at once.
    lab.run_for(Duration::from_secs(20));
    assert!(lab.stack(0, 0).subflows(pair.ends[0]).len() < before);
    let stack = lab.stack(1, other);
    assert_eq!((stack.subflow_count(), stack.flow_counts().0), (0, 0));
    assert_eq!(stack.usage().messages, 0);
}

#[test]
fn those_that_are_left_take_the_flows_of_a_worker_that_is_gone() {
    for arrival in [Arrival::Steered, Arrival::Scattered] {
        let mut lab = Lab::new(4, PostConfig { arrival, ..POST });
        for (side, gone) in [(1, 2), (0, 1), (1, 0)] {
            lose(&mut lab, side, gone);
        }
        let now = lab.now();
        let to = ConnectOptions::to(SocketAddr::new(v4(0, 2), PORT));
        let tried: Vec<(usize, ConnectionId)> = [0, 2, 3]
            .into_iter()
            .cycle()
            .take(48)
            .map(|worker| {
                let connected = lab.stack(0, worker).connect(now, to.clone());
                (worker, connected.expect("a way"))
            })
            .collect();
        lab.run_for(Duration::from_millis(100));
        for (worker, id) in tried {
            let event = (worker, Event::Connected(id));
            assert!(lab.events[0].contains(&event), "{arrival:?}: {event:?}");
        }
        let accepted = [1, 3].map(|worker| {
            let listener = lab.listener;
            core::iter::from_fn(|| lab.stack(1, worker).accept(listener)).count()
        });
        assert_eq!(accepted.iter().sum::<usize>(), 48);
        assert!(accepted.iter().all(|count| *count > 8), "{accepted:?}");
    }
}

#[test]
fn further_paths_are_opened_at_workers_that_are_left() {
    let mut lab = Lab::new(3, POST);
    lose(&mut lab, 0, 1);
    lose(&mut lab, 1, 2);
    let pair = lab.connect(0);
    let subflows = lab.stack(0, 0).subflows(pair.ends[0]);
    let established = subflows.iter().filter(|info| info.established);
    assert_eq!(established.count(), usize::from(LINKS), "{subflows:?}");
    assert_eq!(lab.spread(pair, 0), 2);
    lab.send_all(pair, 0, &bytes(500_000));
    lab.send_all(pair, 1, &bytes(500_000));
}

#[test]
fn a_join_whose_home_ends_before_it_answers_is_refused() {
    let post = PostConfig {
        delay: Duration::from_millis(1),
        capacity: 1,
        refusal: Chance::percent(100),
        ..POST
    };
    // The letters of the server never leave, so the SYNs of joins are held for ever.
    let mut lab = Lab::new(2, post);
    let now = lab.now();
    let to = ConnectOptions::to(SocketAddr::new(v4(0, 2), PORT));
    let client = lab.stack(0, 0).connect(now, to).expect("a way");
    lab.run_for(Duration::from_millis(20));
    let listener = lab.listener;
    let accepted = (0..2).find_map(|home| Some((home, lab.stack(1, home).accept(listener)?)));
    let (home, server) = accepted.expect("a connection waits");
    let pair = Pair {
        workers: [0, home],
        ends: [client, server],
    };
    lab.send_all(pair, 0, b"?");
    lab.send_all(pair, 1, b"!");
    lab.run_for(Duration::from_millis(500));
    let held = lab.stack(1, 1 - home).flow_counts().0;
    assert!(held > 0, "a SYN waits for its home");
    let resets = lab.counter(1, "TcpOutRsts");
    lose(&mut lab, 1, home);
    assert_eq!(lab.stack(1, 1 - home).flow_counts().0, 0);
    lab.run_for(Duration::from_millis(20));
    assert!(lab.counter(1, "TcpOutRsts") >= resets + held as u64);
}

#[test]
fn a_host_reaches_itself_whichever_workers_the_ends_are_on() {
    let mut lab = Lab::new(4, POST);
    let mut homes = BTreeSet::new();
    for worker in 0..4 {
        let now = lab.now();
        let to = ConnectOptions::to(SocketAddr::new(v4(1, 2), PORT));
        let client = lab.stack(1, worker).connect(now, to).expect("a way within");
        lab.run_for(Duration::from_millis(20));
        let listener = lab.listener;
        let accepted = (0..4).find_map(|home| Some((home, lab.stack(1, home).accept(listener)?)));
        let (home, server) = accepted.expect("it was accepted");
        homes.insert((worker, home));
        let sent = bytes(100_000);
        let now = lab.now();
        assert_eq!(
            lab.stack(1, worker).send(now, client, &sent),
            Ok(sent.len())
        );
        let mut received = Vec::new();
        let mut buffer = [0; 4_096];
        for _ in 0..100 {
            lab.run_for(Duration::from_millis(5));
            let now = lab.now();
            while let Ok(count @ 1..) = lab.stack(1, home).recv(now, server, &mut buffer) {
                received.extend_from_slice(&buffer[..count]);
            }
        }
        assert!(received == sent);
        let now = lab.now();
        lab.stack(1, worker).close(now, client);
        lab.stack(1, home).close(now, server);
        lab.run_for(Duration::from_secs(120));
    }
    assert!(homes.iter().any(|(one, other)| one != other));
    lab.assert_empty();
}

#[test]
fn a_bound_port_says_which_worker_is_to_connect() {
    let mut lab = Lab::new(4, POST);
    let mut seen = BTreeSet::new();
    for port in 40_000..40_020 {
        let mut options = ConnectOptions::to(SocketAddr::new(v4(0, 2), PORT));
        options.local = Some(SocketAddr::new(v4(0, 1), port));
        let now = lab.now();
        let worker = lab
            .stack(0, 0)
            .worker_for(&options)
            .expect("the port says so");
        seen.insert(worker);
        for other in (0..4).filter(|other| *other != worker.index()) {
            let refused = lab.stack(0, other).connect(now, options.clone());
            assert_eq!(refused, Err(SocketError::AddressNotAvailable));
        }
        let connected = lab.stack(0, worker.index()).connect(now, options.clone());
        assert!(connected.is_ok(), "{connected:?}");
    }
    assert_eq!(seen.len(), 4);
}

/// A frame comes to the first of two workers; what that one has to say goes to the second.
fn receive_at_the_other(workers: &mut [Stack; 2], now: Instant, bytes: &[u8]) {
    let [first, second] = workers;
    first.receive(now, Frame::from(bytes), ReceiveMeta::default());
    while let Some(letter) = first.poll_letter(WorkerId::new(1)) {
        second.deliver(now, letter);
    }
}

#[test]
fn neighbours_and_errors_are_made_known_to_the_worker_they_matter_to() {
    use stack_support::{PLAIN, Side, drain, interface, mac, v4};
    let (here, there) = (v4(Side::Server, 0), v4(Side::Client, 0));
    let steering = Steering::new(2, FlowHash::Ports).expect("two there may be");
    let mut workers = [0, 1].map(|number| {
        let config = StackConfig {
            place: Place::new(WorkerId::new(number), steering).expect("one of two"),
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, [number; 32]);
        stack
            .add_interface(interface(Side::Server, 0, PLAIN))
            .expect("sound");
        stack
    });
    let now = Instant::from_millis(1);
    let to = ConnectOptions::to(SocketAddr::new(there, PORT));
    let connection = workers[1].connect(now, to).expect("there is a way");
    let asked = drain(&mut workers[1], now);
    assert!(
        Seen::of(&asked[0]).arp().is_some(),
        "it asks for the neighbour"
    );
    let reply = raw::arp_reply(mac(Side::Client, 0), there);
    receive_at_the_other(&mut workers, now, &reply);
    let sent = drain(&mut workers[1], now);
    let syn = Seen::of(&sent[0])
        .tcp()
        .expect("the SYN, for the neighbour is known");
    let quoted = raw::segment(here, there, &syn, b"");
    let kind = IcmpErrorKind::Unreachable(UnreachableReason::Port);
    let mut message = vec![0; 1_000];
    let length = icmpv4::emit_error(kind, &quoted[14..], &mut message).expect("room");
    let error = raw::ip_frame(
        raw::stranger(77),
        here,
        Protocol::Icmpv4,
        &message[..length],
    );
    receive_at_the_other(&mut workers, now, &error);
    let unreachable = Event::Closed(connection, Err(SocketError::HostUnreachable));
    let told = core::iter::from_fn(|| workers[1].poll_event());
    assert!(told.into_iter().any(|event| event == unreachable));
    assert_eq!(workers[0].counters().stack.steered_frames, 1);
}
