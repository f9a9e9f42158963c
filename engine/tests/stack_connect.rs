//! Connections between two stacks over links without faults: echo and close, refused ports, every
//! combination of IP version, offloads, number of links, and MPTCP on either side.

mod stack_support;

use braid_engine::socket::{ConnectOptions, ListenOptions, Shutdown, SocketError};
use braid_engine::stack::{Capabilities, Event, StackConfig};
use braid_engine::time::Duration;
use core::net::SocketAddr;
use stack_support::{Network, OFFLOAD, PLAIN, Side, pattern, v4, v6};

fn plain_config() -> StackConfig {
    StackConfig {
        multipath: false,
        ..StackConfig::default()
    }
}

/// Connects, echoes 200 kB, and closes in order from the client's side.
fn echo_and_close(mut network: Network, remote: SocketAddr, fallback: bool) {
    network.listen();
    let (client, server) = network.establish(remote);
    let bytes = pattern(200_000, 7);
    network.transfer((Side::Client, client), server, &bytes);
    network.transfer((Side::Server, server), client, &bytes);
    let info = network.client.stack.connection_info(client).unwrap();
    assert_eq!(info.fallback.is_some(), fallback, "{info:?}");
    network.shutdown(Side::Client, client, Shutdown::Write);
    network.run_until(Duration::from_secs(5), |network| {
        network.server.saw(&Event::PeerFinished(server))
    });
    let now = network.now;
    assert_eq!(network.server.stack.recv(now, server, &mut [0; 9]), Ok(0));
    network.shutdown(Side::Server, server, Shutdown::Write);
    network.run_until_closed(client, server);
    let now = network.now;
    assert_eq!(network.client.stack.recv(now, client, &mut [0; 9]), Ok(0));
    assert_eq!(
        network.client.stack.send(now, client, b"late"),
        Err(SocketError::BrokenPipe)
    );
    network.client.stack.close(now, client);
    network.server.stack.close(now, server);
    network.run_for(Duration::from_secs(70));
    for host in [&network.client, &network.server] {
        assert_eq!(host.stack.connection_count(), 0);
        assert_eq!(host.stack.subflow_count(), 0);
        assert_eq!(host.stack.flow_counts(), (0, 0));
        assert_eq!(host.counter("EnginePayloadMissing"), 0);
    }
}

fn each_capability(run: impl Fn(Capabilities)) {
    run(PLAIN);
    run(OFFLOAD);
    run(Capabilities {
        segmentation: false,
        attach: false,
        max_frame: 1514,
        ..OFFLOAD
    });
}

#[test]
fn plain_tcp_echoes_and_closes_over_ipv4() {
    each_capability(|capabilities| {
        let network = Network::with(plain_config(), plain_config(), 1, capabilities);
        echo_and_close(network, SocketAddr::new(v4(Side::Server, 0), 80), true);
    });
}

#[test]
fn plain_tcp_echoes_and_closes_over_ipv6() {
    each_capability(|capabilities| {
        let network = Network::with(plain_config(), plain_config(), 1, capabilities);
        echo_and_close(network, SocketAddr::new(v6(Side::Server, 0), 80), true);
    });
}

#[test]
fn multipath_echoes_and_closes_over_one_link() {
    each_capability(|capabilities| {
        for address in [v4, v6] {
            let config = StackConfig::default;
            let network = Network::with(config(), config(), 1, capabilities);
            echo_and_close(
                network,
                SocketAddr::new(address(Side::Server, 0), 80),
                false,
            );
        }
    });
}

#[test]
fn multipath_with_checksums_when_either_side_asks() {
    for (client, server) in [(true, false), (false, true), (true, true)] {
        let config = |checksum| StackConfig {
            checksum,
            ..StackConfig::default()
        };
        let network = Network::with(config(client), config(server), 1, PLAIN);
        echo_and_close(network, SocketAddr::new(v4(Side::Server, 0), 80), false);
    }
}

#[test]
fn a_plain_peer_makes_the_other_fall_back() {
    let multipath = StackConfig::default;
    let network = Network::with(multipath(), plain_config(), 1, PLAIN);
    echo_and_close(network, SocketAddr::new(v4(Side::Server, 0), 80), true);
    let network = Network::with(plain_config(), multipath(), 1, PLAIN);
    echo_and_close(network, SocketAddr::new(v4(Side::Server, 0), 80), true);
}

#[test]
fn every_link_carries_a_part() {
    for links in [2, 3, 4] {
        for is_ipv6 in [false, true] {
            let mut network = Network::new(links);
            network.full_paths(links, is_ipv6);
            network.listen();
            let address = if is_ipv6 { v6 } else { v4 };
            let remote = SocketAddr::new(address(Side::Server, 0), 80);
            let (client, server) = network.establish(remote);
            network.transfer((Side::Client, client), server, b"confirms MPTCP");
            network.transfer((Side::Server, server), client, b"on both sides");
            network.run_until(Duration::from_secs(5), |network| {
                let established = |subflows: Vec<braid_engine::socket::SubflowInfo>| {
                    subflows
                        .iter()
                        .filter(|subflow| subflow.established)
                        .count()
                };
                established(network.client.stack.subflows(client)) == usize::from(links)
                    && established(network.server.stack.subflows(server)) == usize::from(links)
            });
            let bytes = pattern(4_000_000, 3);
            network.transfer((Side::Client, client), server, &bytes);
            network.transfer((Side::Server, server), client, &bytes);
            for subflow in network.client.stack.subflows(client) {
                assert!(
                    subflow.bytes_sent > 100_000 && subflow.bytes_received > 100_000,
                    "{links} links, IPv6 {is_ipv6}: {subflow:?}"
                );
            }
        }
    }
}

#[test]
fn a_port_nobody_listens_on_refuses() {
    let mut network = Network::new(1);
    for address in [v4, v6] {
        let remote = SocketAddr::new(address(Side::Server, 0), 81);
        let client = network.connect(remote);
        network.run_until(Duration::from_secs(3), |network| {
            network.client.closed(client).is_some()
        });
        assert_eq!(
            network.client.closed(client),
            Some(Err(SocketError::ConnectionRefused))
        );
    }
    assert_eq!(network.server.counter("TcpOutRsts"), 2);
}

#[test]
fn a_listener_takes_one_socket_an_address() {
    let mut network = Network::new(1);
    let address = SocketAddr::new(v4(Side::Server, 0), 80);
    let listen = |network: &mut Network, address| {
        network
            .server
            .stack
            .listen(address, ListenOptions::default())
    };
    let first = listen(&mut network, address).unwrap();
    assert_eq!(
        listen(&mut network, address),
        Err(SocketError::AddressInUse)
    );
    let foreign = SocketAddr::new(v4(Side::Client, 0), 80);
    assert_eq!(
        listen(&mut network, foreign),
        Err(SocketError::AddressNotAvailable)
    );
    let now = network.now;
    network.server.stack.close_listener(now, first);
    assert!(listen(&mut network, address).is_ok());
}

#[test]
fn a_reader_that_shut_down_does_not_hold_up_the_writer() {
    let mut network = Network::new(1);
    network.listen();
    let (client, server) = network.establish(SocketAddr::new(v4(Side::Server, 0), 80));
    network.shutdown(Side::Server, server, Shutdown::Read);
    let bytes = pattern(9_000_000, 2);
    let mut written = 0;
    network.run_until(Duration::from_secs(30), |network| {
        let now = network.now;
        if let Ok(count) = network.client.stack.send(now, client, &bytes[written..]) {
            written += count;
        }
        let info = network.client.stack.connection_info(client).unwrap();
        info.bytes_acknowledged == bytes.len() as u64
    });
    let now = network.now;
    assert_eq!(network.server.stack.recv(now, server, &mut [0; 9]), Ok(0));
}

#[test]
fn both_sides_may_close_at_once() {
    for config in [StackConfig::default, plain_config] {
        let mut network = Network::with(config(), config(), 1, PLAIN);
        network.listen();
        let (client, server) = network.establish(SocketAddr::new(v6(Side::Server, 0), 80));
        network.transfer((Side::Client, client), server, b"hello");
        network.shutdown(Side::Client, client, Shutdown::Write);
        network.shutdown(Side::Server, server, Shutdown::Write);
        network.run_until_closed(client, server);
    }
}

#[test]
fn a_port_in_time_wait_is_opened_anew() {
    let mut network = Network::with(plain_config(), plain_config(), 1, PLAIN);
    network.listen();
    let options = ConnectOptions {
        local: Some(SocketAddr::new(v4(Side::Client, 0), 4_000)),
        ..ConnectOptions::to(SocketAddr::new(v4(Side::Server, 0), 80))
    };
    let (client, server) = network.establish_with(options.clone());
    // The server closes first, so it is the one to remember.
    let now = network.now;
    network.server.stack.close(now, server);
    network.run_until(Duration::from_secs(5), |network| {
        network.client.saw(&Event::PeerFinished(client))
    });
    let now = network.now;
    network.client.stack.close(now, client);
    network.run_for(Duration::from_secs(2));
    assert_eq!(network.server.stack.flow_counts(), (0, 1));
    let (client, server) = network.establish_with(options);
    network.transfer((Side::Client, client), server, b"again");
    assert_eq!(network.server.stack.flow_counts(), (0, 0));
    assert_eq!(network.server.counter("TcpExtTWRecycled"), 1);
}

#[test]
fn handles_of_closed_sockets_find_nothing() {
    let mut network = Network::new(1);
    network.listen();
    let (client, _) = network.establish(SocketAddr::new(v4(Side::Server, 0), 80));
    let now = network.now;
    network.client.stack.close(now, client);
    let stack = &mut network.client.stack;
    assert_eq!(stack.send(now, client, b"x"), Err(SocketError::BadHandle));
    assert_eq!(
        stack.recv(now, client, &mut [0]),
        Err(SocketError::BadHandle)
    );
    assert_eq!(
        stack.shutdown(now, client, Shutdown::Both),
        Err(SocketError::BadHandle)
    );
    assert!(stack.connection_info(client).is_none());
    stack.close(now, client);
    stack.abort(now, client);
}
