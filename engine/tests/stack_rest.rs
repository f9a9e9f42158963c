//! Subflows on which nothing happens are packed, and nobody notices.

mod stack_support;

use braid_engine::socket::{ConnectOptions, Shutdown, SocketOptions};
use braid_engine::stack::ConnectionId;
use braid_engine::tcp::Keepalive;
use braid_engine::time::Duration;
use core::net::SocketAddr;
use stack_support::{Network, Side, pattern, v4};

const SILENCE: Duration = Duration::from_secs(12);

/// Two connected hosts with two subflows, and what passed over both.
fn with_two_subflows() -> (Network, ConnectionId, ConnectionId) {
    let mut network = Network::new(2);
    network.full_paths(2, false);
    network.listen();
    let remote = SocketAddr::new(v4(Side::Server, 0), 80);
    let (client, server) = network.establish(remote);
    network.transfer((Side::Client, client), server, &pattern(300_000, 1));
    network.transfer((Side::Server, server), client, &pattern(300_000, 2));
    (network, client, server)
}

fn resting(network: &mut Network) -> [usize; 2] {
    [Side::Client, Side::Server].map(|side| network.host(side).stack.usage().resting)
}

#[test]
fn idle_subflows_rest_and_data_goes_on_over_both() {
    let (mut network, client, server) = with_two_subflows();
    assert_eq!(resting(&mut network), [0, 0]);
    for round in 0..3 {
        network.run_for(SILENCE);
        assert_eq!(resting(&mut network), [2, 2], "round {round}");
        network.transfer((Side::Client, client), server, &pattern(500_000, round));
        network.transfer((Side::Server, server), client, &pattern(500_000, round + 9));
    }
    let (_, subflows) = network.client.stack.snapshot(client).expect("it is open");
    assert_eq!(subflows.len(), 2);
    for subflow in &subflows {
        let tcp = subflow.tcp.as_ref().expect("the subflow is here");
        assert!(tcp.bytes_acknowledged > 100_000, "{tcp:?}");
    }
}

#[test]
fn what_is_told_of_a_subflow_is_the_same_at_rest() {
    let (mut network, client, _) = with_two_subflows();
    network.run_for(Duration::from_secs(4));
    let before = network.client.stack.snapshot(client).expect("it is open");
    assert_eq!(resting(&mut network), [0, 0]);
    network.run_for(SILENCE);
    assert_eq!(resting(&mut network), [2, 2]);
    let at_rest = network.client.stack.snapshot(client).expect("it is open");
    let text = |snapshot: &_| format!("{snapshot:#?}");
    assert_eq!(text(&before), text(&at_rest));
}

#[test]
fn subflows_that_lost_something_rest_too() {
    for tail_only in [false, true] {
        let (mut network, client, server) = with_two_subflows();
        let mut seen = 0_u32;
        // Of both directions' data every tenth segment, or the only one once, which a tail loss probe repeats.
        network.filter = Box::new(move |_, sent| {
            if sent.bytes.len() < 500 {
                return true;
            }
            seen += 1;
            if tail_only {
                seen != 1
            } else {
                !seen.is_multiple_of(10)
            }
        });
        let length = if tail_only { 1_000 } else { 500_000 };
        network.transfer((Side::Client, client), server, &pattern(length, 3));
        network.transfer((Side::Server, server), client, &pattern(length, 4));
        let (_, subflows) = network.client.stack.snapshot(client).expect("it is open");
        let tcp = subflows.iter().filter_map(|subflow| subflow.tcp.as_ref());
        assert!(tcp.map(|tcp| tcp.retransmissions).sum::<u64>() > 0);
        network.run_for(SILENCE);
        assert_eq!(resting(&mut network), [2, 2], "tail only: {tail_only}");
    }
}

#[test]
fn a_connection_ends_from_rest() {
    let (mut network, client, server) = with_two_subflows();
    network.run_for(SILENCE);
    assert_eq!(resting(&mut network), [2, 2]);
    network.shutdown(Side::Client, client, Shutdown::Write);
    network.run_for(SILENCE);
    assert_eq!(resting(&mut network), [2, 2], "with one direction open");
    network.transfer((Side::Server, server), client, &pattern(100_000, 5));
    network.run_for(SILENCE);
    assert_eq!(resting(&mut network), [2, 2]);
    network.shutdown(Side::Server, server, Shutdown::Write);
    network.run_until_closed(client, server);
}

#[test]
fn keepalive_finds_a_dead_peer_from_rest() {
    let mut network = Network::new(1);
    network.listen();
    let keepalive = Keepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
    };
    let options = ConnectOptions {
        socket: SocketOptions {
            keepalive: Some(keepalive),
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(SocketAddr::new(v4(Side::Server, 0), 80))
    };
    let (client, server) = network.establish_with(options);
    network.transfer((Side::Client, client), server, &pattern(1_000, 1));
    network.run_for(Duration::from_secs(50));
    assert_eq!(resting(&mut network), [1, 1]);
    // A peer that lives answers.
    network.run_for(Duration::from_secs(600));
    assert_eq!(network.client.closed(client), None);
    assert_eq!(resting(&mut network), [1, 1]);
    network.filter = Box::new(|_, _| false);
    network.run_until(Duration::from_secs(1_200), |network| {
        network.client.closed(client).is_some()
    });
}
