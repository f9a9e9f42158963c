//! Fallback to regular TCP: when it is legal and what it does (RFC 8684 section 3.7).

use crate::harness::{Home, pattern};
use braid_engine::mptcp::connection::{
    ConnectionConfig, ConnectionError, ConnectionEvent, DataState, Role,
};
use braid_engine::mptcp::message::{Establishment, FallbackReason, SubflowEnd, ToHome, ToSubflow};
use braid_engine::mptcp::path_manager::Limits;
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::{MptcpOption, ResetReason};

fn config() -> ConnectionConfig {
    ConnectionConfig::default()
}

fn plain() -> Home {
    let mut home = Home::opening(Role::Client, config());
    let plain = Establishment::Plain(FallbackReason::PeerNotCapable);
    home.deliver(0, ToHome::Established(plain));
    home.progress(0, |_| {});
    home
}

#[test]
fn a_plain_peer_gets_a_plain_connection() {
    let mut home = plain();
    let events = home.events();
    let fell_back = ConnectionEvent::FellBack(FallbackReason::PeerNotCapable);
    assert!(events.contains(&fell_back) && events.contains(&ConnectionEvent::Connected));
    assert!(!home.connection.published().multipath);

    home.write(&pattern(3000));
    assert_eq!(home.grants(), [(0, 0, 3000)]);
    home.progress(0, |progress| progress.acknowledged = 2000);
    assert_eq!(
        home.connection.send_buffer().len(),
        1000,
        "released as TCP would"
    );

    home.data(0, 12345, &pattern(100));
    assert_eq!(
        home.read_all(),
        pattern(100),
        "data is taken in the order it comes"
    );

    home.call(|connection, cx| connection.close(cx));
    let sent = home.sent();
    assert!(matches!(sent[..], [(0, ToSubflow::Close)]), "{sent:?}");
    home.deliver(0, ToHome::Finished);
    home.progress(0, |progress| progress.acknowledged = 3000);
    home.end(0, SubflowEnd::Closed);
    assert_eq!(home.connection.state(), DataState::Closed);
    assert_eq!(home.connection.failure(), None);
}

#[test]
fn a_plain_connection_takes_the_window_of_its_subflow() {
    let mut home = plain();
    home.progress(0, |progress| progress.window = 2000);
    home.write(&pattern(1 << 21));
    let granted: u64 = home.grants().iter().map(|grant| grant.2).sum();
    assert_eq!(
        granted, 100_000,
        "the edge of before stands; room is the bound"
    );
}

#[test]
fn a_reset_of_a_plain_connection_is_reported() {
    let mut home = plain();
    home.end(
        0,
        SubflowEnd::ResetByPeer {
            reason: None,
            transient: false,
        },
    );
    assert_eq!(home.connection.failure(), Some(ConnectionError::Reset));
}

#[test]
fn options_lost_before_confirmation_are_a_legal_fallback() {
    let mut home = Home::opening(Role::Server, config());
    home.establish_capable(false);
    let reason = FallbackReason::OptionsStripped;
    let next = home.remote(0);
    home.deliver(0, ToHome::FellBack { reason, next });
    assert_eq!(home.connection.info().fallback, Some(reason));
    let limits = Limits::default();
    assert!(
        home.connection.can_accept_join(&limits).is_err(),
        "for good"
    );
}

#[test]
fn options_lost_after_a_join_reset_the_subflow() {
    let mut home = Home::established(Role::Server, config(), 2);
    let reason = FallbackReason::NoDataAck;
    let next = home.remote(0);
    home.deliver(0, ToHome::FellBack { reason, next });
    assert_eq!(home.connection.info().fallback, None);
    let sent = home.sent();
    let [(0, ToSubflow::Reset { options })] = &sent[..] else {
        panic!("{sent:?}");
    };
    let reason = ResetReason::MiddleboxInterference;
    assert_eq!(
        options[..],
        [MptcpOption::Reset {
            transient: false,
            reason
        }]
    );
}

#[test]
fn a_failed_checksum_among_several_subflows_resets_one_with_mp_fail() {
    let mut home = Home::established(Role::Server, config(), 2);
    let data_sequence = home.remote(0);
    home.deliver(1, ToHome::ChecksumFailed { data_sequence });
    let sent = home.sent();
    let [(1, ToSubflow::Reset { options })] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!(options[0], MptcpOption::Fail { data_sequence });
    assert_eq!(home.connection.info().fallback, None);
}

#[test]
fn a_failed_checksum_on_the_only_subflow_falls_back_after_the_echo() {
    let mut home = Home::established(Role::Server, config(), 1);
    home.data_ack(0, 0, 1 << 20);
    home.write(&pattern(1000));
    home.progress(0, |progress| progress.acknowledged = 400);
    home.data_ack(0, 400, 1 << 20);
    home.forget();
    let data_sequence = home.remote(0);
    home.deliver(0, ToHome::ChecksumFailed { data_sequence });
    let sent = home.sent();
    let fail = |message: &ToSubflow| matches!(message, ToSubflow::Signal(MptcpOption::Fail { .. }));
    assert!(
        matches!(&sent[..], [(0, message)] if fail(message)),
        "{sent:?}"
    );
    assert_eq!(home.connection.info().fallback, None);

    home.deliver(0, ToHome::Option(MptcpOption::Fail { data_sequence }));
    let sent = home.sent();
    let infinite = Some(home.local(400));
    assert!(
        matches!(&sent[..], [(0, ToSubflow::FallBack { infinite: from })] if *from == infinite),
        "{sent:?}"
    );
    let reason = FallbackReason::ChecksumFailed;
    assert_eq!(home.connection.info().fallback, Some(reason));
}

#[test]
fn a_failed_checksum_with_a_gap_resets_the_only_subflow() {
    let mut home = Home::established(Role::Server, config(), 1);
    home.data(0, 500, &pattern(10));
    home.forget();
    let data_sequence = home.remote(0);
    home.deliver(0, ToHome::ChecksumFailed { data_sequence });
    let sent = home.sent();
    assert!(
        matches!(&sent[..], [(0, ToSubflow::Reset { .. })]),
        "{sent:?}"
    );
}

/// Subflow 0 is all that is left. It carried the second half of the stream; the first went on
/// subflow 1, which acknowledged it and was reset before the peer acknowledged it at data level:
/// it may have been lost there.
fn survivor(role: Role) -> Home {
    let mut home = Home::established(role, config(), 2);
    home.data_ack(0, 0, 1 << 20);
    home.progress(0, |progress| progress.room = 0);
    home.write(&pattern(2000));
    home.progress(0, |_| {});
    home.write(&pattern(2000));
    assert_eq!(home.grants(), [(1, 0, 2000), (0, 2000, 2000)]);
    home.progress(1, |progress| progress.acknowledged = 2000);
    let end = SubflowEnd::ResetByPeer {
        reason: None,
        transient: false,
    };
    home.end(1, end);
    home.progress(0, |progress| progress.acknowledged = 2000);
    home.forget();
    home
}

#[test]
fn a_survivor_that_did_not_carry_all_that_is_outstanding_never_falls_back() {
    let failed = |home: &Home| {
        let data_sequence = home.remote(0);
        ToHome::ChecksumFailed { data_sequence }
    };
    let fail = |home: &Home| {
        let data_sequence = home.local(0);
        ToHome::Option(MptcpOption::Fail { data_sequence })
    };
    let infinite = |home: &Home| ToHome::FellBack {
        reason: FallbackReason::PeerFellBack,
        next: home.remote(0),
    };
    let signs: [fn(&Home) -> ToHome; 3] = [failed, fail, infinite];
    for sign in signs {
        let mut home = survivor(Role::Server);
        let sign = sign(&home);
        let case = format!("{sign:?}");
        home.deliver(0, sign);
        assert_eq!(home.connection.info().fallback, None, "{case}");
        let sent = home.sent();
        assert!(
            matches!(&sent[..], [(0, ToSubflow::Reset { .. })]),
            "{case}: {sent:?}"
        );
        // A path to come carries what may have been lost.
        home.end(0, SubflowEnd::ResetHere(None));
        home.join(2);
        home.progress(2, |_| {});
        home.pass(Duration::from_secs(1));
        let sent: u64 = home.grants().iter().map(|grant| grant.2).sum();
        assert_eq!(sent, 4000, "{case}");
    }
    // Once the peer has all of it there is nothing in the way.
    let mut home = survivor(Role::Server);
    home.data_ack(0, 4000, 1 << 20);
    home.forget();
    let sign = fail(&home);
    home.deliver(0, sign);
    assert!(home.connection.info().fallback.is_some());
}

#[test]
fn an_mp_fail_that_is_never_echoed_ends_the_connection() {
    let mut home = Home::established(Role::Server, config(), 1);
    let data_sequence = home.remote(0);
    home.deliver(0, ToHome::ChecksumFailed { data_sequence });
    home.pass(Duration::from_secs(10));
    assert_eq!(home.connection.failure(), Some(ConnectionError::Aborted));
}

#[test]
fn the_peer_s_mp_fail_is_echoed_and_followed_by_an_infinite_mapping() {
    let mut home = Home::established(Role::Client, config(), 1);
    home.data_ack(0, 0, 1 << 20);
    home.write(&pattern(1000));
    home.forget();
    let data_sequence = home.local(0);
    home.deliver(0, ToHome::Option(MptcpOption::Fail { data_sequence }));
    let sent = home.sent();
    assert!(
        matches!(
            &sent[..],
            [
                (0, ToSubflow::Signal(MptcpOption::Fail { .. })),
                (0, ToSubflow::FallBack { infinite: Some(_) })
            ]
        ),
        "{sent:?}"
    );
    // And the connection goes on as TCP.
    home.progress(0, |progress| progress.acknowledged = 1000);
    assert_eq!(home.connection.send_buffer().len(), 0);
    home.call(|connection, cx| connection.shutdown_write(cx));
    let sent = home.sent();
    assert!(
        matches!(sent.last(), Some((0, ToSubflow::Close))),
        "{sent:?}"
    );
}

#[test]
fn an_mp_fail_while_bytes_wait_behind_a_hole_is_no_fallback() {
    let stream = pattern(300);
    let mut home = Home::established(Role::Server, config(), 2);
    // The bytes before were on the subflow that died: what the survivor carries is not the stream.
    home.data(0, 100, &stream[100..200]);
    home.end(1, SubflowEnd::TimedOut);
    home.forget();
    let data_sequence = home.local(0);
    home.deliver(0, ToHome::Option(MptcpOption::Fail { data_sequence }));
    assert_eq!(home.connection.info().fallback, None);
    let sent = home.sent();
    let reset =
        |(to, message): &(u64, ToSubflow)| *to == 0 && matches!(message, ToSubflow::Reset { .. });
    assert!(sent.iter().any(reset), "{sent:?}");
    // Nothing that the subflow still says is taken for the missing bytes.
    home.data(0, 200, &stream[200..300]);
    assert!(home.read_all().is_empty());
    // Another subflow brings them.
    home.end(0, SubflowEnd::ResetHere(None));
    home.join(2);
    home.data(2, 0, &stream[..100]);
    home.data(2, 200, &stream[200..]);
    assert_eq!(home.read_all(), stream);
}

#[test]
fn a_data_fin_under_way_becomes_a_fin() {
    let mut home = Home::established(Role::Client, config(), 1);
    home.call(|connection, cx| connection.shutdown_write(cx));
    home.forget();
    let reason = FallbackReason::PeerFellBack;
    let next = home.remote(0);
    home.deliver(0, ToHome::FellBack { reason, next });
    let sent = home.sent();
    assert!(
        matches!(sent.last(), Some((0, ToSubflow::Close))),
        "{sent:?}"
    );
}

/// Probes and DATA_FINs in a minute after a client that wrote nothing has ended its stream.
fn probes_and_data_fins(home: &mut Home) -> (usize, usize) {
    home.call(|connection, cx| connection.shutdown_write(cx));
    home.pass(Duration::from_secs(60));
    let sent = home.sent();
    let count = |wanted: fn(&ToSubflow) -> bool| {
        let wanted = sent.iter().filter(|(_, message)| wanted(message));
        wanted.count()
    };
    (
        count(|message| matches!(message, ToSubflow::Probe)),
        count(|message| matches!(message, ToSubflow::DataFin { .. })),
    )
}

#[test]
fn a_data_fin_that_no_dss_answers_is_probed_and_becomes_a_fin() {
    let mut home = Home::opening(Role::Client, config());
    home.establish_capable(false);
    home.progress(0, |_| {});
    home.forget();
    let (probes, data_fins) = probes_and_data_fins(&mut home);
    assert!(probes > 0);
    assert_eq!(probes + 2, data_fins, "two may be lost");
    assert_eq!(
        home.connection.info().fallback,
        None,
        "silence proves nothing"
    );
    let reason = FallbackReason::NoDataFinAck;
    let next = home.remote(0);
    home.deliver(0, ToHome::FellBack { reason, next });
    assert_eq!(home.connection.info().fallback, Some(reason));
    let sent = home.sent();
    assert!(
        matches!(sent.last(), Some((0, ToSubflow::Close))),
        "{sent:?}"
    );
}

#[test]
fn once_a_dss_was_heard_a_data_fin_is_not_probed() {
    let mut home = Home::established(Role::Client, config(), 1);
    let (probes, data_fins) = probes_and_data_fins(&mut home);
    assert_eq!(probes, 0);
    assert!(data_fins > 2);
}

#[test]
fn a_fin_before_any_dss_is_the_end_of_a_plain_stream() {
    let mut home = Home::opening(Role::Client, config());
    home.establish_capable(false);
    home.progress(0, |_| {});
    home.write(&pattern(100));
    home.forget();
    home.deliver(0, ToHome::Finished);
    let reason = FallbackReason::OptionsStripped;
    assert_eq!(home.connection.info().fallback, Some(reason));
    assert_eq!(home.connection.state(), DataState::CloseWait);
    let sent = home.sent();
    let told = |wanted: fn(&ToSubflow) -> bool| sent.iter().any(|(_, message)| wanted(message));
    assert!(told(|m| matches!(
        m,
        ToSubflow::FallBack { infinite: None }
    )));
    assert!(
        !told(|m| matches!(m, ToSubflow::Close)),
        "it may still send"
    );
}

#[test]
fn a_join_that_completes_after_fallback_is_reset() {
    let mut home = Home::opening(Role::Server, config());
    home.establish_capable(false);
    home.connection
        .join_accepted(crate::harness::handle(1), crate::harness::path(1));
    home.end(1, SubflowEnd::TimedOut);
    let next = home.remote(0);
    let reason = FallbackReason::NoMapping;
    home.deliver(0, ToHome::FellBack { reason, next });
    assert!(home.connection.info().fallback.is_some());
    home.connection
        .join_accepted(crate::harness::handle(2), crate::harness::path(2));
    home.forget();
    let joined = Establishment::Joined {
        remote_address_id: 2,
        backup: false,
    };
    home.deliver(2, ToHome::Established(joined));
    let sent = home.sent();
    assert!(
        matches!(&sent[..], [(2, ToSubflow::Reset { .. })]),
        "{sent:?}"
    );
}

#[test]
fn an_infinite_mapping_is_legal_only_where_the_stream_goes_on() {
    let fell_back = |home: &Home, next: u64| ToHome::FellBack {
        reason: FallbackReason::PeerFellBack,
        next: home.remote(next),
    };
    let mut home = Home::established(Role::Server, config(), 1);
    home.data(0, 0, &pattern(100));
    let message = fell_back(&home, 100);
    home.deliver(0, message);
    assert!(home.connection.info().fallback.is_some());

    // Past a gap, before what was received, or with bytes ahead of order.
    for (next, ahead) in [(200, None), (50, None), (100, Some(300))] {
        let mut home = Home::established(Role::Server, config(), 1);
        home.data(0, 0, &pattern(100));
        if let Some(offset) = ahead {
            home.data(0, offset, &pattern(10));
        }
        home.forget();
        let message = fell_back(&home, next);
        home.deliver(0, message);
        assert_eq!(home.connection.info().fallback, None, "{next} {ahead:?}");
        let sent = home.sent();
        let reset = |(to, message): &(u64, ToSubflow)| {
            *to == 0 && matches!(message, ToSubflow::Reset { .. })
        };
        assert!(sent.iter().any(reset), "{sent:?}");
    }
}

#[test]
fn what_a_refused_fallback_numbered_is_not_believed() {
    let mut home = Home::established(Role::Server, config(), 2);
    home.data(1, 0, b"right");
    let reason = FallbackReason::NoMapping;
    let next = home.remote(0);
    home.deliver(0, ToHome::FellBack { reason, next });
    // The subflow went on by the identity mapping before it heard that this was not allowed.
    home.data(0, 5, b"wrong");
    assert_eq!(home.read_all(), b"right");
    home.data(1, 5, b" again");
    assert_eq!(home.read_all(), b" again");
}
