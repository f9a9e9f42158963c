//! What a connection is to be good at: the three profiles, before connect and under a flow of data.

use crate::stack_support::{Network, PLAIN, Side};
use crate::{BOTH, Flow, Pair, greet, lasting, on_all, server_on, settle, with_endpoints};
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::{ConnectOptions, Profile, SocketOptions};
use braid_engine::stack::StackConfig;
use braid_engine::time::{Duration, Instant};

fn connect(network: &mut Network, profile: Profile) -> Pair {
    let options = ConnectOptions {
        socket: SocketOptions {
            profile: Some(profile),
            nodelay: true,
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(server_on(0))
    };
    let (client, server) = network.establish_with(options);
    network.transfer((Side::Client, client), server, b"hello");
    Pair { client, server }
}

/// The profile in effect, which has brought its scheduler.
fn profile(network: &mut Network, side: Side, pair: Pair) -> Profile {
    let settings = network.host(side).stack.connection_settings(pair.of(side));
    let settings = settings.unwrap();
    assert_eq!(settings.scheduler, settings.profile.scheduler());
    settings.profile
}

#[test]
fn bulk_opens_all_at_once() {
    let mut network = with_endpoints(3);
    let pair = connect(&mut network, Profile::Bulk);
    settle(&mut network, pair, 3);
    assert_eq!(profile(&mut network, Side::Client, pair), Profile::Bulk);
}

#[test]
fn overflow_opens_the_next_when_those_there_are_full() {
    let mut network = with_endpoints(3);
    let pair = connect(&mut network, Profile::LatencyOverflow);
    for _ in 0..20 {
        Flow::new(Side::Client, pair, 1_000).finish(&mut network);
        network.run_for(Duration::from_millis(50));
    }
    settle(&mut network, pair, 1);
    let mut flow = Flow::new(Side::Client, pair, 3_000_000);
    let mut seen = Vec::new();
    network.run_until(Duration::from_secs(60), |network| {
        let count = network.client.stack.subflows(pair.client).len();
        if seen.last() != Some(&count) {
            seen.push(count);
        }
        flow.turn(network)
    });
    assert_eq!(seen, [1, 2, 3], "one after the other");
    let shares = lasting(&mut network, Side::Client, pair);
    assert!(shares.iter().all(|subflow| subflow.bytes_sent > 0));
}

/// Waits until one subflow is for regular use, and one a backup.
#[track_caller]
fn await_standby(network: &mut Network, pair: Pair) {
    network.run_until(Duration::from_secs(10), |network| {
        BOTH.into_iter().all(|side| {
            let subflows = lasting(network, side, pair);
            let backups = subflows.iter().filter(|subflow| subflow.backup).count();
            (subflows.len(), backups) == (2, 1)
        })
    });
}

#[test]
fn standby_keeps_one_established_backup_that_carries_nothing() {
    let mut network = with_endpoints(3);
    let pair = connect(&mut network, Profile::LatencyStandby);
    await_standby(&mut network, pair);
    for from in BOTH {
        Flow::new(from, pair, 1_000_000).finish(&mut network);
    }
    await_standby(&mut network, pair);
    for side in BOTH {
        let subflows = lasting(&mut network, side, pair);
        let backup = subflows.iter().find(|subflow| subflow.backup).unwrap();
        assert_eq!((backup.bytes_sent, backup.bytes_received), (0, 0));
    }
}

/// Requests and answers without a break; the longest time that one took.
fn longest_exchange(network: &mut Network, pair: Pair, until: Instant) -> Duration {
    let mut longest = Duration::ZERO;
    while network.now < until {
        let start = network.now;
        Flow::new(Side::Client, pair, 200).finish(network);
        Flow::new(Side::Server, pair, 1_000).finish(network);
        longest = longest.max(network.now.saturating_since(start));
    }
    longest
}

#[test]
fn the_backup_carries_on_when_the_primary_dies() {
    // A cut that the link tells of, and one that nobody tells of.
    for told in [true, false] {
        let mut network = with_endpoints(2);
        let pair = connect(&mut network, Profile::LatencyStandby);
        await_standby(&mut network, pair);
        let until = network.now + Duration::from_secs(1);
        let usual = longest_exchange(&mut network, pair, until);
        assert!(usual < Duration::from_millis(50), "{usual:?}");
        if told {
            network.set_link(0, false);
        } else {
            network.filter = Box::new(|_, sent| sent.port.0 != 0);
        }
        let until = network.now + Duration::from_secs(10);
        let longest = longest_exchange(&mut network, pair, until);
        // The smallest timeout is 200 ms, and request and answer may each have to wait for one.
        let bound = Duration::from_millis(if told { 60 } else { 1_200 });
        assert!(longest < bound, "{longest:?}, told: {told}");
    }
}

#[test]
fn the_backup_becomes_primary_when_the_primary_is_removed() {
    for side in BOTH {
        let mut network = with_endpoints(3);
        let pair = connect(&mut network, Profile::LatencyStandby);
        await_standby(&mut network, pair);
        let subflows = lasting(&mut network, side, pair);
        let primary = subflows.iter().find(|subflow| !subflow.backup).unwrap();
        let now = network.now;
        let stack = &mut network.host(side).stack;
        stack
            .remove_subflow(now, pair.of(side), primary.id)
            .unwrap();
        // Another backup takes its place.
        await_standby(&mut network, pair);
        Flow::new(side, pair, 100_000).finish(&mut network);
    }
}

#[test]
fn each_profile_follows_each_under_a_flow_of_data() {
    for side in BOTH {
        for from in BOTH {
            let (mut network, pair) = on_all(3);
            let mut flow = Flow::new(from, pair, 6_000_000);
            let mut mark = 0;
            let order = [
                Profile::LatencyStandby,
                Profile::LatencyOverflow,
                Profile::Bulk,
                Profile::LatencyStandby,
                Profile::Bulk,
            ];
            for wanted in order {
                mark += 900_000;
                flow.run_to(&mut network, mark);
                let now = network.now;
                let stack = &mut network.host(side).stack;
                stack.set_profile(now, pair.of(side), wanted).unwrap();
                assert_eq!(profile(&mut network, side, pair), wanted);
                if wanted == Profile::LatencyStandby {
                    await_standby(&mut network, pair);
                }
            }
            flow.finish(&mut network);
            network.run_for(Duration::from_secs(10));
            let subflows = lasting(&mut network, side, pair);
            assert!(subflows.iter().all(|subflow| !subflow.backup));
            if side == Side::Client {
                settle(&mut network, pair, 3);
            }
        }
    }
}

#[test]
fn nodelay_leaves_a_scheduler_that_was_chosen() {
    let config = || StackConfig {
        nodelay_selects_latency: true,
        ..StackConfig::default()
    };
    let chosen = Scheduler::RoundRobin;
    for before in [true, false] {
        let mut network = Network::with(config(), config(), 1, PLAIN);
        network.listen();
        let options = ConnectOptions {
            socket: SocketOptions {
                scheduler: before.then_some(chosen),
                ..SocketOptions::default()
            },
            ..ConnectOptions::to(server_on(0))
        };
        let (client, _) = network.establish_with(options);
        let now = network.now;
        let stack = &mut network.client.stack;
        if !before {
            stack.set_scheduler(now, client, chosen).unwrap();
        }
        for nodelay in [true, false, true] {
            stack.set_nodelay(now, client, nodelay).unwrap();
            let settings = stack.connection_settings(client).unwrap();
            let latency = settings.profile == Profile::LatencyOverflow;
            assert_eq!((latency, settings.scheduler), (nodelay, chosen));
        }
    }
}

#[test]
fn nodelay_selects_latency_where_the_policy_says_so() {
    for policy in [false, true] {
        let config = StackConfig {
            nodelay_selects_latency: policy,
            ..StackConfig::default()
        };
        let mut network = Network::with(config, StackConfig::default(), 1, PLAIN);
        network.listen();
        let pair = greet(&mut network);
        assert_eq!(profile(&mut network, Side::Client, pair), Profile::Bulk);
        let now = network.now;
        network
            .client
            .stack
            .set_nodelay(now, pair.client, true)
            .unwrap();
        let expected = if policy {
            Profile::LatencyOverflow
        } else {
            Profile::Bulk
        };
        assert_eq!(profile(&mut network, Side::Client, pair), expected);
        network
            .client
            .stack
            .set_nodelay(now, pair.client, false)
            .unwrap();
        assert_eq!(profile(&mut network, Side::Client, pair), Profile::Bulk);
        // What the application chose itself stays.
        let standby = Profile::LatencyStandby;
        network
            .client
            .stack
            .set_profile(now, pair.client, standby)
            .unwrap();
        network
            .client
            .stack
            .set_nodelay(now, pair.client, true)
            .unwrap();
        assert_eq!(profile(&mut network, Side::Client, pair), standby);
    }
}
