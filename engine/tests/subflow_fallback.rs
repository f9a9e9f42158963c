//! Every legal fallback to regular TCP, and none of the illegal ones (RFC 8684 section 3.7).

mod subflow_harness;

use braid_engine::mptcp::message::{FallbackReason, SubflowEnd, ToSubflow};
use braid_engine::mptcp::subflow::{CapableConfig, Origin, Phase};
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::{DataNumber, MptcpOption, ResetReason};
use braid_engine::wire::tcp::TcpFlags;
use subflow_harness::*;

fn opened() -> Pair {
    let mut pair = Pair::capable(CapableConfig::default(), CapableConfig::default());
    pair.run();
    pair
}

fn carries_options(segments: &[Segment]) -> bool {
    segments.iter().any(|segment| !segment.options().is_empty())
}

fn infinite_mappings(segments: &[Segment]) -> usize {
    segments
        .iter()
        .flat_map(Segment::options)
        .filter(|option| {
            matches!(option, MptcpOption::Dss(dss) if dss.mapping.is_some_and(|m| m.length == 0))
        })
        .count()
}

#[test]
fn first_data_without_a_mapping_is_taken_as_regular_tcp() {
    let mut pair = opened();
    pair.client.grant(pair.now, b"stripped");
    pair.run_stripping_client();
    assert!(
        pair.server
            .has_told(&Told::FellBack(FallbackReason::NoMapping))
    );
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"stripped");
    // The other side hears no DATA_ACK and follows.
    assert!(
        pair.client
            .has_told(&Told::FellBack(FallbackReason::NoDataAck))
    );
    let from = pair.trace.len();
    pair.server.grant(pair.now, b"answer");
    pair.run();
    assert_eq!(pair.client.stream(initial(SERVER_KEY) + 1), b"answer");
    assert!(!carries_options(&pair.trace[from..]));
}

#[test]
fn data_acknowledged_without_a_data_ack_ends_with_an_infinite_mapping() {
    let mut pair = opened();
    pair.client.grant(pair.now, b"first");
    pair.run_stripping_server();
    assert!(
        pair.client
            .has_told(&Told::FellBack(FallbackReason::NoDataAck))
    );
    let from = pair.trace.len();
    pair.client.grant(pair.now, b"second");
    pair.run();
    let infinite: Vec<_> = pair.trace[from..]
        .iter()
        .flat_map(Segment::options)
        .collect();
    assert_eq!(infinite.len(), 1);
    let MptcpOption::Dss(dss) = infinite[0] else {
        panic!("{infinite:?}");
    };
    let mapping = dss.mapping.expect("a mapping");
    assert_eq!((mapping.length, mapping.subflow_offset), (0, 6));
    let next = initial(CLIENT_KEY) + 6;
    assert_eq!(mapping.data_sequence, DataNumber::Long(next));
    assert!(
        pair.server
            .has_told(&Told::FellBack(FallbackReason::PeerFellBack))
    );
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"firstsecond");
    let from = pair.trace.len();
    pair.client.grant(pair.now, b"third");
    pair.server.grant(pair.now, b"fourth");
    pair.run();
    assert!(!carries_options(&pair.trace[from..]), "said once");
    assert_eq!(pair.client.stream(initial(SERVER_KEY) + 1), b"fourth");
}

#[test]
fn an_infinite_mapping_goes_again_until_it_is_acknowledged() {
    let mut pair = opened();
    pair.client.grant(pair.now, b"first");
    pair.run_stripping_server();
    pair.client.grant(pair.now, b"second");
    assert_eq!(infinite_mappings(&pair.client.transmit_all(pair.now)), 1);
    pair.pass(Duration::from_secs(5));
    assert!(infinite_mappings(&pair.trace) >= 1);
    assert!(
        pair.server
            .has_told(&Told::FellBack(FallbackReason::PeerFellBack))
    );
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"firstsecond");
}

#[test]
fn an_acknowledgment_with_any_option_is_no_sign_of_a_stripping_path() {
    let mut pair = opened();
    pair.client.grant(pair.now, b"first");
    pair.run_edited(|from_client, mut segment| {
        if !from_client {
            segment.header.options.mptcp.clear();
            let option = MptcpOption::Priority { backup: false };
            segment.header.options.mptcp.push(option);
        }
        Some(segment)
    });
    assert_eq!(
        pair.client.subflow.phase(),
        Phase::Unconfirmed(Origin::First)
    );
}

#[test]
fn after_confirmation_bare_acknowledgments_do_not_end_multipath() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    pair.client.grant(pair.now, b"data");
    pair.run_stripping_server();
    assert_eq!(pair.client.subflow.phase(), Phase::Confirmed(Origin::First));
}

#[test]
fn home_ends_multipath_with_an_infinite_mapping() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let fail = MptcpOption::Fail {
        data_sequence: initial(SERVER_KEY) + 5,
    };
    pair.client
        .deliver(pair.now, ToSubflow::Signal(fail.clone()));
    let infinite = Some(initial(CLIENT_KEY) + 5);
    pair.client.home.multipath = false;
    pair.client
        .deliver(pair.now, ToSubflow::FallBack { infinite });
    pair.run();
    pair.client.grant(pair.now, b"plain");
    pair.run();
    assert!(
        pair.server.has_told(&Told::Option(fail)),
        "MP_FAIL still goes"
    );
    assert!(
        pair.server
            .has_told(&Told::FellBack(FallbackReason::PeerFellBack))
    );
    assert!(
        !pair
            .client
            .told
            .iter()
            .any(|told| matches!(told, Told::FellBack(_))),
        "home knows"
    );
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"pingplain");
}

#[test]
fn after_fallback_grants_of_any_size_share_the_stream() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    for side in [&mut pair.client, &mut pair.server] {
        side.home.multipath = false;
        side.deliver(pair.now, ToSubflow::FallBack { infinite: None });
    }
    let from = pair.trace.len();
    for _ in 0..3 {
        pair.client.grant(pair.now, &[4; 40_000]);
    }
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1).len(), 120_004);
    assert!(!carries_options(&pair.trace[from..]));
}

/// Sends the DATA_FIN of a client that never wrote, and later repeats it with a probe, while `edit`
/// meddles with all segments.
fn end_with_a_probe(pair: &mut Pair, mut edit: impl FnMut(bool, Segment) -> Option<Segment>) {
    let data_sequence = initial(CLIENT_KEY) + 1;
    let data_fin = ToSubflow::DataFin { data_sequence };
    pair.client.deliver(pair.now, data_fin.clone());
    pair.run_edited(&mut edit);
    pair.now += Duration::from_millis(300);
    pair.client.deliver(pair.now, data_fin);
    pair.client.deliver(pair.now, ToSubflow::Probe);
    pair.run_edited(edit);
}

fn has_data_fin(segment: &Segment) -> bool {
    let mut options = segment.options().iter();
    options.any(|option| matches!(option, MptcpOption::Dss(dss) if dss.data_fin))
}

#[test]
fn a_data_fin_taken_in_without_a_data_ack_ends_multipath() {
    let mut pair = Pair::capable(CapableConfig::default(), CapableConfig::default());
    pair.run_edited(|_, segment| Some(segment.strip()));
    assert_eq!(
        pair.server.subflow.phase(),
        Phase::Plain(FallbackReason::OptionsStripped)
    );
    let unconfirmed = Phase::Unconfirmed(Origin::First);
    assert_eq!(pair.client.subflow.phase(), unconfirmed);
    end_with_a_probe(&mut pair, |_, segment| Some(segment.strip()));
    assert!(
        pair.client
            .has_told(&Told::FellBack(FallbackReason::NoDataFinAck))
    );
    let from = pair.trace.len();
    pair.client.deliver(pair.now, ToSubflow::Close);
    pair.run();
    assert!(pair.server.has_told(&Told::Finished));
    pair.server.grant(pair.now, b"answer");
    pair.run();
    assert_eq!(pair.client.stream(initial(SERVER_KEY) + 1), b"answer");
    assert!(!carries_options(&pair.trace[from..]));
}

#[test]
fn an_answer_from_before_the_data_fin_is_no_sign_of_a_stripping_path() {
    let mut pair = opened();
    end_with_a_probe(&mut pair, |from_client, segment| {
        // The DATA_FINs are lost, and the answer to the probe is as bare as one that a Linux peer
        // sends while it waits for the third ACK.
        let lost = from_client && has_data_fin(&segment);
        (!lost).then(|| segment.strip())
    });
    let unconfirmed = Phase::Unconfirmed(Origin::First);
    assert_eq!(pair.client.subflow.phase(), unconfirmed);
}

#[test]
fn a_late_answer_with_a_data_ack_confirms_multipath() {
    let mut pair = opened();
    let mut late = Vec::new();
    end_with_a_probe(&mut pair, |from_client, segment| {
        if from_client {
            return Some(segment);
        }
        late.push(segment);
        None
    });
    let unconfirmed = Phase::Unconfirmed(Origin::First);
    assert_eq!(pair.client.subflow.phase(), unconfirmed, "silence");
    pair.now += Duration::from_secs(1);
    assert!(!late.is_empty(), "the probe is answered");
    for segment in &late {
        pair.client.receive(pair.now, segment);
    }
    let confirmed = Phase::Confirmed(Origin::First);
    assert_eq!(pair.client.subflow.phase(), confirmed);
    // What came this late without options says nothing any more.
    for segment in late {
        pair.client.receive(pair.now, &segment.strip());
    }
    assert_eq!(pair.client.subflow.phase(), confirmed);
}

#[test]
fn a_probe_takes_no_data_fin_along() {
    let mut pair = opened();
    let data_sequence = initial(CLIENT_KEY) + 1;
    pair.client
        .deliver(pair.now, ToSubflow::DataFin { data_sequence });
    pair.client.deliver(pair.now, ToSubflow::Probe);
    pair.run();
    assert_eq!(pair.server.count(&Told::DataFin(data_sequence)), 1);
}

#[test]
fn data_of_a_peer_that_speaks_multipath_after_all_is_not_taken_for_plain() {
    let mut pair = opened();
    end_with_a_probe(&mut pair, |from_client, segment| {
        Some(if from_client {
            segment
        } else {
            segment.strip()
        })
    });
    assert!(
        pair.client
            .has_told(&Told::FellBack(FallbackReason::NoDataFinAck))
    );
    pair.server.grant(pair.now, b"mapped");
    let segment = pair.server.transmit(pair.now).expect("data");
    pair.client.receive(pair.now, &segment);
    assert_refused(&mut pair.client, pair.now);
}

#[test]
fn multipath_never_comes_back() {
    let mut pair = opened();
    pair.client.grant(pair.now, b"stripped");
    pair.run_edited(|_, segment| Some(segment.strip()));
    let plain = pair.server.subflow.phase();
    assert_eq!(plain, Phase::Plain(FallbackReason::NoMapping));
    let told = pair.server.told.len();
    pair.client.grant(pair.now, b"late");
    let mut segment = pair.client.transmit(pair.now).expect("data");
    segment.header.options.mptcp.clear();
    segment
        .header
        .options
        .mptcp
        .push(MptcpOption::Dss(Default::default()));
    segment
        .header
        .options
        .mptcp
        .push(MptcpOption::Priority { backup: true });
    pair.server.receive(pair.now, &segment);
    assert_eq!(pair.server.subflow.phase(), plain);
    assert_eq!(pair.server.told.len(), told);
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"strippedlate");
}

/// A joined subflow on which no DSS was heard by the server yet.
fn unconfirmed_join() -> Pair {
    let mut pair = Pair::join();
    let third = pair.client.transmit(pair.now).expect("a third ACK");
    pair.server.receive(pair.now, &third);
    assert_eq!(
        pair.server.subflow.phase(),
        Phase::Unconfirmed(Origin::Joined)
    );
    for segment in pair.server.transmit_all(pair.now) {
        pair.client.receive(pair.now, &segment);
    }
    pair
}

fn assert_refused(side: &mut Side, now: braid_engine::time::Instant) {
    let reason = ResetReason::MiddleboxInterference;
    let ended = Told::Ended(SubflowEnd::ResetHere(Some(reason)));
    assert_eq!(side.told.last(), Some(&ended));
    let segments = side.transmit_all(now);
    assert_eq!(segments.len(), 1);
    assert!(segments[0].has(TcpFlags::RST));
    let wanted = MptcpOption::Reset {
        transient: false,
        reason,
    };
    assert_eq!(segments[0].options(), [wanted]);
    assert_eq!(side.pieces, []);
}

#[test]
fn a_joined_subflow_without_mappings_is_reset() {
    let mut pair = unconfirmed_join();
    pair.client.grant(pair.now, b"data");
    let segment = pair.client.transmit(pair.now).expect("data").strip();
    pair.server.receive(pair.now, &segment);
    assert_refused(&mut pair.server, pair.now);
}

#[test]
fn a_joined_subflow_without_data_acks_is_reset() {
    let mut pair = unconfirmed_join();
    pair.server.grant(pair.now, b"data");
    let segment = pair.server.transmit(pair.now).expect("data");
    pair.client.receive(pair.now, &segment);
    pair.now += Duration::from_millis(100);
    pair.client.advance(pair.now);
    let answer = pair.client.transmit(pair.now).expect("an ACK").strip();
    pair.server.receive(pair.now, &answer);
    assert_refused(&mut pair.server, pair.now);
}

#[test]
fn a_joined_subflow_does_not_begin_with_an_infinite_mapping() {
    let mut pair = unconfirmed_join();
    pair.client.grant(pair.now, b"data");
    let mut segment = pair.client.transmit(pair.now).expect("data");
    for option in &mut segment.header.options.mptcp {
        if let MptcpOption::Dss(dss) = option {
            dss.mapping = dss
                .mapping
                .map(|mapping| braid_engine::wire::mptcp_option::DssMapping {
                    length: 0,
                    ..mapping
                });
        }
    }
    pair.server.receive(pair.now, &segment);
    assert_refused(&mut pair.server, pair.now);
}
