//! Addresses that sockets hold, and what a stack tells of itself.

use crate::stack_support::{Host, Network, PLAIN, Side, interface, v4, v6};
use crate::{BOTH, Flow, on_all, server_on};
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError};
use braid_engine::stack::{BindOptions, PortId, StackConfig};
use braid_engine::tcp::State;
use braid_engine::time::Duration;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

fn host() -> Host {
    let config = StackConfig {
        ephemeral_ports: 50_000..=50_003,
        ..StackConfig::default()
    };
    let mut host = Host::new(config, 1);
    host.stack
        .add_interface(interface(Side::Client, 0, PLAIN))
        .unwrap();
    host
}

const IPV6_ONLY: BindOptions = BindOptions {
    ipv6_only: true,
    shared_by: None,
};
const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

#[test]
fn an_address_is_held_once_with_all_that_it_covers() {
    let (own4, own6) = (v4(Side::Client, 0), v6(Side::Client, 0));
    let conflicts = [
        (own4, own4, true),
        (own4, ANY4, true),
        (ANY4, own4, true),
        (own4, ANY6, true),
        (ANY6, ANY4, true),
        (own6, ANY6, true),
        (own6, ANY4, false),
        (own4, own6, false),
    ];
    for (held, wanted, taken) in conflicts {
        let mut host = host();
        let held = SocketAddr::new(held, 80);
        assert_eq!(host.stack.reserve(held), Ok(held));
        let wanted = SocketAddr::new(wanted, 80);
        let expected = if taken {
            Err(SocketError::AddressInUse)
        } else {
            Ok(wanted)
        };
        assert_eq!(host.stack.bind_check(wanted), expected, "{held} {wanted}");
        host.stack.release(held);
        assert_eq!(host.stack.bind_check(wanted), Ok(wanted));
        // A listener holds its port too; who holds an address may listen there.
        host.stack.reserve(held).unwrap();
        let listener = host.stack.listen(held, ListenOptions::default()).unwrap();
        host.stack.release(held);
        assert_eq!(host.stack.bind_check(wanted), expected);
        host.stack.close_listener(Default::default(), listener);
        assert_eq!(host.stack.bind_check(wanted), Ok(wanted));
    }
    let stranger = SocketAddr::from(([192, 0, 2, 1], 80));
    assert_eq!(
        host().stack.bind_check(stranger),
        Err(SocketError::AddressNotAvailable)
    );
}

#[test]
fn sockets_of_one_user_share_an_address_if_all_ask_for_it() {
    let mut host = host();
    let (any, own) = (SocketAddr::new(ANY4, 80), v4(Side::Client, 0));
    let by = |user| BindOptions {
        shared_by: Some(user),
        ..BindOptions::default()
    };
    for _ in 0..2 {
        assert_eq!(host.stack.reserve_with(any, by(7)), Ok(any));
    }
    let own = SocketAddr::new(own, 80);
    assert_eq!(host.stack.reserve_with(own, by(7)), Ok(own));
    let taken = Err(SocketError::AddressInUse);
    for release in [any, own, any] {
        assert_eq!(host.stack.reserve_with(any, by(8)), taken);
        assert_eq!(host.stack.reserve(any), taken);
        host.stack.release(release);
    }
    let listen = |user| ListenOptions {
        shared_by: user,
        ..ListenOptions::default()
    };
    let first = host.stack.listen(any, listen(Some(7))).unwrap();
    let second = host.stack.listen(any, listen(Some(7))).unwrap();
    for user in [None, Some(8)] {
        assert_eq!(
            host.stack.listen(any, listen(user)),
            Err(SocketError::AddressInUse)
        );
    }
    for listener in [first, second] {
        assert_eq!(host.stack.reserve(any), taken);
        host.stack.close_listener(Default::default(), listener);
    }
    assert_eq!(host.stack.reserve(any), Ok(any));
    // Nor is one that is held alone shared afterwards.
    assert_eq!(host.stack.reserve_with(any, by(7)), taken);
}

#[test]
fn ipv6_alone_leaves_ipv4_to_others() {
    let mut host = host();
    let (six, four) = (SocketAddr::new(ANY6, 80), SocketAddr::new(ANY4, 80));
    assert_eq!(host.stack.reserve_with(six, IPV6_ONLY), Ok(six));
    assert_eq!(host.stack.reserve(four), Ok(four));
    for taken in [six, SocketAddr::new(v6(Side::Client, 0), 80)] {
        assert_eq!(
            host.stack.bind_check(taken),
            Err(SocketError::AddressInUse),
            "{taken}"
        );
    }
    host.stack.release(four);
    let options = ListenOptions {
        ipv6_only: true,
        ..ListenOptions::default()
    };
    let listener = host.stack.listen(six, options).unwrap();
    host.stack.release(six);
    assert_eq!(host.stack.bind_check(four), Ok(four));
    assert_eq!(host.stack.set_backlog(listener, 7), Ok(()));
    assert_eq!(host.stack.listeners().next().unwrap().backlog, 7);
    host.stack.close_listener(Default::default(), listener);
    let gone = host.stack.set_backlog(listener, 7);
    assert_eq!(gone, Err(SocketError::BadHandle));
}

#[test]
fn port_zero_gives_each_a_port_of_its_own_until_there_are_none() {
    let mut host = host();
    let any = SocketAddr::new(ANY4, 0);
    let mut ports: Vec<u16> = (0..4)
        .map(|_| host.stack.reserve(any).unwrap().port())
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [50_000, 50_001, 50_002, 50_003]);
    assert_eq!(
        host.stack.reserve(any),
        Err(SocketError::AddressNotAvailable)
    );
    // Nor is one of them taken for a connection.
    let options = ConnectOptions::to(server_on(0));
    assert_eq!(
        host.stack.connect(Default::default(), options),
        Err(SocketError::AddressNotAvailable)
    );
    host.stack.release(SocketAddr::new(ANY4, 50_002));
    assert_eq!(
        host.stack.reserve(any).map(|bound| bound.port()),
        Ok(50_002)
    );
}

#[test]
fn who_is_ours_and_who_can_be_reached() {
    let mut host = host();
    assert!(host.stack.owns(v4(Side::Client, 0)));
    assert!(!host.stack.owns(v4(Side::Server, 0)));
    assert!(host.stack.has_route(v4(Side::Server, 0)));
    assert!(!host.stack.has_route(v4(Side::Server, 1)));
    host.stack.set_link(Default::default(), PortId(0), false);
    assert!(!host.stack.has_route(v4(Side::Server, 0)));
}

#[test]
fn a_snapshot_agrees_with_both_applications() {
    for from in BOTH {
        let (mut network, pair) = on_all(2);
        Flow::new(from, pair, 700_000).finish(&mut network);
        network.run_for(Duration::from_millis(200));
        for side in BOTH {
            let stack = &network.host(side).stack;
            let (info, subflows) = stack.snapshot(pair.of(side)).unwrap();
            let hello = if side == Side::Client { 5 } else { 0 };
            let sent = if side == from { 700_000 } else { 0 } + hello;
            assert_eq!(info.bytes_written, sent);
            assert_eq!(info.bytes_acknowledged, sent);
            assert_eq!(info.write_sequence, info.unacknowledged_sequence);
            assert_eq!(info.last_data_sent.is_some(), sent > 0);
            assert_eq!((info.subflows, info.subflows_total), (2, 2));
            let granted: u64 = subflows.iter().map(|subflow| subflow.bytes_sent).sum();
            assert_eq!(granted, sent + info.bytes_reinjected);
            for subflow in &subflows {
                let tcp = subflow.tcp.as_ref().unwrap();
                assert_eq!(tcp.state, State::Established);
                assert_eq!(tcp.bytes_sent, subflow.bytes_sent);
                assert_eq!(tcp.bytes_acknowledged, subflow.bytes_acknowledged);
                assert_eq!(tcp.bytes_received, subflow.bytes_received);
                assert_eq!((tcp.unacknowledged, tcp.lost), (0, 0));
                assert!(tcp.timestamps && tcp.sack);
                assert_eq!(tcp.advertised_segment_size, 1_460);
                assert!(tcp.minimum_rtt >= Duration::from_millis(10));
            }
            assert!(subflows[0].initial && !subflows[1].initial);
            assert_eq!(subflows[1].opened_by_peer, side == Side::Server);
        }
    }
}

#[test]
fn lists_say_what_there_is() {
    let (mut network, pair) = on_all(2);
    let other = network.establish(server_on(0));
    let clients: Vec<_> = network.client.stack.connections().collect();
    assert_eq!(clients, [pair.client, other.0]);
    let now = network.now;
    network.client.stack.close(now, pair.client);
    let clients: Vec<_> = network.client.stack.connections().collect();
    assert_eq!(clients, [other.0]);
    let waits = network
        .client
        .stack
        .connect(now, ConnectOptions::to(server_on(1)));
    assert!(waits.is_ok());
    network.run_for(Duration::from_secs(1));
    let listeners: Vec<_> = network.server.stack.listeners().collect();
    let [listener] = &listeners[..] else {
        panic!("one listener, not {listeners:?}")
    };
    assert_eq!(Some(listener.id), network.server.listener);
    assert_eq!(listener.address, SocketAddr::new(ANY6, 80));
    assert_eq!((listener.backlog, listener.waiting), (128, 1));
    assert!(listener.multipath);
    network.set_link(1, false);
    let interfaces: Vec<_> = network.server.stack.interfaces().collect();
    let names: Vec<_> = interfaces
        .iter()
        .map(|found| (found.name, found.up))
        .collect();
    assert_eq!(names, [("eth0", true), ("eth1", false)]);
    assert_eq!(interfaces[1].addresses[0], (v4(Side::Server, 1), 24));
}

#[test]
fn counters_have_names_that_are_all_different() {
    let network = Network::new(1);
    let counters = network.client.stack.counters();
    let mut names: Vec<_> = counters.named().map(|(name, _)| name).collect();
    let count = names.len();
    assert!(count > 80, "{count}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
