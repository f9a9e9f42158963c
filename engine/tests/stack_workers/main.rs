//! Hosts whose stacks are those of several workers: subflows away from home, opened by either side,
//! with letters that take their time (RFC 8684 section 3.2). What an application sees is the same as
//! on one worker.

mod flood;
mod lab;
mod late;
mod loss;
#[path = "../stack_support/mod.rs"]
mod stack_support;

use braid_engine::socket::{ConnectOptions, SocketError};
use braid_engine::stack::{
    Event, FlowHash, Place, ReceiveMeta, Stack, StackConfig, Steering, WorkerId,
};
use braid_engine::storage::frame::Frame;
use braid_engine::testing::host::{Arrival, PostConfig};
use braid_engine::testing::link::Chance;
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::icmp::{IcmpErrorKind, UnreachableReason};
use braid_engine::wire::icmpv4;
use braid_engine::wire::ip::Protocol;
use core::net::SocketAddr;
use lab::{LINKS, Lab, PORT, POST, bytes, v4};
use stack_support::raw::{self, Seen};
use std::collections::BTreeSet;

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
