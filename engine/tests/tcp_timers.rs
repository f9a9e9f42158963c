//! What time does: zero windows, keepalive, user timeout, delayed acknowledgments, Nagle and cork.

mod tcp_support;

use braid_engine::tcp::{End, Keepalive, State, TcbConfig};
use braid_engine::time::Duration;
use braid_engine::wire::tcp::TcpFlags;
use tcp_support::{ISS, Pair};

fn config() -> TcbConfig {
    TcbConfig::default()
}

/// Times in milliseconds since the trace began, of the segments of one side that `select` takes.
fn times(pair: &Pair, from: usize, select: impl Fn(&tcp_support::Wire) -> bool) -> Vec<u64> {
    let trace = pair.trace.as_deref().unwrap_or_default();
    trace
        .iter()
        .filter(|(_, side, wire)| *side == from && select(wire))
        .map(|(at, _, _)| at.as_millis())
        .collect()
}

/// Past the quick acknowledgments of the start.
fn warmed_up(config_0: TcbConfig, config_1: TcbConfig) -> Pair {
    let mut pair = Pair::established(1, config_0, config_1);
    for end in [0, 1] {
        pair.write(end, 60_000);
        pair.run_for(Duration::from_secs(1));
    }
    pair.trace = Some(Vec::new());
    pair
}

#[test]
fn a_lone_segment_is_acknowledged_after_the_delay_and_a_second_at_once() {
    let mut pair = warmed_up(config(), config());
    pair.write(0, 100);
    let sent = pair.now;
    pair.run_for(Duration::from_millis(500));
    let arrived = sent + pair.delay;
    let expected = (arrived + Duration::from_millis(40)).as_millis();
    assert_eq!(times(&pair, 1, |_| true), [expected]);
    pair.trace = Some(Vec::new());
    let sent = pair.now;
    pair.write(0, 2 * 1_448);
    pair.run_for(Duration::from_millis(500));
    assert_eq!(times(&pair, 1, |_| true), [(sent + pair.delay).as_millis()]);
}

#[test]
fn data_carries_the_acknowledgment() {
    let mut pair = warmed_up(config(), config());
    pair.write(0, 100);
    pair.run_for(Duration::from_millis(20));
    pair.write(1, 100);
    pair.run_for(Duration::from_millis(500));
    assert_eq!(times(&pair, 1, |_| true).len(), 1);
}

#[test]
fn nagle_holds_a_second_small_segment_until_the_first_is_acknowledged() {
    let mut pair = warmed_up(config(), config());
    pair.delay = Duration::from_millis(50);
    let start = pair.now;
    for _ in 0..10 {
        pair.write(0, 10);
        pair.run_for(Duration::from_millis(1));
    }
    pair.run_for(Duration::from_secs(1));
    let data = times(&pair, 0, |wire| !wire.payload.is_empty());
    let first = start.as_millis();
    // 100 ms of round trip and 40 ms of delayed acknowledgment.
    assert_eq!(data, [first, first + 140]);
    assert_eq!(pair.ends[1].received, 60_100);
}

#[test]
fn nodelay_sends_each_and_cork_none_until_it_is_pulled() {
    let mut pair = warmed_up(config(), config());
    pair.ends[0].tcb.set_nodelay(true);
    for _ in 0..10 {
        pair.write(0, 10);
        pair.run_for(Duration::from_millis(1));
    }
    assert_eq!(times(&pair, 0, |wire| wire.payload.len() == 10).len(), 10);
    pair.run_for(Duration::from_secs(1));
    pair.trace = Some(Vec::new());
    pair.ends[0].tcb.set_cork(true);
    pair.write(0, 1_448 + 10);
    pair.run_for(Duration::from_millis(100));
    let sizes = |pair: &Pair| -> Vec<usize> {
        let trace = pair.trace.as_deref().unwrap_or_default();
        trace
            .iter()
            .filter(|(_, from, wire)| *from == 0 && !wire.payload.is_empty())
            .map(|(_, _, wire)| wire.payload.len())
            .collect()
    };
    assert_eq!(sizes(&pair), [1_448]);
    pair.ends[0].tcb.set_cork(false);
    pair.run_for(Duration::from_millis(1));
    assert_eq!(sizes(&pair), [1_448, 10]);
}

#[test]
fn a_cork_that_is_forgotten_gives_way_to_time() {
    let mut pair = warmed_up(config(), config());
    pair.ends[0].tcb.set_cork(true);
    pair.write(0, 10);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.ends[1].received, 60_010);
}

#[test]
fn a_closed_window_is_probed_with_backoff_until_it_opens() {
    let mut pair = Pair::established(2, config(), config());
    pair.ends[1].set_buffer_edge(0);
    pair.write(0, 200_000);
    pair.run_for(Duration::from_secs(1));
    let received = pair.ends[1].received;
    assert!(received <= 65_535, "{received} bytes were promised room");
    pair.trace = Some(Vec::new());
    pair.run_for(Duration::from_secs(120));
    assert_eq!(pair.ends[1].received, received);
    let probes = times(&pair, 0, |_| true);
    assert!((6..=12).contains(&probes.len()), "{probes:?}");
    let gaps: Vec<u64> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for pair in gaps.windows(2) {
        assert!(pair[1] >= pair[0] * 3 / 2, "no backoff: {gaps:?}");
    }
    assert_eq!(
        times(&pair, 1, |_| true).len(),
        probes.len(),
        "each is answered"
    );
    pair.ends[1].set_buffer_edge(1_000_000);
    pair.ends[1].tcb.request_ack();
    pair.run_until(Duration::from_secs(5), |pair| {
        pair.ends[1].received == 200_000
    });
}

#[test]
fn a_lost_window_update_is_made_good_by_a_probe() {
    let mut pair = Pair::established(3, config(), config());
    pair.ends[1].set_buffer_edge(0);
    pair.write(0, 200_000);
    pair.run_for(Duration::from_secs(2));
    pair.ends[1].set_buffer_edge(1_000_000);
    pair.run_until(Duration::from_secs(10), |pair| {
        pair.ends[1].received == 200_000
    });
}

#[test]
fn a_peer_gone_behind_a_closed_window_is_given_up() {
    let settings = TcbConfig {
        user_timeout: Some(Duration::from_secs(30)),
        ..config()
    };
    let mut pair = Pair::established(4, settings, config());
    pair.ends[1].set_buffer_edge(0);
    pair.write(0, 200_000);
    pair.run_for(Duration::from_secs(100));
    assert_eq!(pair.ends[0].tcb.state(), State::Established, "it answers");
    pair.drop = Some(Box::new(|_, _| true));
    pair.run_for(Duration::from_secs(100));
    assert_eq!(pair.ends[0].tcb.take_end(), Some(End::TimedOut));
}

#[test]
fn keepalive_probes_and_gives_up() {
    let keepalive = Keepalive {
        idle: Duration::from_secs(10),
        interval: Duration::from_secs(2),
        count: 3,
    };
    let mut pair = warmed_up(config(), config());
    pair.ends[0].tcb.set_keepalive(Some(keepalive));
    pair.run_for(Duration::from_secs(100));
    let probes = times(&pair, 0, |_| true);
    assert!((8..=10).contains(&probes.len()), "{probes:?}");
    let sequence = pair.trace.as_deref().unwrap_or_default()[0]
        .2
        .header
        .sequence;
    assert_eq!(sequence, ISS + 60_000, "one before SND.NXT");
    assert_eq!(pair.ends[0].tcb.state(), State::Established);
    pair.drop = Some(Box::new(|_, _| true));
    pair.trace = Some(Vec::new());
    pair.run_for(Duration::from_secs(30));
    assert_eq!(pair.ends[0].tcb.take_end(), Some(End::TimedOut));
    let silent = times(&pair, 0, |wire| !wire.has(TcpFlags::RST));
    assert_eq!(silent.len(), 3);
    let gaps: Vec<u64> = silent.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [2_000, 2_000]);
    assert_eq!(times(&pair, 0, |wire| wire.has(TcpFlags::RST)).len(), 1);
}

#[test]
fn the_user_timeout_ends_what_is_not_acknowledged() {
    let mut pair = warmed_up(config(), config());
    pair.ends[0]
        .tcb
        .set_user_timeout(Some(Duration::from_secs(5)));
    pair.drop = Some(Box::new(|_, _| true));
    pair.write(0, 100);
    let start = pair.now;
    pair.run_until(Duration::from_secs(10), |pair| {
        pair.ends[0].tcb.state() == State::Closed
    });
    assert_eq!(pair.now.saturating_since(start), Duration::from_secs(5));
    assert_eq!(pair.ends[0].tcb.take_end(), Some(End::TimedOut));
}

#[test]
fn without_a_user_timeout_retransmissions_are_counted() {
    let settings = TcbConfig {
        retransmissions: 4,
        ..config()
    };
    let mut pair = Pair::established(5, settings, config());
    pair.drop = Some(Box::new(|_, _| true));
    pair.write(0, 100);
    pair.run_until(Duration::from_secs(100), |pair| {
        pair.ends[0].tcb.state() == State::Closed
    });
    assert_eq!(pair.ends[0].timeouts, 5);
}

#[test]
fn small_windows_do_not_bring_small_segments() {
    let mut pair = Pair::established(6, config(), config());
    pair.ends[1].set_buffer_edge(0);
    pair.write(0, 400_000);
    pair.run_for(Duration::from_secs(1));
    pair.trace = Some(Vec::new());
    // The application reads 100 bytes at a time.
    let first = pair.ends[1].received;
    for read in 1..=300 {
        pair.ends[1].set_buffer_edge(first + 100 * read);
        pair.ends[1].tcb.request_ack();
        pair.run_for(Duration::from_millis(30));
    }
    let trace = pair.trace.take().unwrap_or_default();
    let data = trace
        .iter()
        .filter(|(_, from, wire)| *from == 0 && !wire.payload.is_empty());
    let sizes: Vec<usize> = data.map(|(_, _, wire)| wire.payload.len()).collect();
    assert!(sizes.len() >= 15, "{sizes:?}");
    // What scaling leaves of a window goes out small when nothing else has for a while.
    let small = sizes.iter().filter(|size| **size < 1_448).count();
    assert!(small <= 2, "{sizes:?}");
}
