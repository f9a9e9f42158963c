//! Reassembly by data sequence number and the receive window.

use crate::harness::{Home, handle, pattern};
use braid_engine::mptcp::connection::{ConnectionConfig, ConnectionEvent, IoError, Role};
use braid_engine::mptcp::message::ToSubflow;
use proptest::prelude::*;

fn small_buffer() -> ConnectionConfig {
    ConnectionConfig {
        receive_buffer: 4096,
        ..ConnectionConfig::default()
    }
}

proptest! {
    /// Whatever the order, the repetitions, the overlaps and the subflows, the application reads
    /// the peer's stream, and the window edge never moves left.
    #[test]
    fn the_stream_is_exact(
        pieces in proptest::collection::vec((0usize..9000, 1usize..1500, 0u64..4), 1..120),
        read_every in 1usize..9,
    ) {
        let stream = pattern(9000);
        let mut home = Home::established(Role::Server, small_buffer(), 4);
        let mut read = Vec::new();
        let mut edge = home.connection.published().window_edge;
        let in_order = (0..stream.len()).step_by(900).map(|start| (start, 900, 0));
        for (turn, (start, length, subflow)) in pieces.into_iter().chain(in_order).enumerate() {
            let end = (start + length).min(stream.len());
            home.data(subflow, start as u64, &stream[start..end]);
            if turn % read_every == 0 || length == 900 {
                read.extend(home.read_all());
                prop_assert!(stream.starts_with(&read));
            }
            let now = home.connection.published().window_edge;
            prop_assert!(!now.is_before(edge));
            edge = now;
            prop_assert!(home.connection.readable() <= 2 * 4096);
        }
        read.extend(home.read_all());
        // The tail of a piece that lay beyond the window is the peer's to repeat.
        let received = home.connection.info().bytes_received as usize;
        prop_assert_eq!(&read[..], &stream[..received]);
        for start in (received..stream.len()).step_by(900) {
            home.data(1, start as u64, &stream[start..stream.len().min(start + 900)]);
            read.extend(home.read_all());
        }
        prop_assert_eq!(read, stream);
    }
}

#[test]
fn data_beyond_twice_the_window_is_dropped_and_counted() {
    let mut home = Home::established(Role::Server, small_buffer(), 1);
    home.data(0, 4000, &pattern(200));
    assert_eq!(home.counters.beyond_window_bytes, 0);
    home.data(0, 8100, &pattern(200));
    assert_eq!(home.counters.beyond_window_bytes, 108);
    home.data(0, 1 << 40, &pattern(10));
    assert_eq!(home.counters.beyond_window_bytes, 118);
    assert_eq!(home.connection.readable(), 0);
}

#[test]
fn data_acks_follow_the_order_and_a_long_dsn_makes_them_long() {
    let mut home = Home::established(Role::Server, small_buffer(), 2);
    assert!(!home.connection.published().long_data_ack);
    home.data(1, 100, &pattern(50));
    assert_eq!(home.connection.published().data_ack, home.remote(0));
    assert!(home.connection.published().long_data_ack);
    home.data(0, 0, &pattern(100));
    assert_eq!(home.connection.published().data_ack, home.remote(150));
    assert_eq!(home.events(), [ConnectionEvent::Readable]);
}

#[test]
fn a_reader_that_frees_enough_opens_the_window_on_every_subflow() {
    let mut home = Home::established(Role::Server, small_buffer(), 2);
    home.data(0, 0, &pattern(4096));
    home.forget();
    let mut piece = [0; 1000];
    home.call(|connection, cx| connection.read(&mut piece, cx))
        .expect("bytes");
    assert!(home.sent().is_empty(), "one segment is not worth an update");
    home.call(|connection, cx| connection.read(&mut piece, cx))
        .expect("bytes");
    let sent = home.sent();
    let updated: Vec<_> = sent
        .iter()
        .map(|(to, message)| {
            assert!(matches!(message, ToSubflow::Acknowledge));
            *to
        })
        .collect();
    assert_eq!(updated, [0, 1]);
    assert_eq!(home.connection.published().window_edge, home.remote(6096));
}

#[test]
fn the_end_of_the_stream_waits_for_all_bytes_before_it() {
    let mut home = Home::established(Role::Server, small_buffer(), 2);
    home.data_fin(1, 300);
    home.data(0, 100, &pattern(200));
    assert_eq!(home.events(), []);
    home.data(0, 0, &pattern(100));
    let events = home.events();
    assert!(
        events.contains(&ConnectionEvent::PeerFinished),
        "{events:?}"
    );
    assert_eq!(home.connection.published().data_ack, home.remote(301));
    assert_eq!(home.read_all().len(), 300);
    let end = home.call(|connection, cx| connection.read(&mut [0; 9], cx));
    assert_eq!(end, Ok(0));
}

#[test]
fn a_data_fin_that_contradicts_the_data_is_ignored() {
    let mut home = Home::established(Role::Server, small_buffer(), 1);
    home.data(0, 100, &pattern(200));
    home.data_fin(0, 150);
    assert_eq!(home.counters.bad_data_fin, 1);
    home.data_fin(0, 300);
    home.data_fin(0, 400);
    assert_eq!(home.counters.bad_data_fin, 2);
    home.data(0, 300, &pattern(50));
    assert_eq!(home.counters.beyond_window_bytes, 50, "past the end");
    home.data(0, 0, &pattern(100));
    assert!(home.connection.peer_finished());
}

#[test]
fn a_repeated_data_fin_is_answered_again() {
    let mut home = Home::established(Role::Server, small_buffer(), 1);
    home.data_fin(0, 0);
    home.forget();
    home.data_fin(0, 0);
    let sent = home.sent();
    assert!(
        matches!(sent[..], [(0, ToSubflow::Acknowledge)]),
        "{sent:?}"
    );
    assert_eq!(home.connection.published().data_ack, home.remote(1));
}

#[test]
fn nothing_to_read_would_block() {
    let mut home = Home::established(Role::Server, small_buffer(), 1);
    let read = home.call(|connection, cx| connection.read(&mut [0; 9], cx));
    assert_eq!(read, Err(IoError::WouldBlock));
}

#[test]
fn a_stranger_is_not_heard() {
    let mut home = Home::established(Role::Server, small_buffer(), 1);
    home.data(9, 0, &pattern(10));
    assert_eq!(home.connection.readable(), 0);
    assert!(
        home.connection
            .subflows()
            .all(|info| info.handle != handle(9))
    );
}
