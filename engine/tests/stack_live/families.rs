//! IPv4 and IPv6 on one connection: its subflows may be of both, but no subflow goes from one to the
//! other (RFC 8684 section 3.2).

use crate::stack_support::{Network, Side, v4, v6};
use crate::{BOTH, Pair, greet, lasting, server_on, settle};
use braid_engine::mptcp::path_manager::{EndpointFlags, Limits};
use braid_engine::socket::{ConnectOptions, PathManagement, SocketError, SocketOptions};
use braid_engine::stack::Event;
use braid_engine::time::Duration;
use core::net::{IpAddr, SocketAddr};

fn network(links: u8) -> Network {
    let mut network = Network::new(links);
    let limits = Limits {
        subflows: 8,
        add_addr_accepted: 8,
    };
    for side in BOTH {
        let now = network.now;
        network.host(side).stack.set_limits(now, limits);
    }
    network.listen();
    network
}

/// The IPv6 address by which IPv6 sockets name an IPv4 address.
fn mapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(_) => address,
    }
}

/// The subflows of the client beside the first, once nothing changes any more: each of one family and
/// established.
#[track_caller]
fn further(network: &mut Network, pair: Pair) -> Vec<(IpAddr, IpAddr)> {
    network.run_for(Duration::from_secs(3));
    let all = network.client.stack.subflows(pair.client);
    let paths: Vec<(IpAddr, IpAddr)> = all
        .iter()
        .map(|subflow| (subflow.path.local.ip(), subflow.path.remote.ip()))
        .collect();
    assert!(
        paths
            .iter()
            .all(|(own, peer)| own.is_ipv4() == peer.is_ipv4()),
        "{paths:?}"
    );
    assert!(all.iter().all(|subflow| subflow.established), "{paths:?}");
    let mut paths = paths[1..].to_vec();
    paths.sort_unstable();
    paths
}

#[test]
fn an_endpoint_goes_to_peers_of_its_family_only() {
    for mesh in [EndpointFlags::empty(), EndpointFlags::FULLMESH] {
        let mut network = network(2);
        let flags = EndpointFlags::SUBFLOW | mesh;
        network.add_endpoint(Side::Client, 1, v6(Side::Client, 0), flags);
        network.add_endpoint(Side::Client, 2, v6(Side::Client, 1), flags);
        let pair = greet(&mut network);
        assert_eq!(further(&mut network, pair), [], "{mesh:?}");
        // The peer announces an address of that family.
        let signal = EndpointFlags::SIGNAL;
        network.add_endpoint(Side::Server, 9, v6(Side::Server, 1), signal);
        let paths = further(&mut network, pair);
        let there = v6(Side::Server, 1);
        assert_eq!(paths, [(v6(Side::Client, 1), there)], "{mesh:?}");
    }
}

#[test]
fn named_addresses_and_a_full_mesh_keep_to_their_families() {
    let mut network = network(2);
    let named = [
        v4(Side::Client, 0),
        v6(Side::Client, 0),
        v6(Side::Client, 1),
    ];
    let options = ConnectOptions {
        socket: SocketOptions {
            path_management: Some(PathManagement::Fullmesh),
            local_addresses: named.to_vec(),
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(server_on(0))
    };
    let (client, server) = network.establish_with(options);
    network.transfer((Side::Client, client), server, b"hello");
    let pair = Pair { client, server };
    assert_eq!(further(&mut network, pair), []);
    let signal = EndpointFlags::SIGNAL;
    network.add_endpoint(Side::Server, 9, v6(Side::Server, 1), signal);
    let there = v6(Side::Server, 1);
    assert_eq!(further(&mut network, pair), [(v6(Side::Client, 1), there)]);
}

#[test]
fn an_application_cannot_mix_families_either() {
    let mut network = network(2);
    let pair = greet(&mut network);
    assert_eq!(further(&mut network, pair), []);
    let now = network.now;
    for local in [v6(Side::Client, 0), v6(Side::Client, 1)] {
        let added = network.client.stack.add_subflow(
            now,
            pair.client,
            Some(SocketAddr::new(local, 0)),
            None,
            false,
        );
        assert_eq!(added, Err(SocketError::InvalidArgument));
    }
}

#[test]
fn a_mapped_address_is_the_ipv4_address() {
    // As an endpoint.
    let mut from_endpoint = network(2);
    let address = mapped(v4(Side::Client, 1));
    from_endpoint.add_endpoint(Side::Client, 1, address, EndpointFlags::SUBFLOW);
    let address = mapped(v4(Side::Server, 1));
    from_endpoint.add_endpoint(Side::Server, 1, address, EndpointFlags::SIGNAL);
    let pair = greet(&mut from_endpoint);
    settle(&mut from_endpoint, pair, 2);
    let expected = [(v4(Side::Client, 1), v4(Side::Server, 1))];
    assert_eq!(further(&mut from_endpoint, pair), expected);

    // As the addresses of a subflow.
    let mut by_hand = network(2);
    let pair = greet(&mut by_hand);
    assert_eq!(further(&mut by_hand, pair), []);
    let now = by_hand.now;
    let local = SocketAddr::new(mapped(v4(Side::Client, 1)), 0);
    let remote = SocketAddr::new(mapped(v4(Side::Server, 1)), 80);
    let stack = &mut by_hand.client.stack;
    let added = stack.add_subflow(now, pair.client, Some(local), Some(remote), false);
    assert_eq!(added, Ok(()));
    settle(&mut by_hand, pair, 2);
    assert_eq!(further(&mut by_hand, pair), expected);

    // As a peer to connect to, and as the addresses to do so from.
    let named = [mapped(v4(Side::Client, 1)), mapped(v4(Side::Client, 0))];
    let mut connecting = network(2);
    let options = ConnectOptions {
        socket: SocketOptions {
            local_addresses: named.to_vec(),
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(SocketAddr::new(mapped(v4(Side::Server, 1)), 80))
    };
    let (client, _) = connecting.establish_with(options);
    assert!(connecting.client.saw(&Event::Connected(client)));
    let first = connecting.client.stack.subflows(client)[0];
    assert_eq!(first.path.local.ip(), v4(Side::Client, 1));

    // As the addresses that a connection may use from now on.
    let now = connecting.now;
    let stack = &mut connecting.client.stack;
    let narrowed = stack.set_local_addresses(now, client, &named[..1]);
    assert_eq!(narrowed, Ok(()));
    let settings = stack.connection_settings(client).unwrap();
    assert_eq!(settings.local_addresses, [v4(Side::Client, 1)]);
    let pair = Pair {
        client,
        server: client,
    };
    assert_eq!(lasting(&mut connecting, Side::Client, pair).len(), 1);
}
