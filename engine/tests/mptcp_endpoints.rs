//! Endpoints and limits as `ip mptcp` users know them, on connections that live: what a peer sees
//! of them on the wire, and which subflows there are (RFC 8684 section 3.4).

mod stack_support;

use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::socket::SubflowInfo;
use braid_engine::stack::{ConnectionId, Event, StackConfig};
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::MptcpOption;
use core::cell::RefCell;
use core::net::SocketAddr;
use stack_support::raw::Seen;
use stack_support::{Network, PLAIN, Side, pattern, v4, v6};
use std::rc::Rc;

type Heard = Rc<RefCell<Vec<(Side, MptcpOption)>>>;

/// Notes every option of MPTCP on the wire but DSS.
fn listen_in(network: &mut Network) -> Heard {
    let heard = Heard::default();
    let notes = Rc::clone(&heard);
    network.filter = Box::new(move |side, sent| {
        for option in Seen::of(sent)
            .tcp()
            .into_iter()
            .flat_map(|header| header.options.mptcp)
        {
            if !matches!(option, MptcpOption::Dss(_)) {
                notes.borrow_mut().push((side, option));
            }
        }
        true
    });
    heard
}

fn subflows(network: &Network, side: Side, connection: ConnectionId) -> Vec<SubflowInfo> {
    let host = match side {
        Side::Client => &network.client,
        Side::Server => &network.server,
    };
    let mut subflows = host.stack.subflows(connection);
    subflows.retain(|subflow| subflow.established);
    subflows
}

#[track_caller]
fn run_until_both_have(
    network: &mut Network,
    number: usize,
    client: ConnectionId,
    server: ConnectionId,
) {
    network.run_until(Duration::from_secs(10), |network| {
        let both = [(Side::Client, client), (Side::Server, server)];
        both.into_iter()
            .all(|(side, id)| subflows(network, side, id).len() == number)
    });
}

/// A connection on the first of `links`, over which both sides have sent.
fn connected(links: u8, subflow_limit: u8) -> (Network, ConnectionId, ConnectionId, Heard) {
    let mut network = Network::new(links);
    let limits = Limits {
        subflows: subflow_limit,
        add_addr_accepted: 8,
    };
    let now = network.now;
    network.client.stack.set_limits(now, limits);
    network.server.stack.set_limits(now, limits);
    network.listen();
    let heard = listen_in(&mut network);
    let (client, server) = network.establish(SocketAddr::new(v4(Side::Server, 0), 80));
    network.transfer((Side::Client, client), server, b"hello");
    network.transfer((Side::Server, server), client, b"hello");
    (network, client, server, heard)
}

#[test]
fn an_endpoint_added_to_a_live_connection_is_joined_from() {
    let (mut network, client, server, _) = connected(2, 4);
    network.run_for(Duration::from_secs(1));
    assert_eq!(subflows(&network, Side::Client, client).len(), 1);
    network.add_endpoint(Side::Server, 1, v4(Side::Server, 1), EndpointFlags::SIGNAL);
    run_until_both_have(&mut network, 2, client, server);
    let bytes = pattern(200_000, 1);
    network.transfer((Side::Client, client), server, &bytes);
    network.transfer((Side::Server, server), client, &bytes);
}

#[test]
fn a_server_joins_what_its_client_announces() {
    let (mut network, client, server, heard) = connected(2, 4);
    network.add_endpoint(Side::Client, 5, v4(Side::Client, 1), EndpointFlags::SIGNAL);
    run_until_both_have(&mut network, 2, client, server);
    let joined_by_server = heard.borrow().iter().any(|(side, option)| {
        *side == Side::Server && matches!(option, MptcpOption::JoinSyn { .. })
    });
    assert!(joined_by_server);
    network.transfer((Side::Client, client), server, &pattern(200_000, 2));
}

#[test]
fn an_endpoint_removed_takes_its_subflows_and_its_announcement_away() {
    let (mut network, client, server, heard) = connected(2, 4);
    network.add_endpoint(Side::Server, 7, v4(Side::Server, 1), EndpointFlags::SIGNAL);
    run_until_both_have(&mut network, 2, client, server);
    let now = network.now;
    assert!(network.server.stack.remove_endpoint(now, 7));
    network.run_for(Duration::from_secs(3));
    assert_eq!(subflows(&network, Side::Client, client).len(), 1);
    assert_eq!(subflows(&network, Side::Server, server).len(), 1);
    let removed = heard.borrow().iter().any(|(side, option)| {
        *side == Side::Server
            && matches!(option, MptcpOption::RemoveAddress { address_ids } if address_ids[..] == [7])
    });
    assert!(removed);
    // It may come back.
    network.add_endpoint(Side::Server, 7, v4(Side::Server, 1), EndpointFlags::SIGNAL);
    run_until_both_have(&mut network, 2, client, server);
    network.transfer((Side::Client, client), server, &pattern(100_000, 3));
}

#[test]
fn an_endpoint_becomes_a_backup_and_the_peer_is_told() {
    let (mut network, client, server, heard) = connected(2, 4);
    network.add_endpoint(Side::Client, 2, v4(Side::Client, 1), EndpointFlags::SUBFLOW);
    network.add_endpoint(Side::Server, 3, v4(Side::Server, 1), EndpointFlags::SIGNAL);
    run_until_both_have(&mut network, 2, client, server);
    let now = network.now;
    assert!(network.client.stack.set_endpoint_backup(now, 2, true));
    assert!(!network.client.stack.set_endpoint_backup(now, 9, true));
    network.run_for(Duration::from_millis(100));
    let told = (Side::Client, MptcpOption::Priority { backup: true });
    assert_eq!(
        heard
            .borrow()
            .iter()
            .filter(|other| **other == told)
            .count(),
        1
    );
    for (side, connection) in [(Side::Client, client), (Side::Server, server)] {
        let backups = subflows(&network, side, connection)
            .iter()
            .filter(|s| s.backup)
            .count();
        assert_eq!(backups, 1, "{side:?}");
    }
    let before = subflows(&network, Side::Server, server)[1].bytes_sent;
    network.transfer((Side::Server, server), client, &pattern(200_000, 4));
    assert_eq!(
        subflows(&network, Side::Server, server)[1].bytes_sent,
        before
    );
}

#[test]
fn every_change_of_priority_is_told_on_an_idle_path() {
    let (mut network, client, server, heard) = connected(2, 4);
    network.add_endpoint(Side::Server, 3, v4(Side::Server, 1), EndpointFlags::SIGNAL);
    run_until_both_have(&mut network, 2, client, server);
    network.run_for(Duration::from_secs(5));
    for backup in [true, false, true, false, true] {
        let now = network.now;
        assert!(network.server.stack.set_endpoint_backup(now, 3, backup));
        network.run_for(Duration::from_secs(1));
        let seen = subflows(&network, Side::Client, client)[1].backup;
        assert_eq!(seen, backup);
    }
    // Of changes that come too fast to be told one by one the last counts.
    let now = network.now;
    for backup in [false, true, false, true, false] {
        network.server.stack.set_endpoint_backup(now, 3, backup);
    }
    network.run_for(Duration::from_secs(5));
    assert!(!subflows(&network, Side::Client, client)[1].backup);
    let told = heard.borrow();
    let told = told
        .iter()
        .filter(|(_, option)| matches!(option, MptcpOption::Priority { .. }));
    assert!((6..=10).contains(&told.count()));
}

#[test]
fn a_join_to_a_backup_endpoint_is_answered_with_the_flag() {
    let (mut network, client, server, _) = connected(2, 4);
    let flags = EndpointFlags::SIGNAL | EndpointFlags::BACKUP;
    network.add_endpoint(Side::Server, 3, v4(Side::Server, 1), flags);
    run_until_both_have(&mut network, 2, client, server);
    assert!(subflows(&network, Side::Client, client)[1].backup);
    network.transfer((Side::Client, client), server, &pattern(200_000, 5));
    assert_eq!(subflows(&network, Side::Client, client)[1].bytes_sent, 0);
}

#[test]
fn an_ipv6_address_with_a_port_is_announced_beside_timestamps() {
    let (mut network, client, server, heard) = connected(2, 4);
    let now = network.now;
    let endpoint = Endpoint {
        id: 4,
        address: v6(Side::Server, 1),
        port: Some(8_080),
        flags: EndpointFlags::SIGNAL,
    };
    network
        .server
        .stack
        .add_endpoint(now, endpoint)
        .expect("a sound endpoint");
    run_until_both_have(&mut network, 2, client, server);
    let second = &subflows(&network, Side::Client, client)[1];
    assert_eq!(
        second.path.remote,
        SocketAddr::new(v6(Side::Server, 1), 8_080)
    );
    let echoed = |(side, option): &(Side, MptcpOption)| {
        *side == Side::Client
            && matches!(
                option,
                MptcpOption::AddAddress {
                    port: Some(8_080),
                    hmac: None,
                    ..
                }
            )
    };
    assert!(heard.borrow().iter().any(echoed));
    network.transfer((Side::Client, client), server, &pattern(100_000, 6));
}

#[test]
fn announcements_are_repeated_until_they_are_echoed_and_no_longer_than_that() {
    let (mut network, _, _, heard) = connected(2, 4);
    let notes = Rc::clone(&heard);
    network.filter = Box::new(move |side, sent| {
        let options = Seen::of(sent).tcp().map(|header| header.options.mptcp);
        let announcement = options
            .into_iter()
            .flatten()
            .find(|option| matches!(option, MptcpOption::AddAddress { .. }));
        if let Some(option) = announcement {
            notes.borrow_mut().push((side, option));
            // The echo is lost.
            return side == Side::Server;
        }
        true
    });
    network.add_endpoint(Side::Server, 1, v4(Side::Server, 1), EndpointFlags::SIGNAL);
    network.run_for(Duration::from_secs(60));
    let count = |wanted: Side| {
        let heard = heard.borrow();
        let announcements = heard.iter().filter(|(side, option)| {
            *side == wanted && matches!(option, MptcpOption::AddAddress { .. })
        });
        announcements.count()
    };
    assert_eq!(count(Side::Server), 4, "the first and three repetitions");
    assert_eq!(count(Side::Client), 4, "each is echoed");
}

/// What was sent and received on all subflows that there are and were.
fn totals(network: &mut Network, side: Side, connection: ConnectionId) -> (u64, u64) {
    let host = network.host(side);
    let ended = host.events.iter().filter_map(|event| match event {
        Event::SubflowClosed {
            connection: of,
            info,
            ..
        } if *of == connection => Some(**info),
        _ => None,
    });
    let all: Vec<SubflowInfo> = ended.chain(host.stack.subflows(connection)).collect();
    let sent = all.iter().map(|s| s.bytes_sent - s.bytes_reinjected).sum();
    let received = all.iter().map(|s| s.bytes_received).sum();
    (sent, received)
}

#[test]
fn there_are_32_subflows_and_no_more_and_their_bytes_add_up() {
    let (mut network, client, server, _) = connected(34, 255);
    for link in 1..34 {
        if link < 33 {
            // The peer announces nothing: the client knows one address per link.
            network.add_endpoint(
                Side::Server,
                link,
                v4(Side::Server, link),
                EndpointFlags::SIGNAL,
            );
        }
    }
    let now = network.now;
    let limits = Limits {
        subflows: 255,
        add_addr_accepted: 255,
    };
    network.client.stack.set_limits(now, limits);
    network.run_for(Duration::from_secs(20));
    assert_eq!(subflows(&network, Side::Client, client).len(), 32);
    assert_eq!(subflows(&network, Side::Server, server).len(), 32);
    let bytes = pattern(4_000_000, 7);
    network.transfer((Side::Client, client), server, &bytes);
    network.transfer((Side::Server, server), client, &bytes);
    // The last acknowledgments are still under way.
    network.run_for(Duration::from_millis(100));
    let used = subflows(&network, Side::Client, client);
    assert!(used.iter().filter(|s| s.bytes_sent > 0).count() > 16);
    let now = network.now;
    for id in 1..20 {
        network.server.stack.remove_endpoint(now, id);
    }
    network.run_for(Duration::from_secs(2));
    let total = 4_000_005;
    assert_eq!(totals(&mut network, Side::Client, client), (total, total));
    assert_eq!(totals(&mut network, Side::Server, server), (total, total));
    let now = network.now;
    network.client.stack.close(now, client);
    network.server.stack.close(now, server);
    network.run_for(Duration::from_secs(10));
    for host in [&network.client, &network.server] {
        assert_eq!(host.stack.connection_count(), 0);
        assert_eq!(host.stack.subflow_count(), 0);
    }
}

#[test]
fn connections_close_in_every_order_on_1_2_and_4_subflows() {
    for late in [false, true] {
        for links in [1_u8, 2, 4] {
            for order in 0..4 {
                let config = || StackConfig {
                    message_delay: late
                        .then_some((Duration::from_micros(1), Duration::from_millis(8))),
                    ..StackConfig::default()
                };
                let mut network = Network::with(config(), config(), links, PLAIN);
                network.full_paths(links, false);
                network.listen();
                let (client, server) = network.establish(SocketAddr::new(v4(Side::Server, 0), 80));
                network.transfer((Side::Client, client), server, &pattern(50_000, 8));
                network.run_until(Duration::from_secs(5), |network| {
                    subflows(network, Side::Server, server).len() == usize::from(links)
                });
                let closes: &[(Side, u64)] = match order {
                    0 => &[(Side::Client, 0), (Side::Server, 500)],
                    1 => &[(Side::Server, 0), (Side::Client, 500)],
                    2 => &[(Side::Client, 0), (Side::Server, 0)],
                    // The second crosses the first's DATA_FIN, or its acknowledgment.
                    _ => &[(Side::Server, 0), (Side::Client, 6)],
                };
                for (side, wait) in closes {
                    network.run_for(Duration::from_millis(*wait));
                    let now = network.now;
                    let id = if *side == Side::Client {
                        client
                    } else {
                        server
                    };
                    let stack = &mut network.host(*side).stack;
                    stack
                        .shutdown(now, id, braid_engine::socket::Shutdown::Write)
                        .expect("it lives");
                }
                let case = format!("late {late}, {links} links, order {order}");
                network.run_for(Duration::from_secs(3));
                assert_eq!(network.client.closed(client), Some(Ok(())), "{case}");
                assert_eq!(network.server.closed(server), Some(Ok(())), "{case}");
                let now = network.now;
                network.client.stack.close(now, client);
                network.server.stack.close(now, server);
                network.run_for(Duration::from_secs(1));
                for host in [&network.client, &network.server] {
                    assert_eq!(host.stack.connection_count(), 0, "{case}");
                    assert_eq!(host.stack.subflow_count(), 0, "{case}");
                }
            }
        }
    }
}
