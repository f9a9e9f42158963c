//! Paths that change under a connection: links that go down and come back, path MTUs, full ports,
//! messages between subflows and homes that come late, and sockets bound to one path.

mod stack_support;

use braid_engine::socket::{ConnectOptions, SocketError, SocketOptions};
use braid_engine::stack::{
    ConnectionId, Event, PortId, ReceiveMeta, StackConfig, TransmitBatch, TransmitMeta,
};
use braid_engine::storage::frame::Frame;
use braid_engine::time::Duration;
use braid_engine::wire::checksum::PseudoHeader;
use braid_engine::wire::icmp::{IcmpErrorKind, UnreachableReason};
use braid_engine::wire::ip::Protocol;
use braid_engine::wire::{icmpv4, icmpv6};
use core::net::{IpAddr, SocketAddr};
use stack_support::raw::{Seen, ip_frame};
use stack_support::{Network, OFFLOAD, PLAIN, Sent, Side, pattern, v4, v6};

fn server_on_link_0() -> SocketAddr {
    SocketAddr::new(v4(Side::Server, 0), 80)
}

fn established_paths(network: &Network, client: ConnectionId) -> usize {
    let subflows = network.client.stack.subflows(client);
    subflows
        .iter()
        .filter(|subflow| subflow.established)
        .count()
}

/// A connection with a subflow on each of two links.
fn two_paths(mut network: Network) -> (Network, ConnectionId, ConnectionId) {
    network.full_paths(2, false);
    network.listen();
    let (client, server) = network.establish(server_on_link_0());
    network.transfer((Side::Client, client), server, b"hello");
    network.run_until(Duration::from_secs(5), |network| {
        established_paths(network, client) == 2
    });
    (network, client, server)
}

#[test]
fn a_link_that_is_cut_in_the_middle_costs_no_byte() {
    for cut in [0, 1] {
        let (mut network, client, server) = two_paths(Network::new(2));
        let bytes = pattern(3_000_000, 9);
        let now = network.now;
        let mut written = network.client.stack.send(now, client, &bytes).unwrap();
        network.run_for(Duration::from_millis(12));
        let now = network.now;
        network.client.stack.set_link(now, PortId(cut), false);
        network.server.stack.set_link(now, PortId(cut), false);
        let mut arrived = Vec::new();
        let mut buffer = vec![0; 65_536];
        network.run_until(Duration::from_secs(60), |network| {
            let now = network.now;
            if let Ok(count) = network.client.stack.send(now, client, &bytes[written..]) {
                written += count;
            }
            while let Ok(count) = network.server.stack.recv(now, server, &mut buffer) {
                arrived.extend_from_slice(&buffer[..count]);
            }
            arrived.len() == bytes.len()
        });
        assert!(arrived == bytes, "cut of link {cut}");
        let now = network.now;
        network.client.stack.set_link(now, PortId(cut), true);
        network.server.stack.set_link(now, PortId(cut), true);
        network.run_until(Duration::from_secs(60), |network| {
            let live = |subflows: Vec<braid_engine::socket::SubflowInfo>| {
                subflows
                    .iter()
                    .filter(|subflow| subflow.established && !subflow.stale)
                    .count()
            };
            live(network.client.stack.subflows(client)) == 2
        });
        network.transfer((Side::Client, client), server, &bytes);
        network.transfer((Side::Server, server), client, &bytes);
    }
}

#[test]
fn late_messages_between_subflow_and_home_change_nothing_but_time() {
    for seed in 0..8 {
        let config = || StackConfig {
            message_delay: Some((Duration::from_micros(1), Duration::from_millis(3))),
            ..StackConfig::default()
        };
        let mut network = Network::with(config(), config(), 3, PLAIN);
        network.full_paths(3, seed % 2 == 1);
        network.delay = Duration::from_millis(1 + seed);
        network.listen();
        let address = if seed % 2 == 1 { v6 } else { v4 };
        let remote = SocketAddr::new(address(Side::Server, 0), 80);
        let (client, server) = network.establish(remote);
        let bytes = pattern(500_000, seed as u32);
        network.transfer((Side::Client, client), server, &bytes);
        network.transfer((Side::Server, server), client, &bytes);
        let now = network.now;
        network.client.stack.close(now, client);
        network.server.stack.close(now, server);
        network.run_for(Duration::from_secs(130));
        for host in [&network.client, &network.server] {
            assert_eq!(host.stack.connection_count(), 0, "seed {seed}");
            assert_eq!(host.stack.subflow_count(), 0, "seed {seed}");
        }
    }
}

#[test]
fn a_data_ack_that_home_counts_late_goes_out_all_the_same() {
    let late = Duration::from_millis(3);
    let config = || StackConfig {
        message_delay: Some((late, late)),
        ..StackConfig::default()
    };
    let mut network = Network::with(config(), config(), 1, PLAIN);
    network.listen();
    let (client, server) = network.establish(server_on_link_0());
    for size in [1, 1_000, 30_000] {
        network.transfer((Side::Client, client), server, &pattern(size, 1));
        // Two ways, and twice the delay of messages on each side; no timer is so short.
        network.run_for(Duration::from_millis(60));
        let info = network
            .client
            .stack
            .connection_info(client)
            .expect("it lives");
        assert_eq!(info.bytes_acknowledged, info.bytes_written);
        assert_eq!(info.bytes_reinjected, 0);
    }
}

/// The error of a router about `sent`, as the client receives it.
fn icmp_error(kind: IcmpErrorKind, sent: &Sent) -> Vec<u8> {
    let datagram = &sent.bytes[14..];
    let ip = Seen::of(sent).ip.expect("the quoted packet is sound");
    let mut bytes = vec![0; 2_000];
    let router: IpAddr = if ip.source().is_ipv4() {
        v4(Side::Server, 0)
    } else {
        v6(Side::Server, 0)
    };
    if ip.source().is_ipv4() {
        let length = icmpv4::emit_error(kind, datagram, &mut bytes).unwrap();
        ip_frame(router, ip.source(), Protocol::Icmpv4, &bytes[..length])
    } else {
        let pseudo = PseudoHeader::new(router, ip.source(), Protocol::Icmpv6).unwrap();
        let length = icmpv6::emit_error(kind, datagram, &pseudo, &mut bytes).unwrap();
        ip_frame(router, ip.source(), Protocol::Icmpv6, &bytes[..length])
    }
}

/// Gives the client a frame that `ip_frame` made, which is addressed to the server.
fn give_client(network: &mut Network, mut bytes: Vec<u8>) {
    bytes[..6].copy_from_slice(&stack_support::mac(Side::Client, 0).0);
    bytes[6..12].copy_from_slice(&stack_support::mac(Side::Server, 0).0);
    let meta = ReceiveMeta {
        port: PortId(0),
        ..ReceiveMeta::default()
    };
    network
        .client
        .stack
        .receive(network.now, Frame::from(&bytes[..]), meta);
}

#[test]
fn a_router_that_says_too_big_gets_smaller_packets() {
    for address in [v4, v6] {
        let mut network = Network::new(1);
        network.listen();
        let remote = SocketAddr::new(address(Side::Server, 0), 80);
        let (client, server) = network.establish(remote);
        // Nothing above 1300 bytes passes; the router reports each.
        let (report, reports) = std::sync::mpsc::channel();
        network.filter = Box::new(move |side, sent| {
            let fits = sent.bytes.len() <= 14 + 1_300;
            if !fits && side == Side::Client {
                let _ = report.send(sent.clone());
            }
            fits
        });
        let bytes = pattern(100_000, 4);
        let now = network.now;
        assert_eq!(
            network.client.stack.send(now, client, &bytes),
            Ok(bytes.len())
        );
        let mut told = 0;
        network.run_until(Duration::from_secs(20), |network| {
            for sent in reports.try_iter() {
                told += 1;
                let error = icmp_error(IcmpErrorKind::PacketTooBig { mtu: 1_300 }, &sent);
                give_client(network, error);
            }
            network.server.stack.readable(server) == bytes.len()
        });
        assert!((1..=30).contains(&told), "{told} packets were too big");
        assert!(network.client.counter("IcmpInDestUnreachs") > 0);
    }
}

#[test]
fn a_port_unreachable_during_the_handshake_ends_it() {
    let mut network = Network::new(1);
    let (report, reports) = std::sync::mpsc::channel();
    network.filter = Box::new(move |side, sent| {
        let is_segment = Seen::of(sent).tcp().is_some();
        if is_segment && side == Side::Client {
            let _ = report.send(sent.clone());
        }
        !is_segment
    });
    let client = network.connect(server_on_link_0());
    network.run_until(Duration::from_secs(3), |network| {
        for sent in reports.try_iter() {
            let kind = IcmpErrorKind::Unreachable(UnreachableReason::Port);
            let error = icmp_error(kind, &sent);
            give_client(network, error);
        }
        network.client.closed(client).is_some()
    });
    let end = network.client.closed(client);
    assert_eq!(end, Some(Err(SocketError::HostUnreachable)));
}

/// Takes one frame at a time, and none by a port that is said to be full.
struct Narrow {
    full: PortId,
    taken: Vec<(PortId, usize)>,
    refused: usize,
    buffer: Vec<u8>,
}

impl Narrow {
    fn new(full: PortId) -> Self {
        Self {
            full,
            taken: Vec::new(),
            refused: 0,
            buffer: vec![0; 70_000],
        }
    }
}

impl TransmitBatch for Narrow {
    fn reserve(&mut self, port: PortId, length: usize) -> Option<&mut [u8]> {
        if port == self.full || self.taken.len() >= 4 {
            self.refused += 1;
            return None;
        }
        Some(&mut self.buffer[..length])
    }

    fn commit(&mut self, port: PortId, length: usize, _: TransmitMeta) {
        self.taken.push((port, length));
    }
}

#[test]
fn a_full_port_holds_up_neither_the_call_nor_the_other_port() {
    let (mut network, client, server) = two_paths(Network::new(2));
    let bytes = pattern(100_000, 8);
    let now = network.now;
    assert_eq!(
        network.client.stack.send(now, client, &bytes),
        Ok(bytes.len())
    );
    let mut narrow = Narrow::new(PortId(0));
    assert_eq!(network.client.stack.transmit(now, &mut narrow), 4);
    assert!(
        narrow.taken.iter().all(|(port, _)| *port == PortId(1)),
        "{:?}",
        narrow.taken
    );
    // Those four are lost; everything still arrives.
    network.run_until(Duration::from_secs(20), |network| {
        network.server.stack.readable(server) == bytes.len()
    });
}

#[test]
fn a_full_port_is_asked_once_however_many_subflows_wait_for_it() {
    let mut network = Network::new(1);
    network.listen();
    let pairs: Vec<_> = (0..40)
        .map(|_| network.establish(server_on_link_0()))
        .collect();
    network.run_for(Duration::from_secs(1));
    let (now, bytes) = (network.now, pattern(500, 8));
    for (client, _) in &pairs {
        let sent = network.client.stack.send(now, *client, &bytes);
        assert_eq!(sent, Ok(bytes.len()));
    }
    let mut full = Narrow::new(PortId(0));
    assert_eq!(network.client.stack.transmit(now, &mut full), 0);
    assert_eq!(full.refused, 1);
    // A batch that ends amid them is asked no more either.
    let mut narrow = Narrow::new(PortId(7));
    assert_eq!(network.client.stack.transmit(now, &mut narrow), 4);
    assert_eq!(narrow.refused, 1);
    // Those four are lost, and the others wait; everything arrives.
    network.run_until(Duration::from_secs(20), |network| {
        let server = |(_, server): &(_, ConnectionId)| *server;
        let mut servers = pairs.iter().map(server);
        servers.all(|server| network.server.stack.readable(server) == bytes.len())
    });
}

#[test]
fn a_bound_socket_stays_on_its_path() {
    let by_address = ConnectOptions {
        local: Some(SocketAddr::new(v4(Side::Client, 1), 0)),
        ..ConnectOptions::to(SocketAddr::new(v4(Side::Server, 1), 80))
    };
    let by_device = ConnectOptions {
        socket: SocketOptions {
            device: Some(PortId(1)),
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(SocketAddr::new(v4(Side::Server, 1), 80))
    };
    for options in [by_address, by_device] {
        let mut network = Network::new(3);
        network.full_paths(3, false);
        network.listen();
        let (client, server) = network.establish_with(options);
        network.transfer((Side::Client, client), server, &pattern(100_000, 1));
        network.run_for(Duration::from_secs(3));
        let subflows = network.client.stack.subflows(client);
        let [only] = &subflows[..] else {
            panic!("one subflow, not {subflows:?}")
        };
        assert_eq!(only.path.local.ip(), v4(Side::Client, 1));
        let info = network.client.stack.connection_info(client).unwrap();
        assert_eq!((info.fallback, info.add_addr_signaled), (None, 0));
    }
}

#[test]
fn an_aborted_connection_is_reset_at_the_peer() {
    for multipath in [false, true] {
        let config = || StackConfig {
            multipath,
            ..StackConfig::default()
        };
        let mut network = Network::with(config(), config(), 1, OFFLOAD);
        network.listen();
        let (client, server) = network.establish(server_on_link_0());
        network.transfer((Side::Client, client), server, b"hello");
        let now = network.now;
        network.client.stack.abort(now, client);
        network.run_until(Duration::from_secs(3), |network| {
            network.server.closed(server).is_some()
        });
        assert!(
            network
                .server
                .saw(&Event::Closed(server, Err(SocketError::ConnectionReset)))
        );
        network.run_for(Duration::from_secs(1));
        assert_eq!(network.client.stack.connection_count(), 0);
        assert_eq!(network.client.stack.subflow_count(), 0);
        let now = network.now;
        network.server.stack.close(now, server);
        network.run_for(Duration::from_secs(1));
        assert_eq!(network.server.stack.connection_count(), 0);
    }
}

#[test]
fn the_same_calls_have_the_same_trace() {
    let trace = || {
        let (mut network, client, server) = two_paths(Network::new(2));
        network.transfer((Side::Client, client), server, &pattern(300_000, 2));
        let counters: Vec<_> = network.client.stack.counters().iter().collect();
        (network.now, network.frames, network.client.events, counters)
    };
    assert_eq!(trace(), trace());
}

#[test]
fn a_link_that_goes_down_while_its_neighbour_is_asked_for_is_used_on_its_return() {
    let mut network = Network::new(1);
    network.listen();
    let client = network.connect(server_on_link_0());
    network.run_for(Duration::from_millis(3));
    let now = network.now;
    network.client.stack.set_link(now, PortId(0), false);
    network.server.stack.set_link(now, PortId(0), false);
    network.run_for(Duration::from_secs(2));
    let now = network.now;
    network.client.stack.set_link(now, PortId(0), true);
    network.server.stack.set_link(now, PortId(0), true);
    network.run_until(Duration::from_secs(10), |network| {
        network.client.saw(&Event::Connected(client))
    });
}
