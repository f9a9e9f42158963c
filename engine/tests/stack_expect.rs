//! Memory is asked for before a burst of frames or calls uses it, where there are many connections.

mod stack_support;

use braid_engine::socket::ListenOptions;
use braid_engine::stack::{ConnectionId, StackConfig};
use braid_engine::storage::prefetch::Prefetch;
use braid_engine::time::Duration;
use core::cell::Cell;
use core::net::SocketAddr;
use stack_support::{Network, PLAIN, Side, drain, pattern, v4, v6};

/// More than the caches hold.
const CROWD: usize = 9_000;

thread_local! {
    /// Bytes asked for since the last look.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

fn prefetch() -> Prefetch {
    Prefetch::by(|_, bytes| ASKED.set(ASKED.get() + bytes))
}

fn asked() -> usize {
    ASKED.replace(0)
}

/// A network with so many connections, of which the client's are returned.
fn crowd(connections: usize, is_ipv6: bool) -> (Network, Vec<ConnectionId>) {
    let config = StackConfig {
        accept_queue: CROWD,
        ..StackConfig::default()
    };
    let mut network = Network::with(config.clone(), config, 1, PLAIN);
    network.client.stack.set_prefetch(prefetch());
    network.server.stack.set_prefetch(prefetch());
    network.listen_with(ListenOptions {
        backlog: usize::MAX,
        ..ListenOptions::default()
    });
    let address = if is_ipv6 { v6 } else { v4 };
    let remote = SocketAddr::new(address(Side::Server, 0), 80);
    let begin = |_| {
        let connection = network.connect(remote);
        network.run_for(Duration::from_micros(100));
        connection
    };
    let connections: Vec<_> = (0..connections).map(begin).collect();
    network.run_for(Duration::from_millis(100));
    assert_eq!(network.server.stack.connection_count(), connections.len());
    asked();
    (network, connections)
}

#[test]
fn what_a_burst_of_a_crowd_uses_is_asked_for() {
    for is_ipv6 in [false, true] {
        let (mut network, connections) = crowd(CROWD, is_ipv6);
        let (now, client) = (network.now, &mut network.client.stack);
        for &connection in &connections[300..310] {
            client.send(now, connection, &pattern(64, 1)).unwrap();
        }
        let sent = drain(client, now);
        assert_eq!(sent.len(), 10);
        let server = &network.server.stack;
        server.expect_frames(sent.iter().map(|sent| &sent.bytes[..]));
        let of_all = asked();
        // A subflow and its connection, whole, for each.
        assert!(of_all > 10 * 2_000, "{of_all} bytes");
        // Frames of one flow use the same.
        server.expect_frames(sent.iter().map(|_| &sent[0].bytes[..]));
        assert!(asked() <= of_all / 5);
    }
}

#[test]
fn what_calls_of_a_crowd_use_is_asked_for() {
    let (network, connections) = crowd(CROWD, false);
    let client = &network.client.stack;
    client.expect_calls(connections[10..20].iter().copied());
    let of_ten = asked();
    assert!(of_ten > 10 * 2_000, "{of_ten} bytes");
    // No more is asked for than a cache holds, and nothing for connections that are not there.
    client.expect_calls(connections.iter().copied());
    assert!(asked() < 100 * of_ten / 10);
    client.expect_calls([ConnectionId::from_u64(u64::MAX)]);
    assert_eq!(asked(), 0);
}

#[test]
fn few_connections_ask_for_nothing() {
    let (mut network, connections) = crowd(20, false);
    let (now, client) = (network.now, &mut network.client.stack);
    client.expect_calls(connections.iter().copied());
    for &connection in &connections {
        client.send(now, connection, &pattern(64, 1)).unwrap();
    }
    let sent = drain(client, now);
    let server = &network.server.stack;
    server.expect_frames(sent.iter().map(|sent| &sent.bytes[..]));
    assert_eq!(asked(), 0);
}

#[test]
fn frames_that_are_no_segments_are_passed_over() {
    let (network, _) = crowd(CROWD, false);
    let server = &network.server.stack;
    for version in [0x45, 0x46, 0x60, 0x00] {
        for length in 0..80 {
            let mut frame = vec![6; length];
            if let Some(byte) = frame.get_mut(14) {
                *byte = version;
            }
            server.expect_frames([&frame[..]]);
        }
    }
    assert_eq!(asked(), 0);
}
