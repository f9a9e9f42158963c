//! The end of a connection in every order (RFC 8684 sections 3.3.3 and 3.5).

use crate::harness::{Home, LOCAL_KEY, REMOTE_KEY, handle, path, pattern};
use braid_engine::mptcp::connection::{
    ConnectionConfig, ConnectionError, ConnectionEvent, DataState, FastcloseForm, IoError, Request,
    Role,
};
use braid_engine::mptcp::message::{SubflowEnd, ToHome, ToSubflow};
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::{Key, MptcpOption};

fn home(subflows: u8) -> Home {
    let mut home = Home::established(Role::Client, ConnectionConfig::default(), subflows);
    home.data_ack(0, 0, 1 << 20);
    home.forget();
    home
}

fn data_fins(home: &mut Home) -> Vec<u64> {
    let first = home.local(0);
    home.sent()
        .into_iter()
        .filter_map(|(_, message)| match message {
            ToSubflow::DataFin { data_sequence } => Some(data_sequence.offset_from(first)),
            _ => None,
        })
        .collect()
}

/// Subflows told to send FIN since the last look.
fn closed_subflows(home: &mut Home) -> Vec<u64> {
    home.sent()
        .into_iter()
        .filter_map(|(to, message)| matches!(message, ToSubflow::Close).then_some(to))
        .collect()
}

fn end_all(home: &mut Home, subflows: u64) {
    for n in 0..subflows {
        home.end(n, SubflowEnd::Closed);
    }
    assert_eq!(home.connection.state(), DataState::Closed);
    assert_eq!(home.connection.next_timeout(), None);
}

#[test]
fn this_side_closes_first() {
    let mut home = home(2);
    home.write(&pattern(500));
    home.call(|connection, cx| connection.close(cx));
    assert_eq!(data_fins(&mut home), [500]);
    assert_eq!(home.connection.state(), DataState::FinWait1);
    home.data_ack(0, 501, 1 << 20);
    assert_eq!(home.connection.state(), DataState::FinWait2);
    home.data_fin(1, 0);
    assert_eq!(home.connection.state(), DataState::TimeWait);
    assert_eq!(closed_subflows(&mut home), [0, 1]);
    assert!(home.events().contains(&ConnectionEvent::Closed(Ok(()))));
    end_all(&mut home, 2);
    assert_eq!(home.requests(), [Request::Gone]);
}

#[test]
fn the_peer_closes_first() {
    let mut home = home(2);
    home.data_fin(0, 0);
    assert_eq!(home.connection.state(), DataState::CloseWait);
    home.write(&pattern(500));
    home.call(|connection, cx| connection.close(cx));
    assert_eq!(data_fins(&mut home), [500]);
    assert_eq!(home.connection.state(), DataState::LastAck);
    home.data_ack(0, 501, 1 << 20);
    assert_eq!(closed_subflows(&mut home), [0, 1]);
    end_all(&mut home, 2);
    assert_eq!(home.requests(), [Request::Gone]);
}

#[test]
fn both_close_at_the_same_time() {
    let mut home = home(1);
    home.call(|connection, cx| connection.close(cx));
    home.data_fin(0, 0);
    assert_eq!(home.connection.state(), DataState::Closing);
    home.data_ack(0, 1, 1 << 20);
    assert_eq!(home.connection.state(), DataState::TimeWait);
    end_all(&mut home, 1);
}

#[test]
fn a_lost_data_fin_is_sent_again() {
    let mut home = home(1);
    home.call(|connection, cx| connection.shutdown_write(cx));
    assert_eq!(data_fins(&mut home), [0]);
    home.pass(Duration::from_millis(301));
    assert_eq!(data_fins(&mut home), [0]);
    home.pass(Duration::from_millis(601));
    assert_eq!(data_fins(&mut home), [0]);
    home.data_ack(0, 1, 1 << 20);
    home.pass(Duration::from_secs(30));
    assert_eq!(data_fins(&mut home), [] as [u64; 0]);
}

#[test]
fn the_data_fin_follows_all_data() {
    let mut home = home(1);
    home.progress(0, |progress| progress.room = 1000);
    home.write(&pattern(3000));
    home.call(|connection, cx| connection.shutdown_write(cx));
    assert_eq!(data_fins(&mut home), [] as [u64; 0]);
    home.progress(0, |progress| progress.room = 9000);
    assert_eq!(data_fins(&mut home), [3000]);
    let late = home.call(|connection, cx| connection.write(b"late", cx));
    assert_eq!(late, Err(IoError::Shutdown));
}

#[test]
fn unread_bytes_make_a_close_an_abort() {
    let mut home = home(1);
    home.data(0, 0, &pattern(10));
    home.call(|connection, cx| connection.close(cx));
    assert_eq!(home.counters.fastclose_sent, 1);
    assert_eq!(home.connection.state(), DataState::Closed);
}

#[test]
fn bytes_for_nobody_abort_the_connection() {
    let mut home = home(1);
    home.call(|connection, cx| connection.close(cx));
    home.data(0, 0, &pattern(10));
    assert_eq!(home.counters.fastclose_sent, 1);
}

#[test]
fn a_fastclose_by_reset_is_on_every_subflow() {
    let mut home = home(3);
    home.call(|connection, cx| connection.abort(cx));
    let sent = home.sent();
    assert_eq!(sent.len(), 3);
    for (_, message) in sent {
        let ToSubflow::Reset { options } = message else {
            panic!("{message:?}");
        };
        let receiver_key = REMOTE_KEY;
        assert_eq!(options[..], [MptcpOption::Fastclose { receiver_key }]);
    }
    for n in 0..3 {
        home.end(n, SubflowEnd::ResetHere(None));
    }
    assert_eq!(home.requests(), [Request::Gone]);
}

#[test]
fn a_fastclose_by_acknowledgment_is_repeated_until_the_peer_resets() {
    let config = ConnectionConfig {
        fastclose: FastcloseForm::Acknowledgment,
        ..ConnectionConfig::default()
    };
    let mut home = Home::established(Role::Client, config, 2);
    home.call(|connection, cx| connection.abort(cx));
    let fastclose = |message: &ToSubflow| matches!(message, ToSubflow::Signal(MptcpOption::Fastclose { receiver_key }) if *receiver_key == REMOTE_KEY);
    let sent = home.sent();
    assert!(
        sent.iter()
            .any(|(to, message)| *to == 0 && fastclose(message))
    );
    assert!(
        sent.iter()
            .any(|(to, message)| *to == 1 && matches!(message, ToSubflow::Reset { .. }))
    );
    home.end(1, SubflowEnd::ResetHere(None));
    home.pass(Duration::from_millis(301));
    let sent = home.sent();
    assert!(
        matches!(&sent[..], [(0, message)] if fastclose(message)),
        "{sent:?}"
    );
    home.end(
        0,
        SubflowEnd::ResetByPeer {
            reason: None,
            transient: false,
        },
    );
    assert_eq!(home.requests(), [Request::Gone]);
    assert_eq!(home.connection.next_timeout(), None);
}

#[test]
fn a_fastclose_that_is_never_answered_ends_in_a_reset() {
    let config = ConnectionConfig {
        fastclose: FastcloseForm::Acknowledgment,
        ..ConnectionConfig::default()
    };
    let mut home = Home::established(Role::Client, config, 1);
    home.call(|connection, cx| connection.abort(cx));
    home.pass(Duration::from_secs(60));
    let sent = home.sent();
    let signals = sent
        .iter()
        .filter(|(_, message)| matches!(message, ToSubflow::Signal(_)));
    assert_eq!(signals.count(), 4);
    assert!(matches!(sent.last(), Some((0, ToSubflow::Reset { .. }))));
}

#[test]
fn the_peer_s_fastclose_resets_everything() {
    let mut home = home(2);
    home.data(0, 0, &pattern(10));
    let option = |receiver_key| ToHome::Option(MptcpOption::Fastclose { receiver_key });
    home.deliver(0, option(Key(1)));
    assert_eq!(
        home.connection.state(),
        DataState::Established,
        "a wrong key"
    );
    home.forget();
    home.deliver(0, option(LOCAL_KEY));
    let closed = ConnectionEvent::Closed(Err(ConnectionError::Reset));
    assert_eq!(home.events(), [closed]);
    let sent = home.sent();
    assert!(
        sent.iter()
            .all(|(_, message)| matches!(message, ToSubflow::Reset { .. }))
    );
    assert_eq!(sent.len(), 2);
    assert_eq!(home.read_all().len(), 10, "what had arrived can be read");
    let end = home.call(|connection, cx| connection.read(&mut [0; 9], cx));
    assert_eq!(end, Err(IoError::Failed(ConnectionError::Reset)));
}

#[test]
fn a_connection_waits_for_a_join_after_its_last_subflow() {
    let mut home = Home::established(Role::Server, ConnectionConfig::default(), 1);
    home.data_ack(0, 0, 1 << 20);
    home.write(&pattern(1000));
    home.forget();
    home.end(0, SubflowEnd::TimedOut);
    home.pass(Duration::from_secs(59));
    assert_eq!(home.connection.failure(), None);
    home.join(1);
    home.progress(1, |_| {});
    assert_eq!(home.grants(), [(1, 0, 1000)]);
    home.pass(Duration::from_secs(10));
    assert_eq!(home.connection.failure(), None);
}

#[test]
fn a_connection_that_nobody_joins_is_lost() {
    let mut home = Home::established(Role::Server, ConnectionConfig::default(), 1);
    home.end(0, SubflowEnd::TimedOut);
    home.pass(Duration::from_secs(61));
    assert_eq!(home.connection.failure(), Some(ConnectionError::PathsLost));
    home.call(|connection, cx| connection.close(cx));
    assert_eq!(home.requests(), [Request::Gone]);
}

#[test]
fn joins_that_fail_do_not_prolong_the_wait_for_one() {
    for role in [Role::Client, Role::Server] {
        let mut home = Home::established(role, ConnectionConfig::default(), 1);
        home.end(0, SubflowEnd::TimedOut);
        for attempt in 1..4 {
            home.connection.join_accepted(handle(attempt), path(1));
            home.pass(Duration::from_secs(15));
            home.end(attempt, SubflowEnd::TimedOut);
            assert_eq!(home.connection.failure(), None);
        }
        home.connection.join_accepted(handle(4), path(1));
        home.forget();
        home.pass(Duration::from_secs(16));
        assert_eq!(home.connection.failure(), Some(ConnectionError::PathsLost));
        let sent = home.sent();
        assert!(
            matches!(&sent[..], [(4, ToSubflow::Reset { .. })]),
            "the join under way is given up: {sent:?}"
        );
    }
}

#[test]
fn a_peer_that_never_finishes_is_left_after_the_close_timeout() {
    let mut home = home(1);
    home.call(|connection, cx| connection.close(cx));
    home.data_ack(0, 1, 1 << 20);
    home.pass(Duration::from_secs(59));
    assert_eq!(home.connection.state(), DataState::FinWait2);
    home.pass(Duration::from_secs(2));
    assert_eq!(home.connection.state(), DataState::Closed);
    home.end(0, SubflowEnd::ResetHere(None));
    assert_eq!(home.requests(), [Request::Gone]);
}

#[test]
fn a_refused_connection_says_so() {
    let mut home = Home::opening(Role::Client, ConnectionConfig::default());
    home.end(0, SubflowEnd::Refused);
    let closed = ConnectionEvent::Closed(Err(ConnectionError::Refused));
    assert!(home.events().contains(&closed));
    home.call(|connection, cx| connection.close(cx));
    assert_eq!(home.requests(), [Request::Gone]);
}

#[test]
fn a_subflow_that_the_peer_closes_is_closed_and_the_connection_lives() {
    let mut home = home(2);
    home.deliver(0, ToHome::Finished);
    assert_eq!(closed_subflows(&mut home), [0]);
    home.write(&pattern(1000));
    assert_eq!(home.grants(), [(1, 0, 1000)]);
    home.end(0, SubflowEnd::Closed);
    assert_eq!(home.connection.state(), DataState::Established);
    assert!(
        home.connection
            .subflows()
            .all(|info| info.handle == handle(1))
    );
}

#[test]
fn joins_that_fail_do_not_extend_the_wait_for_one() {
    let mut home = Home::established(Role::Client, ConnectionConfig::default(), 1);
    home.end(0, SubflowEnd::TimedOut);
    for second in 0..100 {
        home.pass(Duration::from_secs(1));
        let number = 100 + second;
        for request in home.requests() {
            let Request::OpenSubflow(open) = request else {
                continue;
            };
            let connection = &mut home.connection;
            connection.subflow_opened(open.attempt, handle(number), path(0));
            home.end(number, SubflowEnd::Unreachable);
        }
    }
    assert_eq!(home.connection.failure(), Some(ConnectionError::PathsLost));
}

#[test]
fn joins_under_way_when_the_wait_is_over_are_reset() {
    let mut home = Home::established(Role::Server, ConnectionConfig::default(), 1);
    home.end(0, SubflowEnd::TimedOut);
    home.connection.join_accepted(handle(1), path(1));
    home.forget();
    home.pass(Duration::from_secs(61));
    let sent = home.sent();
    assert!(
        matches!(&sent[..], [(1, ToSubflow::Reset { .. })]),
        "{sent:?}"
    );
}

#[test]
fn a_late_copy_of_what_was_read_does_not_abort_a_closed_connection() {
    let mut home = Home::established(Role::Server, ConnectionConfig::default(), 2);
    home.data(0, 0, b"hello");
    assert_eq!(home.read_all(), b"hello");
    home.call(|connection, cx| connection.close(cx));
    home.data(1, 0, b"hello");
    assert_eq!(home.connection.failure(), None);
    home.data(1, 3, b"lo and more");
    assert_eq!(home.connection.failure(), Some(ConnectionError::Aborted));
}

#[test]
fn a_data_fin_is_repeated_on_all_paths_though_a_stale_one_holds_data() {
    let mut home = home(2);
    home.write(&pattern(3000));
    home.deliver(0, ToHome::Stalled);
    // The other subflow brought everything; the first still has its share to retransmit.
    home.data_ack(1, 3000, 1 << 20);
    home.call(|connection, cx| connection.shutdown_write(cx));
    home.forget();
    home.pass(Duration::from_secs(10));
    let tried: Vec<u64> = home
        .sent()
        .into_iter()
        .filter_map(|(to, message)| matches!(message, ToSubflow::DataFin { .. }).then_some(to))
        .collect();
    assert!(tried.contains(&0) && tried.contains(&1), "{tried:?}");
}
