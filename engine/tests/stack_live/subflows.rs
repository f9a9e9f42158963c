//! Subflows that the application adds, removes and ranks itself.

use crate::stack_support::{Network, PLAIN, Side, v4};
use crate::{BOTH, Flow, Pair, greet, lasting, on_all, server_on, settle, with_endpoints};
use braid_engine::mptcp::path_manager::Limits;
use braid_engine::socket::{
    ConnectOptions, PathManagement, SocketError, SocketOptions, SubflowPriority,
};
use braid_engine::stack::{ConnectionId, StackConfig};
use braid_engine::time::Duration;
use core::net::SocketAddr;

/// Two links, no endpoints: only an application brings up the second.
fn bare() -> (Network, Pair) {
    let mut network = Network::new(2);
    network.listen();
    let pair = greet(&mut network);
    // The answer to the hello tells each side that the other speaks MPTCP.
    network.run_for(Duration::from_millis(100));
    (network, pair)
}

fn there(side: Side, port: u16) -> Option<SocketAddr> {
    let peer = match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    };
    Some(SocketAddr::new(v4(peer, 1), port))
}

#[test]
fn either_side_adds_one_under_a_flow_of_data() {
    for side in BOTH {
        for from in BOTH {
            let (mut network, pair) = bare();
            let mut flow = Flow::new(from, pair, 2_000_000);
            flow.run_to(&mut network, 200_000);
            let now = network.now;
            let local = Some(SocketAddr::new(v4(side, 1), 0));
            let stack = &mut network.host(side).stack;
            let added = stack.add_subflow(now, pair.of(side), local, there(side, 0), false);
            assert_eq!(added, Ok(()));
            flow.finish(&mut network);
            settle(&mut network, pair, 2);
            let own = &lasting(&mut network, side, pair)[1];
            let peers = match side {
                Side::Client => Side::Server,
                Side::Server => Side::Client,
            };
            let theirs = &lasting(&mut network, peers, pair)[1];
            assert!(!own.opened_by_peer && theirs.opened_by_peer);
            assert!(!own.initial && !own.backup);
            assert_eq!(own.path.local, theirs.path.remote);
            let carried = own.bytes_sent + own.bytes_received;
            assert!(carried > 10_000, "{carried} bytes on the second path");
        }
    }
}

#[test]
fn ports_and_the_backup_flag_are_as_asked() {
    let (mut network, pair) = bare();
    let now = network.now;
    let local = SocketAddr::new(v4(Side::Client, 1), 4_711);
    let client = &mut network.client.stack;
    let add = |client: &mut braid_engine::stack::Stack| {
        client.add_subflow(now, pair.client, Some(local), there(Side::Client, 80), true)
    };
    assert_eq!(add(client), Ok(()));
    assert_eq!(add(client), Err(SocketError::AddressInUse));
    settle(&mut network, pair, 2);
    let seen = &lasting(&mut network, Side::Server, pair)[1];
    assert_eq!(seen.path.remote, local);
    assert!(seen.backup);
    // Backups carry nothing while another path works.
    Flow::new(Side::Client, pair, 300_000).finish(&mut network);
    assert_eq!(lasting(&mut network, Side::Client, pair)[1].bytes_sent, 0);
}

#[test]
fn what_cannot_be_added_is_refused() {
    let (mut network, pair) = bare();
    let now = network.now;
    let limits = Limits {
        subflows: 1,
        add_addr_accepted: 0,
    };
    network.client.stack.set_limits(now, limits);
    let client = &mut network.client.stack;
    let mut add = |local: Option<SocketAddr>, remote: Option<SocketAddr>| {
        client.add_subflow(now, pair.client, local, remote, false)
    };
    let stranger = SocketAddr::from(([192, 0, 2, 1], 0));
    assert_eq!(
        add(Some(stranger), None),
        Err(SocketError::AddressNotAvailable)
    );
    assert_eq!(
        add(None, Some(stranger)),
        Err(SocketError::NetworkUnreachable)
    );
    let group = SocketAddr::from(([224, 0, 0, 1], 80));
    assert_eq!(add(None, Some(group)), Err(SocketError::InvalidArgument));
    let ipv6 = SocketAddr::from(([0; 8], 0));
    assert_eq!(add(Some(ipv6), None), Err(SocketError::InvalidArgument));
    assert_eq!(add(None, there(Side::Client, 0)), Ok(()));
    assert_eq!(
        add(None, there(Side::Client, 0)),
        Err(SocketError::NoBuffers)
    );
    settle(&mut network, pair, 2);
    let narrow = [v4(Side::Client, 0)];
    let now = network.now;
    let client = &mut network.client.stack;
    client
        .set_local_addresses(now, pair.client, &narrow)
        .unwrap();
    let outside = Some(SocketAddr::new(v4(Side::Client, 1), 0));
    assert_eq!(
        client.add_subflow(now, pair.client, outside, there(Side::Client, 0), false),
        Err(SocketError::NotPermitted)
    );
    let nobody = ConnectionId::from_u64(u64::MAX);
    assert_eq!(
        client.add_subflow(now, nobody, None, None, false),
        Err(SocketError::BadHandle)
    );
}

#[test]
fn regular_tcp_has_no_subflows_to_change() {
    let plain = || StackConfig {
        multipath: false,
        ..StackConfig::default()
    };
    let mut network = Network::with(StackConfig::default(), plain(), 2, PLAIN);
    network.listen();
    let pair = greet(&mut network);
    let now = network.now;
    let client = &mut network.client.stack;
    let not_supported = Err(SocketError::NotSupported);
    let there = there(Side::Client, 0);
    assert_eq!(
        client.add_subflow(now, pair.client, None, there, false),
        not_supported
    );
    assert_eq!(client.remove_subflow(now, pair.client, 0), not_supported);
    let backup = SubflowPriority::Backup;
    assert_eq!(
        client.set_priority(now, pair.client, 0, backup),
        not_supported
    );
    let elsewhere = [v4(Side::Client, 1)];
    assert_eq!(
        client.set_local_addresses(now, pair.client, &elsewhere),
        not_supported
    );
    let here = [v4(Side::Client, 0)];
    assert_eq!(client.set_local_addresses(now, pair.client, &here), Ok(()));
    let settings = client.connection_settings(pair.client).unwrap();
    assert!(!settings.multipath);
}

#[test]
fn either_side_removes_one_and_no_byte_is_lost() {
    for side in BOTH {
        for from in BOTH {
            for victim in [0, 1] {
                let (mut network, pair) = on_all(2);
                let mut flow = Flow::new(from, pair, 2_000_000);
                flow.run_to(&mut network, 300_000);
                let id = lasting(&mut network, side, pair)[victim].id;
                let now = network.now;
                let stack = &mut network.host(side).stack;
                assert_eq!(
                    stack.remove_subflow(now, pair.of(side), 99),
                    Err(SocketError::NoSuchSubflow)
                );
                assert_eq!(stack.remove_subflow(now, pair.of(side), id), Ok(()));
                let other = lasting(&mut network, side, pair)[0].id;
                assert_ne!(other, id);
                let stack = &mut network.host(side).stack;
                assert_eq!(
                    stack.remove_subflow(now, pair.of(side), other),
                    Err(SocketError::LastSubflow)
                );
                flow.finish(&mut network);
                settle(&mut network, pair, 1);
                if side == Side::Server {
                    // The client may open it again when it likes.
                    continue;
                }
                // It stays away, even when its link flaps.
                network.set_link(victim as u16, false);
                network.run_for(Duration::from_millis(10));
                network.set_link(victim as u16, true);
                network.run_for(Duration::from_secs(40));
                settle(&mut network, pair, 1);
            }
        }
    }
}

#[test]
fn a_subflow_that_the_peer_does_not_let_go_is_reset() {
    let (mut network, pair) = on_all(2);
    let id = lasting(&mut network, Side::Client, pair)[1].id;
    // The second path dies at the very moment.
    network.filter = Box::new(|_, sent| sent.port.0 == 0);
    let now = network.now;
    let client = &mut network.client.stack;
    client.remove_subflow(now, pair.client, id).unwrap();
    network.run_for(Duration::from_secs(5));
    assert_eq!(network.client.stack.subflows(pair.client).len(), 1);
    Flow::new(Side::Client, pair, 100_000).finish(&mut network);
}

#[test]
fn a_preferred_path_goes_first_even_when_it_is_slower() {
    for side in BOTH {
        let (mut network, pair) = on_all(2);
        let carried = |network: &mut Network| {
            let before: Vec<u64> = lasting(network, side, pair)
                .iter()
                .map(|subflow| subflow.bytes_sent)
                .collect();
            for _ in 0..20 {
                Flow::new(side, pair, 500).finish(network);
                network.run_for(Duration::from_millis(30));
            }
            let after = lasting(network, side, pair);
            let counts = after.iter().zip(before);
            counts
                .map(|(subflow, before)| subflow.bytes_sent - before)
                .collect::<Vec<u64>>()
        };
        for favourite in [0, 1] {
            let ids = lasting(&mut network, side, pair);
            for (index, subflow) in ids.iter().enumerate() {
                let priority = if index == favourite {
                    SubflowPriority::Preferred
                } else {
                    SubflowPriority::Normal
                };
                let now = network.now;
                let stack = &mut network.host(side).stack;
                stack
                    .set_priority(now, pair.of(side), subflow.id, priority)
                    .unwrap();
            }
            let listed = lasting(&mut network, side, pair);
            assert_eq!(listed[favourite].priority, SubflowPriority::Preferred);
            let counts = carried(&mut network);
            assert_eq!(counts[favourite], 10_000, "{counts:?}");
            assert_eq!(counts[1 - favourite], 0, "{counts:?}");
        }
    }
}

#[test]
fn the_peer_hears_of_backups_and_of_their_end() {
    for side in BOTH {
        let (mut network, pair) = on_all(2);
        let id = lasting(&mut network, side, pair)[0].id;
        let peers = match side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        for (priority, backup) in [
            (SubflowPriority::Backup, true),
            (SubflowPriority::Preferred, false),
        ] {
            let now = network.now;
            let stack = &mut network.host(side).stack;
            stack
                .set_priority(now, pair.of(side), id, priority)
                .unwrap();
            network.run_for(Duration::from_millis(100));
            let seen = lasting(&mut network, peers, pair);
            assert_eq!(seen[0].backup, backup);
        }
        let now = network.now;
        let stack = &mut network.host(side).stack;
        assert_eq!(
            stack.set_priority(now, pair.of(side), 77, SubflowPriority::Normal),
            Err(SocketError::NoSuchSubflow)
        );
    }
}

#[test]
fn a_bound_socket_grows_only_by_its_application() {
    let mut network = with_endpoints(2);
    let bound = ConnectOptions {
        local: Some(SocketAddr::new(v4(Side::Client, 0), 0)),
        socket: SocketOptions {
            path_management: Some(PathManagement::Fullmesh),
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(server_on(0))
    };
    let (client, server) = network.establish_with(bound);
    network.transfer((Side::Client, client), server, b"hello");
    let pair = Pair { client, server };
    network.run_for(Duration::from_secs(3));
    settle(&mut network, pair, 1);
    let now = network.now;
    let stack = &mut network.client.stack;
    let to = there(Side::Client, 0);
    assert_eq!(stack.add_subflow(now, client, None, to, false), Ok(()));
    settle(&mut network, pair, 2);
}
