//! The bound on subflows, and the local addresses that a connection may use.

use crate::stack_support::{Side, v4};
use crate::{BOTH, Flow, Pair, lasting, on_all, server_on, settle, with_endpoints};
use braid_engine::socket::{
    ConnectOptions, PathManagement, SocketError, SocketOptions, SubflowPriority,
};
use braid_engine::time::Duration;
use core::net::IpAddr;

#[test]
fn a_lower_bound_closes_the_least_useful_and_loses_no_byte() {
    for side in BOTH {
        for from in BOTH {
            let (mut network, pair) = on_all(3);
            let mut flow = Flow::new(from, pair, 3_000_000);
            flow.run_to(&mut network, 500_000);
            let backup = lasting(&mut network, side, pair)[0].id;
            let now = network.now;
            let stack = &mut network.host(side).stack;
            let backed = stack.set_priority(now, pair.of(side), backup, SubflowPriority::Backup);
            assert_eq!(backed, Ok(()));
            assert_eq!(stack.set_max_subflows(now, pair.of(side), 2), Ok(()));
            let left = lasting(&mut network, side, pair);
            assert_eq!(left.len(), 2);
            assert!(left.iter().all(|subflow| subflow.id != backup), "{left:?}");
            flow.run_to(&mut network, 1_000_000);
            let now = network.now;
            let stack = &mut network.host(side).stack;
            assert_eq!(stack.set_max_subflows(now, pair.of(side), 1), Ok(()));
            flow.finish(&mut network);
            settle(&mut network, pair, 1);
            let info = network.host(side).stack.connection_info(pair.of(side));
            assert_eq!(info.unwrap().subflows, 1);
        }
    }
}

#[test]
fn a_higher_bound_brings_them_back() {
    let (mut network, pair) = on_all(3);
    let now = network.now;
    let stack = &mut network.client.stack;
    stack.set_max_subflows(now, pair.client, 0).unwrap();
    assert_eq!(
        stack.connection_settings(pair.client).unwrap().max_subflows,
        1
    );
    settle(&mut network, pair, 1);
    let now = network.now;
    let stack = &mut network.client.stack;
    stack.set_max_subflows(now, pair.client, 3).unwrap();
    settle(&mut network, pair, 3);
}

#[test]
fn the_bound_of_either_side_holds_from_the_start() {
    let mut network = with_endpoints(3);
    let options = ConnectOptions {
        socket: SocketOptions {
            max_subflows: Some(2),
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(server_on(0))
    };
    let (client, server) = network.establish_with(options);
    network.transfer((Side::Client, client), server, b"hello");
    network.run_for(Duration::from_secs(5));
    settle(&mut network, Pair { client, server }, 2);
}

#[test]
fn narrowing_is_make_before_break() {
    for side in BOTH {
        for from in BOTH {
            let mut network = with_endpoints(2);
            let manual = ConnectOptions {
                socket: SocketOptions {
                    path_management: Some(PathManagement::Manual),
                    ..SocketOptions::default()
                },
                ..ConnectOptions::to(server_on(0))
            };
            let (client, server) = network.establish_with(manual);
            let pair = Pair { client, server };
            let first = network.client.stack.local_address(client);
            let mut flow = Flow::new(from, pair, 2_000_000);
            flow.run_to(&mut network, 200_000);
            let now = network.now;
            let narrowed =
                network
                    .host(side)
                    .stack
                    .set_local_addresses(now, pair.of(side), &[v4(side, 1)]);
            assert_eq!(narrowed, Ok(()));
            // There is no other path yet: the one there is goes on.
            flow.run_to(&mut network, 400_000);
            assert_eq!(network.client.stack.subflows(client).len(), 1);
            let now = network.now;
            let client_stack = &mut network.client.stack;
            client_stack
                .set_path_management(now, client, PathManagement::Fullmesh)
                .unwrap();
            let mut least = usize::MAX;
            network.run_until(Duration::from_secs(60), |network| {
                let established = network.client.stack.subflows(client);
                let count = established.iter().filter(|one| one.established).count();
                least = least.min(count);
                flow.turn(network)
            });
            assert!(least >= 1, "the connection was without a path");
            settle(&mut network, pair, 1);
            let left = lasting(&mut network, side, pair);
            assert_eq!(left[0].path.local.ip(), v4(side, 1));
            let named = network.host(side).stack.local_addresses(pair.of(side));
            assert_eq!(named, [v4(side, 1)]);
            // The names of the connection are those of its first subflow, for its life.
            assert_eq!(network.client.stack.local_address(client), first);
        }
    }
}

#[test]
fn widening_brings_the_first_path_back() {
    let (mut network, pair) = on_all(2);
    let now = network.now;
    let narrow = [v4(Side::Client, 1)];
    let client = &mut network.client.stack;
    client
        .set_local_addresses(now, pair.client, &narrow)
        .unwrap();
    settle(&mut network, pair, 1);
    let now = network.now;
    let client = &mut network.client.stack;
    client.set_local_addresses(now, pair.client, &[]).unwrap();
    settle(&mut network, pair, 2);
    let mut links: Vec<IpAddr> = lasting(&mut network, Side::Client, pair)
        .iter()
        .map(|subflow| subflow.path.local.ip())
        .collect();
    links.sort();
    assert_eq!(links, [v4(Side::Client, 0), v4(Side::Client, 1)]);
    Flow::new(Side::Client, pair, 500_000).finish(&mut network);
}

#[test]
fn a_server_that_narrows_takes_its_announcement_back_and_refuses_joins() {
    let (mut network, pair) = on_all(3);
    let before = network.client.counter("MPTcpExtRmAddr");
    let now = network.now;
    let keep = [v4(Side::Server, 0), v4(Side::Server, 1)];
    let server = &mut network.server.stack;
    server.set_local_addresses(now, pair.server, &keep).unwrap();
    settle(&mut network, pair, 2);
    assert_eq!(network.client.counter("MPTcpExtRmAddr"), before + 1);
    // The client wants the path again and does not get it.
    let there = Some(server_on(2));
    let now = network.now;
    let client = &mut network.client.stack;
    assert_eq!(
        client.add_subflow(now, pair.client, None, there, false),
        Ok(())
    );
    network.run_for(Duration::from_secs(2));
    settle(&mut network, pair, 2);
}

#[test]
fn a_connection_begins_on_an_address_that_it_may_use() {
    let mut network = with_endpoints(3);
    let named = |addresses: &[IpAddr]| ConnectOptions {
        socket: SocketOptions {
            local_addresses: addresses.to_vec(),
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(server_on(1))
    };
    let now = network.now;
    let client = &mut network.client.stack;
    let stranger = named(&[[192, 0, 2, 1].into()]);
    assert_eq!(
        client.connect(now, stranger),
        Err(SocketError::AddressNotAvailable)
    );
    let unreachable = named(&[v4(Side::Client, 0)]);
    assert_eq!(
        client.connect(now, unreachable),
        Err(SocketError::NetworkUnreachable)
    );
    let both = [v4(Side::Client, 2), v4(Side::Client, 1)];
    let (client, server) = network.establish_with(named(&both));
    network.transfer((Side::Client, client), server, b"hello");
    let pair = Pair { client, server };
    settle(&mut network, pair, 2);
    let subflows = lasting(&mut network, Side::Client, pair);
    assert_eq!(subflows[0].path.local.ip(), both[1]);
    assert_eq!(subflows[1].path.local.ip(), both[0]);
}

#[test]
fn addresses_that_are_not_ours_or_too_many_are_refused() {
    let (mut network, pair) = on_all(1);
    let now = network.now;
    let client = &mut network.client.stack;
    let stranger = [IpAddr::from([192, 0, 2, 1])];
    assert_eq!(
        client.set_local_addresses(now, pair.client, &stranger),
        Err(SocketError::AddressNotAvailable)
    );
    assert!(client.local_addresses(pair.client).is_empty());
    client.close(now, pair.client);
    assert_eq!(
        client.set_local_addresses(now, pair.client, &[]),
        Err(SocketError::BadHandle)
    );
}
