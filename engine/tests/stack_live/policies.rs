//! What the host decides for applications that ask for nothing (draft-scharf-mptcp-api section 4),
//! and that it may change its mind.

use crate::stack_support::{Network, PLAIN, Side};
use crate::{BOTH, Flow, greet, lasting, on_all, server_on, settle};
use braid_engine::congestion::ControllerKind;
use braid_engine::mptcp::message::FallbackReason;
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::{ConnectOptions, PathManagement, Profile, SocketError, SocketOptions};
use braid_engine::stack::{Defaults, SmallBuffer, StackConfig};
use braid_engine::time::Duration;

#[test]
fn the_first_subflow_takes_the_connection_with_it_only_where_fate_is_shared() {
    for fate_sharing in [false, true] {
        for side in BOTH {
            let config = |shared| StackConfig {
                fate_sharing: shared,
                ..StackConfig::default()
            };
            let client = config(fate_sharing && side == Side::Client);
            let server = config(fate_sharing && side == Side::Server);
            let mut network = Network::with(client, server, 2, PLAIN);
            network.full_paths(2, false);
            network.listen();
            let pair = greet(&mut network);
            settle(&mut network, pair, 2);
            let now = network.now;
            for side in BOTH {
                let stack = &mut network.host(side).stack;
                let timeout = Some(Duration::from_secs(2));
                stack.set_user_timeout(now, pair.of(side), timeout).unwrap();
            }
            // The first path dies silently while both sides have something to say on it.
            network.filter = Box::new(|_, sent| sent.port.0 != 0);
            for from in BOTH {
                Flow::new(from, pair, 200_000).finish(&mut network);
            }
            network.run_for(Duration::from_secs(10));
            let end = network.host(side).closed(pair.of(side));
            let expected = fate_sharing.then_some(Err(SocketError::TimedOut));
            assert_eq!(end, expected, "{side:?}");
            let peers = match side {
                Side::Client => Side::Server,
                Side::Server => Side::Client,
            };
            let expected = fate_sharing.then_some(Err(SocketError::ConnectionReset));
            assert_eq!(network.host(peers).closed(pair.of(peers)), expected);
        }
    }
}

#[test]
fn a_subflow_that_the_application_removed_is_no_loss() {
    let shared = || StackConfig {
        fate_sharing: true,
        ..StackConfig::default()
    };
    let mut network = Network::with(shared(), shared(), 2, PLAIN);
    network.full_paths(2, false);
    network.listen();
    let pair = greet(&mut network);
    settle(&mut network, pair, 2);
    let now = network.now;
    network
        .client
        .stack
        .remove_subflow(now, pair.client, 0)
        .unwrap();
    settle(&mut network, pair, 1);
    Flow::new(Side::Client, pair, 100_000).finish(&mut network);
}

#[test]
fn small_buffers_are_raised_or_keep_a_connection_on_one_path() {
    let policies = [
        (SmallBuffer::Raise(256 << 10), true, 256 << 10),
        (SmallBuffer::DisableMultipath(256 << 10), false, 64 << 10),
        (SmallBuffer::DisableMultipath(64 << 10), true, 64 << 10),
        (SmallBuffer::default(), true, 64 << 10),
    ];
    for (small_buffer, multipath, size) in policies {
        for side in BOTH {
            let config = |own: Side| StackConfig {
                small_buffer: if own == side {
                    small_buffer
                } else {
                    SmallBuffer::default()
                },
                ..StackConfig::default()
            };
            let small = SocketOptions {
                receive_buffer: Some(64 << 10),
                ..SocketOptions::default()
            };
            let mut network = Network::with(config(Side::Client), config(Side::Server), 2, PLAIN);
            network.full_paths(2, false);
            let mut connect = ConnectOptions::to(server_on(0));
            let mut listen = braid_engine::socket::ListenOptions::default();
            match side {
                Side::Client => connect.socket = small,
                Side::Server => listen.socket = small,
            }
            network.listen_with(listen);
            let (client, server) = network.establish_with(connect);
            let pair = crate::Pair { client, server };
            Flow::new(Side::Client, pair, 100_000).finish(&mut network);
            let settings = network.host(side).stack.connection_settings(pair.of(side));
            let settings = settings.unwrap();
            let found = (settings.multipath, settings.receive_buffer);
            assert_eq!(found, (multipath, size), "{small_buffer:?} at {side:?}");
            let info = network.host(side).stack.connection_info(pair.of(side));
            let reason = (!multipath).then_some(FallbackReason::Disabled);
            assert_eq!(info.unwrap().fallback, reason);
        }
    }
}

#[test]
fn defaults_change_for_connections_to_come() {
    let (mut network, old) = on_all(2);
    let defaults = Defaults {
        multipath: true,
        checksum: true,
        congestion: ControllerKind::Reno,
        profile: Profile::Bulk,
        scheduler: Some(Scheduler::Redundant),
        path_management: PathManagement::Manual,
        send_buffer: 100_000,
        receive_buffer: 200_000,
        ..network.client.stack.defaults()
    };
    network.client.stack.set_defaults(defaults).unwrap();
    assert_eq!(network.client.stack.defaults(), defaults);
    let (client, server) = network.establish(server_on(0));
    let pair = crate::Pair { client, server };
    Flow::new(Side::Client, pair, 100_000).finish(&mut network);
    network.run_for(Duration::from_secs(2));
    settle(&mut network, pair, 1);
    let settings = network.client.stack.connection_settings(client).unwrap();
    assert_eq!(settings.congestion, ControllerKind::Reno);
    assert_eq!(settings.scheduler, Scheduler::Redundant);
    assert!(settings.redundancy > 1);
    assert_eq!(settings.path_management, PathManagement::Manual);
    let buffers = (settings.send_buffer, settings.receive_buffer);
    assert_eq!(buffers, (100_000, 200_000));
    let info = network.server.stack.connection_info(server).unwrap();
    assert!(info.checksum);
    // The one there was stays as it is.
    let settings = network
        .client
        .stack
        .connection_settings(old.client)
        .unwrap();
    assert_eq!(settings.scheduler, Scheduler::MinRtt);
    assert_eq!(settings.redundancy, 1);
    assert_eq!(settings.congestion, ControllerKind::Cubic);
    assert_eq!(lasting(&mut network, Side::Client, old).len(), 2);
    let wrong = Defaults {
        send_buffer: 1,
        ..defaults
    };
    assert!(network.client.stack.set_defaults(wrong).is_err());
    assert_eq!(network.client.stack.defaults(), defaults);
}

#[test]
fn a_fallback_can_be_read_and_is_counted_by_its_reason() {
    let plain = StackConfig {
        multipath: false,
        ..StackConfig::default()
    };
    let mut network = Network::with(StackConfig::default(), plain, 1, PLAIN);
    network.listen();
    let pair = greet(&mut network);
    let info = network.client.stack.connection_info(pair.client).unwrap();
    let reason = FallbackReason::PeerNotCapable;
    assert_eq!(info.fallback, Some(reason));
    assert_eq!(reason.name(), "peer-not-capable");
    assert_eq!(network.client.counter("MPTcpExtFallbackPeerNotCapable"), 1);
    assert_eq!(network.server.counter("MPTcpExtFallbackDisabled"), 1);
    for side in BOTH {
        let host = network.host(side);
        assert_eq!(host.counter("MPTcpExtMPFallback"), 1);
        let counters = host.stack.counters();
        let by_reason = counters
            .named()
            .filter(|(name, _)| name.starts_with("MPTcpExtFallback"));
        assert_eq!(by_reason.map(|(_, count)| count).sum::<u64>(), 1);
    }
}

#[test]
fn mptcp_is_switched_off_for_connections_to_come_alone() {
    for side in BOTH {
        let (mut network, old) = on_all(2);
        let stack = &mut network.host(side).stack;
        let off = Defaults {
            multipath: false,
            ..stack.defaults()
        };
        stack.set_defaults(off).unwrap();
        let (client, server) = network.establish(server_on(0));
        let pair = crate::Pair { client, server };
        Flow::new(Side::Client, pair, 10_000).finish(&mut network);
        for side in BOTH {
            let settings = network.host(side).stack.connection_settings(pair.of(side));
            assert!(!settings.unwrap().multipath);
        }
        // The old one still takes and opens subflows.
        let now = network.now;
        let client = &mut network.client.stack;
        client.set_max_subflows(now, old.client, 1).unwrap();
        settle(&mut network, old, 1);
        let now = network.now;
        network
            .client
            .stack
            .set_max_subflows(now, old.client, 2)
            .unwrap();
        settle(&mut network, old, 2);
    }
}
