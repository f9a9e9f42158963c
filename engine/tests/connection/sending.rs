//! Grants, release, reinjection and the data-level timer.

use crate::harness::{Home, SEGMENT, pattern};
use braid_engine::mptcp::connection::{ConnectionConfig, ConnectionError, ConnectionEvent, Role};
use braid_engine::mptcp::message::{Grant, SubflowEnd, ToHome, ToSubflow};
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::{DataNumber, MptcpOption, ResetReason};

fn config() -> ConnectionConfig {
    ConnectionConfig {
        send_buffer: 1 << 18,
        ..ConnectionConfig::default()
    }
}

/// Two subflows, the peer's window open.
fn two() -> Home {
    let mut home = Home::established(Role::Client, config(), 2);
    home.data_ack(0, 0, 1 << 20);
    home.forget();
    home
}

#[test]
fn the_fastest_subflow_is_filled_first_in_whole_segments() {
    let mut home = two();
    home.progress(0, |progress| progress.room = 2500);
    home.write(&pattern(10_000));
    assert_eq!(home.grants(), [(0, 0, 2000), (1, 2000, 8000)]);
}

#[test]
fn room_that_was_granted_is_not_granted_twice() {
    let mut home = Home::established(Role::Client, config(), 1);
    home.progress(0, |progress| progress.room = 3000);
    home.write(&pattern(5000));
    assert_eq!(home.grants(), [(0, 0, 3000)]);
    // A report from before the grant arrived says nothing new.
    home.progress(0, |progress| {
        progress.granted = 0;
        progress.room = 3000;
    });
    assert_eq!(home.grants(), []);
    home.progress(0, |progress| progress.room = 2000);
    assert_eq!(home.grants(), [(0, 3000, 2000)]);
}

#[test]
fn a_grant_fits_one_packet_of_64_kib() {
    let mut home = two();
    home.write(&pattern(100_000));
    let grants = home.grants();
    assert_eq!(grants[0], (0, 0, 65_000));
}

/// One subflow whose handshake gave a window of `window` bytes.
fn with_window(window: u32) -> Home {
    let mut home = Home::opening(Role::Client, config());
    home.establish_capable(false);
    home.deliver(0, ToHome::Confirmed);
    home.progress(0, |progress| progress.window = window);
    home
}

fn granted(home: &mut Home) -> u64 {
    home.grants().iter().map(|grant| grant.2).sum()
}

#[test]
fn the_window_of_the_handshake_stands_until_the_first_data_ack() {
    let mut home = with_window(4000);
    home.write(&pattern(1 << 17));
    assert_eq!(granted(&mut home), 4000);
    home.progress(0, |progress| progress.window = 9000);
    assert_eq!(
        granted(&mut home),
        0,
        "a window without a DATA_ACK says nothing"
    );
    home.data_ack(0, 0, 6000);
    assert_eq!(granted(&mut home), 2000);
}

#[test]
fn the_largest_window_edge_counts() {
    let mut home = with_window(4000);
    home.write(&pattern(1 << 17));
    home.data_ack(0, 0, 8000);
    assert_eq!(granted(&mut home), 8000);
    home.data_ack(0, 4000, 2000);
    home.data_ack(0, 0, 1000);
    home.data_ack(0, 4000, 6000);
    assert_eq!(granted(&mut home), 2000);
}

#[test]
fn data_acks_of_what_was_never_sent_are_ignored() {
    let mut home = two();
    home.write(&pattern(1000));
    home.data_ack(0, 1001, 1 << 20);
    assert_eq!(home.counters.bad_data_ack, 1);
    assert_eq!(home.connection.info().bytes_acknowledged, 0);
}

#[test]
fn short_data_acks_are_widened() {
    let mut home = two();
    home.write(&pattern(1000));
    let data_ack = DataNumber::Short(home.local(1000).low());
    home.deliver(
        0,
        ToHome::DataAck {
            data_ack,
            window: 9000,
        },
    );
    assert_eq!(home.connection.info().bytes_acknowledged, 1000);
}

#[test]
fn bytes_stay_until_acknowledged_at_both_levels() {
    let mut home = two();
    home.write(&pattern(4000));
    home.data_ack(0, 4000, 1 << 20);
    assert_eq!(
        home.connection.send_buffer().len(),
        4000,
        "the subflow has not"
    );
    home.progress(0, |progress| progress.acknowledged = 1500);
    assert_eq!(home.connection.send_buffer().len(), 2500);
    home.progress(0, |progress| progress.acknowledged = 4000);
    assert_eq!(home.connection.send_buffer().len(), 0);

    home.write(&pattern(1000));
    home.progress(0, |progress| progress.acknowledged = 5000);
    assert_eq!(
        home.connection.send_buffer().len(),
        1000,
        "the peer has not"
    );
    home.data_ack(0, 5000, 1 << 20);
    assert_eq!(home.connection.send_buffer().len(), 0);
}

#[test]
fn a_stalled_subflow_s_data_travels_on_the_other_and_new_data_avoids_it() {
    let mut home = two();
    home.write(&pattern(3000));
    assert_eq!(home.grants(), [(0, 0, 3000)]);
    home.deliver(0, ToHome::Stalled);
    assert_eq!(home.grants(), [(1, 0, 3000)]);
    assert_eq!(home.counters.reinjected_bytes, 3000);
    home.write(&pattern(1000));
    assert_eq!(home.grants(), [(1, 3000, 1000)]);
    // A second timeout repeats nothing that the other carries already.
    home.deliver(0, ToHome::Stalled);
    assert_eq!(home.grants(), []);
    // It recovers and is the fastest again.
    home.progress(0, |progress| progress.acknowledged = 3000);
    home.data_ack(0, 4000, 1 << 20);
    home.write(&pattern(1000));
    assert_eq!(home.grants(), [(0, 4000, 1000)]);
}

#[test]
fn what_was_repeated_in_part_is_repeated_in_full_when_its_path_stalls() {
    let mut home = with_window(5000);
    home.join(1);
    home.progress(0, |progress| progress.room = 0);
    home.progress(1, |_| {});
    home.write(&pattern(20_000));
    home.forget();
    home.progress(0, |_| {});
    assert_eq!(
        home.grants(),
        [(0, 0, SEGMENT.into())],
        "the head, because the window blocks"
    );
    home.deliver(1, ToHome::Stalled);
    assert_eq!(home.grants(), [(0, 1000, 4000)]);
}

#[test]
fn a_sole_stalled_subflow_repeats_by_itself_until_another_joins() {
    let mut home = Home::established(Role::Server, config(), 1);
    home.data_ack(0, 0, 1 << 20);
    home.write(&pattern(3000));
    home.forget();
    home.deliver(0, ToHome::Stalled);
    assert_eq!(home.grants(), []);
    home.join(1);
    home.progress(1, |_| {});
    assert_eq!(home.grants(), [(1, 0, 3000)]);
}

#[test]
fn what_an_ended_subflow_carried_travels_on_the_other() {
    let mut home = two();
    home.write(&pattern(3000));
    home.progress(0, |progress| progress.acknowledged = 1000);
    home.data_ack(0, 1000, 1 << 20);
    home.forget();
    home.end(0, SubflowEnd::TimedOut);
    assert_eq!(home.grants(), [(1, 1000, 2000)]);
}

#[test]
fn a_link_that_goes_down_moves_its_data_and_comes_back_with_a_probe() {
    let mut home = two();
    home.write(&pattern(3000));
    home.forget();
    let local = [10, 0, 0, 1].into();
    home.call(|connection, cx| connection.link_down(local, cx));
    assert_eq!(home.grants(), [(1, 0, 3000)]);
    home.call(|connection, cx| connection.link_up(local, cx));
    let sent = home.sent();
    assert!(matches!(sent[..], [(0, ToSubflow::Probe)]), "{sent:?}");
}

#[test]
fn backups_rest_while_a_regular_subflow_lives() {
    let mut home = two();
    home.deliver(0, ToHome::Option(MptcpOption::Priority { backup: true }));
    home.write(&pattern(1000));
    assert_eq!(home.grants(), [(1, 0, 1000)]);
    home.data_ack(1, 1000, 1 << 20);
    home.end(1, SubflowEnd::TimedOut);
    home.write(&pattern(1000));
    assert_eq!(home.grants(), [(0, 1000, 1000)]);
}

#[test]
fn a_slow_subflow_keeps_a_copy_so_that_the_writer_can_go_on() {
    let mut home = Home::established(
        Role::Client,
        ConnectionConfig {
            send_buffer: 8000,
            ..config()
        },
        2,
    );
    home.progress(0, |progress| progress.room = 1000);
    home.data_ack(0, 0, 1 << 20);
    home.write(&pattern(9000));
    assert_eq!(home.grants(), [(0, 0, 1000), (1, 1000, 7000)]);
    home.progress(1, |progress| progress.acknowledged = 7000);
    home.data_ack(1, 8000, 1 << 20);
    let until = home.local(8000);
    let asked = home
        .sent()
        .into_iter()
        .find_map(|(to, message)| match message {
            ToSubflow::Retain { until } => Some((to, until)),
            _ => None,
        });
    assert_eq!(asked, Some((0, until)));
    assert_eq!(home.connection.send_buffer().len(), 8000);
    home.deliver(0, ToHome::Retained);
    assert_eq!(home.connection.send_buffer().len(), 0);
    assert!(home.events().contains(&ConnectionEvent::Writable));
}

#[test]
fn copies_on_slow_subflows_are_no_larger_than_the_send_buffer() {
    let config = ConnectionConfig {
        send_buffer: 8000,
        ..config()
    };
    let mut home = Home::established(Role::Client, config, 2);
    home.data_ack(0, 0, 1 << 20);
    let mut asked = Vec::new();
    let mut offset = 0;
    for _ in 0..3 {
        // Each time half of the buffer goes to a subflow that never acknowledges it.
        home.progress(0, |progress| progress.room = 4000);
        home.write(&pattern(8000));
        let granted: u64 = home.grants().iter().map(|(_, _, length)| length).sum();
        offset += granted;
        home.progress(1, |progress| progress.acknowledged += 4000);
        home.data_ack(1, offset, 1 << 20);
        let retain = home
            .sent()
            .iter()
            .any(|(to, message)| *to == 0 && matches!(message, ToSubflow::Retain { .. }));
        asked.push(retain);
        home.deliver(0, ToHome::Retained);
    }
    assert_eq!(asked, [true, true, false]);
}

/// Two subflows of which 0 holds more bytes than the send buffer, all of which the peer has by way
/// of the other; nothing is in flight but those, and no copy of them is allowed.
fn blocked_by_one() -> Home {
    let config = ConnectionConfig {
        send_buffer: 8000,
        ..config()
    };
    let mut home = Home::established(Role::Client, config, 2);
    home.data_ack(0, 0, 1 << 20);
    let mut offset = 0;
    for _ in 0..3 {
        home.progress(0, |progress| progress.room = 4000);
        home.write(&pattern(8000));
        offset += home.grants().iter().map(|grant| grant.2).sum::<u64>();
        home.progress(1, |progress| progress.acknowledged += 4000);
        home.data_ack(1, offset, 1 << 20);
        home.deliver(0, ToHome::Retained);
    }
    let written = home.call(|connection, cx| connection.write(&pattern(8000), cx));
    assert!(written.is_err() || written == Ok(4000), "{written:?}");
    home.progress(1, |progress| progress.acknowledged = progress.granted);
    home.forget();
    home
}

#[test]
fn a_subflow_that_goes_stale_with_more_than_can_be_copied_is_given_up_at_once() {
    let stale: [fn(&mut Home); 2] = [
        |home| home.deliver(0, ToHome::Stalled),
        |home| home.call(|connection, cx| connection.link_down([10, 0, 0, 1].into(), cx)),
    ];
    for make_stale in stale {
        let mut home = blocked_by_one();
        make_stale(&mut home);
        // No acknowledgment is to come on the other, so this is the last chance.
        let reset = home
            .sent()
            .into_iter()
            .find_map(|(to, message)| match message {
                ToSubflow::Reset { options } => Some((to, options)),
                _ => None,
            });
        let transient = MptcpOption::Reset {
            transient: true,
            reason: ResetReason::UnacceptablePerformance,
        };
        let (to, options) = reset.expect("a subflow is given up");
        assert_eq!((to, &options[..]), (0, &[transient][..]));
        home.end(
            0,
            SubflowEnd::ResetHere(Some(ResetReason::UnacceptablePerformance)),
        );
        assert!(home.events().contains(&ConnectionEvent::Writable));
    }
}

#[test]
fn the_head_is_repeated_on_a_faster_path_when_the_window_blocks_once_a_round_trip() {
    let mut home = with_window(5000);
    home.join(1);
    home.progress(0, |progress| progress.room = 0);
    home.progress(1, |_| {});
    home.forget();
    home.write(&pattern(20_000));
    assert_eq!(home.grants(), [(1, 0, 5000)], "only the slow one has room");
    home.progress(0, |_| {});
    let sent = home.sent();
    let [
        (0, ToSubflow::Grant(Grant { length, .. })),
        (1, ToSubflow::SlowDown),
    ] = sent[..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!(u32::from(length), SEGMENT);
    home.progress(0, |_| {});
    assert!(home.sent().is_empty(), "it travels already");
    home.data_ack(0, 1000, 4000);
    home.progress(0, |progress| progress.acknowledged = 1000);
    assert_eq!(home.grants(), [], "not twice in a round trip");
    home.now += Duration::from_millis(11);
    home.progress(0, |_| {});
    let sent = home.sent();
    let slowed = |(_, message): &(u64, ToSubflow)| matches!(message, ToSubflow::SlowDown);
    assert!(!sent.iter().any(slowed), "not twice in a round trip of its");
    assert_eq!(home.counters.opportunistic_retransmissions, 2);
}

#[test]
fn acknowledged_on_the_subflow_but_not_at_data_level_is_repeated_after_a_timeout() {
    let mut home = two();
    home.write(&pattern(2000));
    home.progress(0, |progress| progress.acknowledged = 2000);
    home.forget();
    home.pass(Duration::from_millis(299));
    assert_eq!(home.grants(), []);
    home.pass(Duration::from_millis(2));
    assert_eq!(home.grants(), [(0, 0, 2000)]);
    assert_eq!(home.counters.data_timeouts, 1);
}

#[test]
fn a_peer_that_never_acknowledges_data_is_given_up() {
    let mut home = two();
    home.write(&pattern(2000));
    let mut acknowledged = 0;
    for _ in 0..40 {
        let granted: u64 = home
            .grants()
            .iter()
            .filter(|grant| grant.0 == 0)
            .map(|grant| grant.2)
            .sum();
        acknowledged += granted;
        if home.connection.failure().is_some() {
            break;
        }
        home.progress(0, |progress| progress.acknowledged = acknowledged);
        home.pass(Duration::from_secs(60));
    }
    assert_eq!(home.connection.failure(), Some(ConnectionError::TimedOut));
}

#[test]
fn a_closed_window_is_probed_with_growing_intervals() {
    let mut home = with_window(0);
    home.data_ack(0, 0, 0);
    home.write(&pattern(2000));
    assert_eq!(home.grants(), []);
    let mut probes = Vec::new();
    let start = home.now;
    for _ in 0..5000 {
        home.pass(Duration::from_millis(10));
        for (_, message) in home.sent() {
            assert!(matches!(message, ToSubflow::Probe), "{message:?}");
            probes.push(home.now.saturating_since(start).as_millis() / 10 * 10);
        }
    }
    assert_eq!(probes[..4], [300, 900, 2100, 4500]);
    home.data_ack(0, 0, 1 << 20);
    assert_eq!(home.grants(), [(0, 0, 2000)]);
}

#[test]
fn small_writes_come_together_unless_nodelay_is_set() {
    let mut home = two();
    home.write(&pattern(100));
    home.write(&pattern(200));
    home.write(&pattern(300));
    assert_eq!(home.grants(), [(0, 0, 100)], "the first goes at once");
    home.data_ack(0, 100, 1 << 20);
    assert_eq!(home.grants(), [(0, 100, 500)]);
    home.call(|connection, cx| connection.set_nodelay(true, cx));
    home.write(&pattern(7));
    assert_eq!(home.grants(), [(0, 600, 7)]);
}

#[test]
fn a_corked_connection_sends_whole_segments_only() {
    let mut home = two();
    home.call(|connection, cx| connection.set_cork(true, cx));
    home.write(&pattern(2500));
    assert_eq!(home.grants(), [(0, 0, 2000)]);
    home.call(|connection, cx| connection.set_cork(false, cx));
    assert_eq!(home.grants(), [(0, 2000, 500)]);
}

#[test]
fn a_writer_that_found_no_room_is_told_when_there_is() {
    let mut home = Home::established(
        Role::Client,
        ConnectionConfig {
            send_buffer: 4000,
            ..config()
        },
        1,
    );
    home.data_ack(0, 0, 1 << 20);
    assert_eq!(home.write(&pattern(5000)), 4000);
    home.data_ack(0, 4000, 1 << 20);
    assert!(!home.events().contains(&ConnectionEvent::Writable));
    home.progress(0, |progress| progress.acknowledged = 4000);
    assert!(home.events().contains(&ConnectionEvent::Writable));
}

#[test]
fn data_that_got_lost_behind_its_subflow_is_sent_again_though_a_stale_one_holds_older_data() {
    let mut home = Home::established(Role::Client, ConnectionConfig::default(), 2);
    home.data_ack(0, 0, 1 << 20);
    home.write(&pattern(1000));
    let carrier = home.grants()[0].0;
    home.deliver(carrier, ToHome::Stalled);
    let other = 1 - carrier;
    home.forget();
    // The other brings the first bytes, and what follows; the peer acknowledges that on the subflow only.
    home.progress(other, |progress| progress.acknowledged = 1000);
    home.data_ack(other, 1000, 1 << 20);
    home.write(&pattern(500));
    home.progress(other, |progress| progress.acknowledged = 1500);
    home.forget();
    home.pass(Duration::from_secs(5));
    let again = home.grants();
    assert!(
        again.iter().any(|(to, at, _)| (*to, *at) == (other, 1000)),
        "{again:?}"
    );
}
