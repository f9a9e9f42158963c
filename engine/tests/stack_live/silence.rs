//! A path that dies without a word, under requests and answers: how long the application waits.

use crate::stack_support::{Network, Side, v4};
use crate::{Flow, Pair, lasting, server_on, settle, with_endpoints};
use braid_engine::socket::{ConnectOptions, Profile, SocketOptions, SubflowInfo};
use braid_engine::time::Duration;

/// One way; twice that is the round trip of each path.
const DELAY: Duration = Duration::from_millis(10);
const ROUND_TRIP: Duration = Duration::from_millis(20);
const LENGTH: usize = 200;
/// Clocks and timers are of a millisecond.
const MARGIN: Duration = Duration::from_millis(2);

/// A connection with two subflows, one of them a backup as far as the profile wants that.
fn connect(client: Profile, server: Profile) -> (Network, Pair) {
    let mut network = with_endpoints(2);
    network.delay = DELAY;
    let options = ConnectOptions {
        socket: SocketOptions {
            nodelay: true,
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(server_on(0))
    };
    let (here, there) = network.establish_with(options);
    let pair = Pair {
        client: here,
        server: there,
    };
    Flow::new(Side::Client, pair, LENGTH).finish(&mut network);
    settle(&mut network, pair, 2);
    for (side, profile) in [(Side::Client, client), (Side::Server, server)] {
        let now = network.now;
        let stack = &mut network.host(side).stack;
        stack.set_profile(now, pair.of(side), profile).unwrap();
        stack.set_nodelay(now, pair.of(side), true).unwrap();
    }
    (network, pair)
}

/// What is sent from then on is lost on the link in use.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Cut {
    Request,
    Answer,
}

/// A request and its answer; how long they took.
fn exchange(network: &mut Network, pair: Pair, cut: Option<(Cut, u16)>) -> Duration {
    let start = network.now;
    for (from, what) in [(Side::Client, Cut::Request), (Side::Server, Cut::Answer)] {
        if let Some((when, link)) = cut
            && when == what
        {
            network.filter = Box::new(move |_, sent| sent.port.0 != link);
        }
        Flow::new(from, pair, LENGTH).finish(network);
    }
    network.now.saturating_since(start)
}

/// The longest of the exchanges of so long a time.
fn longest(network: &mut Network, pair: Pair, duration: Duration) -> Duration {
    let until = network.now + duration;
    let mut longest = Duration::ZERO;
    while network.now < until {
        longest = longest.max(exchange(network, pair, None));
    }
    longest
}

/// Which link carries what the client sends now.
fn link_in_use(network: &mut Network, pair: Pair) -> u16 {
    let sent = |network: &mut Network| -> u64 {
        let subflows = lasting(network, Side::Client, pair);
        let on_first = |subflow: &&SubflowInfo| subflow.path.local.ip() == v4(Side::Client, 0);
        subflows.iter().find(on_first).unwrap().bytes_sent
    };
    let before = sent(network);
    exchange(network, pair, None);
    u16::from(sent(network) == before)
}

/// The longest exchange when the link in use is cut, and what it was before.
fn longest_when_cut(client: Profile, server: Profile, cut: Cut) -> Duration {
    let (mut network, pair) = connect(client, server);
    let usual = longest(&mut network, pair, Duration::from_secs(2));
    assert_eq!(usual, ROUND_TRIP);
    let link = link_in_use(&mut network, pair);
    let first = exchange(&mut network, pair, Some((cut, link)));
    let rest = longest(&mut network, pair, Duration::from_secs(5));
    assert_ne!(link_in_use(&mut network, pair), link);
    first.max(rest)
}

/// Below that a stall is no timeout of 200 ms, on either side.
#[track_caller]
fn assert_within(client: Profile, server: Profile, round_trips: u32) {
    for cut in [Cut::Request, Cut::Answer] {
        let longest = longest_when_cut(client, server, cut);
        let bound = ROUND_TRIP * round_trips + MARGIN;
        assert!(longest <= bound, "{longest:?} when the {cut:?} is lost");
    }
}

#[test]
fn overflow_repeats_on_the_other_path_what_is_overdue() {
    assert_within(Profile::LatencyOverflow, Profile::LatencyOverflow, 3);
}

#[test]
fn standby_takes_over_when_a_probe_goes_unanswered() {
    assert_within(Profile::LatencyStandby, Profile::LatencyStandby, 5);
}

#[test]
fn a_peer_of_another_profile_follows_to_the_standby() {
    assert_within(Profile::LatencyStandby, Profile::Bulk, 6);
}

#[test]
fn bulk_repeats_a_small_request_after_one_timeout() {
    // Request and answer may each wait for one, of eleven round trips.
    assert_within(Profile::Bulk, Profile::Bulk, 23);
}

#[test]
fn overflow_opens_the_next_path_when_a_probe_goes_unanswered() {
    let overflow = Profile::LatencyOverflow;
    let mut network = with_endpoints(2);
    network.delay = DELAY;
    let options = ConnectOptions {
        socket: SocketOptions {
            nodelay: true,
            profile: Some(overflow),
            ..SocketOptions::default()
        },
        ..ConnectOptions::to(server_on(0))
    };
    let (client, server) = network.establish_with(options);
    let pair = Pair { client, server };
    let now = network.now;
    let stack = &mut network.server.stack;
    stack.set_profile(now, server, overflow).unwrap();
    longest(&mut network, pair, Duration::from_secs(2));
    settle(&mut network, pair, 1);
    // Two round trips until the probe and two for its answer, the rest for the handshake of the
    // join and the request itself: less than the least timeout of 200 ms.
    let took = exchange(&mut network, pair, Some((Cut::Request, 0)));
    assert!(took <= ROUND_TRIP * 8 + MARGIN, "{took:?}");
}

#[test]
fn a_slow_answer_moves_nothing() {
    let standby = Profile::LatencyStandby;
    let (mut network, pair) = connect(standby, standby);
    longest(&mut network, pair, Duration::from_secs(2));
    let link = link_in_use(&mut network, pair);
    let before = network.client.counter("MPTcpExtMPPrioTx");
    for _ in 0..20 {
        Flow::new(Side::Client, pair, LENGTH).finish(&mut network);
        // Meanwhile the acknowledgment is delayed by more than two round trips.
        network.run_for(Duration::from_millis(300));
        Flow::new(Side::Server, pair, LENGTH).finish(&mut network);
    }
    assert_eq!(link_in_use(&mut network, pair), link);
    for side in [Side::Client, Side::Server] {
        let subflows = lasting(&mut network, side, pair);
        assert!(subflows.iter().all(|subflow| subflow.bytes_reinjected == 0));
    }
    assert_eq!(network.client.counter("MPTcpExtMPPrioTx"), before);
    assert_eq!(network.client.counter("MPTcpExtSubflowStale"), 0);
}

/// The profile with standby goes back to the primary when that works again, and the peer with it.
#[test]
fn the_primary_carries_again_what_it_carried_before() {
    let standby = Profile::LatencyStandby;
    let (mut network, pair) = connect(standby, Profile::Bulk);
    longest(&mut network, pair, Duration::from_secs(2));
    let link = link_in_use(&mut network, pair);
    exchange(&mut network, pair, Some((Cut::Request, link)));
    let backups = |network: &mut Network, side| {
        let subflows = lasting(network, side, pair);
        subflows.iter().filter(|subflow| subflow.backup).count()
    };
    assert_eq!(backups(&mut network, Side::Server), 0, "it is called up");
    assert_eq!(backups(&mut network, Side::Client), 1, "and a backup still");
    network.run_for(Duration::from_secs(1));
    network.filter = Box::new(|_, _| true);
    longest(&mut network, pair, Duration::from_secs(5));
    assert_eq!(link_in_use(&mut network, pair), link);
    assert_eq!(backups(&mut network, Side::Server), 1);
}
