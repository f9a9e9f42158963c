//! Which of the host's endpoints a connection makes use of.

use crate::stack_support::{Network, PLAIN, Side, interface, v4};
use crate::{BOTH, Flow, Pair, endpoint, greet, lasting, server_on, settle, with_endpoints};
use braid_engine::mptcp::path_manager::{EndpointFlags, Limits};
use braid_engine::socket::{ConnectOptions, ListenOptions, PathManagement, SocketOptions};
use braid_engine::stack::InterfaceConfig;
use braid_engine::time::Duration;

fn options(management: PathManagement) -> SocketOptions {
    SocketOptions {
        path_management: Some(management),
        ..SocketOptions::default()
    }
}

fn connect(network: &mut Network, management: PathManagement) -> Pair {
    let connect = ConnectOptions {
        socket: options(management),
        ..ConnectOptions::to(server_on(0))
    };
    let (client, server) = network.establish_with(connect);
    network.transfer((Side::Client, client), server, b"hello");
    Pair { client, server }
}

/// Hosts with a second link, on which the client has two addresses.
fn two_addresses_on_a_link() -> Network {
    let mut network = Network::new(1);
    for side in BOTH {
        let mut addresses = vec![(v4(side, 1), 24)];
        if side == Side::Client {
            addresses.push(([10, 0, 1, 9].into(), 24));
        }
        let config = InterfaceConfig {
            addresses,
            ..interface(side, 1, PLAIN)
        };
        network.host(side).stack.add_interface(config).unwrap();
        let limits = Limits {
            subflows: 8,
            add_addr_accepted: 8,
        };
        let now = network.now;
        network.host(side).stack.set_limits(now, limits);
    }
    endpoint(&mut network, Side::Client, 1, EndpointFlags::SUBFLOW);
    let other = [10, 0, 1, 9].into();
    network.add_endpoint(Side::Client, 9, other, EndpointFlags::SUBFLOW);
    endpoint(&mut network, Side::Server, 1, EndpointFlags::SIGNAL);
    network.listen();
    network
}

#[test]
fn each_kind_opens_what_it_says() {
    let kinds = [
        (PathManagement::Endpoints, 2),
        (PathManagement::Fullmesh, 3),
        (PathManagement::Signal, 1),
        (PathManagement::OnDemand { after_bytes: 4 }, 2),
        (PathManagement::OnDemand { after_bytes: 6 }, 1),
        (PathManagement::Manual, 1),
    ];
    for (management, count) in kinds {
        let mut network = two_addresses_on_a_link();
        let pair = connect(&mut network, management);
        network.run_for(Duration::from_secs(3));
        for side in BOTH {
            let subflows = lasting(&mut network, side, pair);
            assert_eq!(subflows.len(), count, "{management:?}: {subflows:?}");
        }
        let settings = network.client.stack.connection_settings(pair.client);
        assert_eq!(settings.unwrap().path_management, management);
    }
}

#[test]
fn it_changes_under_a_flow_of_data() {
    for from in BOTH {
        let mut network = two_addresses_on_a_link();
        let pair = connect(&mut network, PathManagement::Manual);
        let mut flow = Flow::new(from, pair, 2_000_000);
        flow.run_to(&mut network, 300_000);
        assert_eq!(lasting(&mut network, Side::Client, pair).len(), 1);
        let now = network.now;
        let client = &mut network.client.stack;
        client
            .set_path_management(now, pair.client, PathManagement::Fullmesh)
            .unwrap();
        flow.finish(&mut network);
        settle(&mut network, pair, 3);
        // What was opened stays, whatever comes next.
        let now = network.now;
        let client = &mut network.client.stack;
        client
            .set_path_management(now, pair.client, PathManagement::Signal)
            .unwrap();
        network.run_for(Duration::from_secs(2));
        settle(&mut network, pair, 3);
    }
}

#[test]
fn on_demand_counts_the_bytes_of_both_directions() {
    for from in BOTH {
        let mut network = with_endpoints(2);
        let management = PathManagement::OnDemand {
            after_bytes: 100_000,
        };
        let pair = connect(&mut network, management);
        let mut flow = Flow::new(from, pair, 90_000);
        flow.finish(&mut network);
        network.run_for(Duration::from_secs(3));
        assert_eq!(lasting(&mut network, Side::Client, pair).len(), 1);
        Flow::new(from, pair, 20_000).finish(&mut network);
        settle(&mut network, pair, 2);
    }
}

#[test]
fn a_manual_listener_announces_nothing_until_it_is_told() {
    let mut network = Network::new(2);
    network.full_paths(2, false);
    network.listen_with(ListenOptions {
        socket: options(PathManagement::Manual),
        ..ListenOptions::default()
    });
    let pair = greet(&mut network);
    network.run_for(Duration::from_secs(3));
    let info = network.server.stack.connection_info(pair.server).unwrap();
    assert_eq!((info.add_addr_signaled, info.subflows), (0, 1));
    let now = network.now;
    let server = &mut network.server.stack;
    server
        .set_path_management(now, pair.server, PathManagement::Signal)
        .unwrap();
    settle(&mut network, pair, 2);
    let info = network.server.stack.connection_info(pair.server).unwrap();
    assert_eq!(info.add_addr_signaled, 1);
}
