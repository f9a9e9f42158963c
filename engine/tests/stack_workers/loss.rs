//! Workers that end while the others go on.

use super::lab::{LINKS, Lab, PORT, POST, Pair, bytes, lose, v4};
use braid_engine::socket::ConnectOptions;
use braid_engine::stack::{ConnectionId, Event};
use braid_engine::testing::host::{Arrival, PostConfig};
use braid_engine::testing::link::Chance;
use braid_engine::time::Duration;
use core::net::SocketAddr;

/// 48 connections of the client, of these workers in turn, and the time that they take to be there.
fn connect_from(lab: &mut Lab, workers: &[usize]) -> Vec<(usize, ConnectionId)> {
    let now = lab.now();
    let to = ConnectOptions::to(SocketAddr::new(v4(0, 2), PORT));
    let connect = |&worker: &usize| {
        let connected = lab.stack(0, worker).connect(now, to.clone());
        (worker, connected.expect("a way"))
    };
    let connections = workers.iter().cycle().take(48).map(connect).collect();
    lab.run_for(Duration::from_millis(100));
    connections
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
        let tried = connect_from(&mut lab, &[0, 2, 3]);
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
fn flows_that_a_worker_has_taken_stay_with_it_when_another_ends() {
    let mut lab = Lab::new(4, POST);
    lose(&mut lab, 1, 0);
    let clients = connect_from(&mut lab, &[0, 1, 2, 3]);
    let listener = lab.listener;
    let servers: Vec<(usize, ConnectionId)> = (1..4)
        .flat_map(|worker| {
            let stack = lab.stack(1, worker);
            let accepted = core::iter::from_fn(|| stack.accept(listener));
            accepted.map(|id| (worker, id)).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(servers.len(), clients.len());
    lose(&mut lab, 1, 3);
    let now = lab.now();
    for &(worker, id) in &clients {
        let sent = lab.stack(0, worker).send(now, id, b"still there?");
        assert_eq!(sent, Ok(12));
    }
    lab.run_for(Duration::from_secs(1));
    let now = lab.now();
    for (worker, id) in servers {
        if worker != 3 {
            let mut buffer = [0; 16];
            let received = lab.stack(1, worker).recv(now, id, &mut buffer);
            assert_eq!(received, Ok(12), "worker {worker}");
        }
    }
}
