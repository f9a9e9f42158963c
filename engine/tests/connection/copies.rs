//! Copies of what was received before that are still under way when a connection falls back
//! (RFC 8684 section 3.7): an infinite mapping holds from a data sequence number on, and what was
//! sent before it keeps the number it was sent with.

use crate::harness::{Home, pattern};
use braid_engine::mptcp::connection::{ConnectionConfig, ConnectionError, Role};
use braid_engine::mptcp::message::{Numbering, SubflowEnd, ToHome, ToSubflow};
use braid_engine::wire::mptcp_option::MptcpOption;

const STREAM: usize = 3_000;

/// The peer's first kilobyte came on subflow 1, which died; subflow 0 alone falls back.
fn survivor_that_fell_back() -> Home {
    let mut home = Home::established(Role::Server, ConnectionConfig::default(), 2);
    home.data(1, 0, &pattern(STREAM)[..1_000]);
    home.end(1, SubflowEnd::TimedOut);
    let data_sequence = home.local(0);
    home.deliver(0, ToHome::Option(MptcpOption::Fail { data_sequence }));
    assert!(home.connection.info().fallback.is_some());
    home.forget();
    home
}

fn is_reset(sent: &[(u64, ToSubflow)], on: u64) -> bool {
    let reset =
        |(to, message): &(u64, ToSubflow)| *to == on && matches!(message, ToSubflow::Reset { .. });
    sent.iter().any(reset)
}

#[test]
fn copies_that_come_after_a_fallback_are_known_by_their_numbers() {
    let stream = pattern(STREAM);
    let mut home = survivor_that_fell_back();
    home.data(0, 0, &stream[..700]);
    // Half of it is a copy.
    home.data(0, 700, &stream[700..1_300]);
    home.data(0, 1_300, &stream[1_300..2_000]);
    home.data_by_order(0, &stream[2_000..]);
    assert_eq!(home.read_all(), stream);
    assert_eq!(home.counters.duplicate_bytes, 1_000);
}

#[test]
fn a_reader_that_is_gone_does_not_mind_copies_after_a_fallback() {
    let mut home = survivor_that_fell_back();
    assert_eq!(home.read_all().len(), 1_000);
    home.call(|connection, cx| connection.close(cx));
    home.data(0, 0, &pattern(STREAM)[..1_000]);
    assert_eq!(home.connection.failure(), None);
    home.data(0, 1_000, &pattern(STREAM)[1_000..]);
    assert!(home.connection.failure().is_some() || is_reset(&home.sent(), 0));
}

#[test]
fn a_hole_that_nobody_can_fill_any_more_resets_the_connection() {
    let stream = pattern(STREAM);
    let mut home = survivor_that_fell_back();
    // Byte 1000 died with the other subflow.
    home.data(0, 1_500, &stream[1_500..2_000]);
    assert!(is_reset(&home.sent(), 0));
    assert_eq!(home.read_all(), stream[..1_000]);
    // What follows is not taken for it.
    home.data_by_order(0, &stream[2_000..]);
    assert!(home.read_all().is_empty());
    home.end(0, SubflowEnd::ResetHere(None));
    assert_eq!(home.connection.failure(), Some(ConnectionError::Reset));
}

#[test]
fn a_survivor_that_still_carries_copies_never_falls_back() {
    let infinite = |home: &Home| ToHome::FellBack {
        reason: braid_engine::mptcp::message::FallbackReason::PeerFellBack,
        next: home.remote(0),
    };
    let failed = |home: &Home| ToHome::ChecksumFailed {
        data_sequence: home.remote(0),
    };
    let fail = |home: &Home| {
        let data_sequence = home.local(0);
        ToHome::Option(MptcpOption::Fail { data_sequence })
    };
    let signs: [fn(&Home) -> ToHome; 3] = [infinite, failed, fail];
    for sign in signs {
        for acknowledged in [600, 1_000] {
            let mut home = Home::established(Role::Server, ConnectionConfig::default(), 2);
            home.data_ack(0, 0, 1 << 20);
            home.write(&pattern(1_000));
            home.deliver(0, ToHome::Stalled);
            assert_eq!(home.grants(), [(0, 0, 1_000), (1, 0, 1_000)]);
            // The first came through after all, and its subflow died.
            home.data_ack(0, acknowledged, 1 << 20);
            home.end(0, SubflowEnd::TimedOut);
            home.forget();
            let sign = sign(&home);
            let case = format!("{sign:?}, {acknowledged}");
            home.deliver(1, sign);
            assert_eq!(home.connection.info().fallback, None, "{case}");
            assert!(is_reset(&home.sent(), 1), "{case}");
        }
    }
}

#[test]
fn what_was_unmapped_goes_by_order() {
    let mut home = survivor_that_fell_back();
    let stream = pattern(STREAM);
    for part in stream[1_000..].chunks(500) {
        let data_sequence = home.remote(0);
        home.data_as(0, data_sequence, part, Numbering::Identity);
    }
    assert_eq!(home.read_all(), stream);
}
