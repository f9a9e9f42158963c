//! Data on subflows: mappings, their widths and checksums, DATA_FIN, signals, and copies of bytes that
//! home lets go (RFC 8684 sections 3.3 and 3.4).

mod subflow_harness;

use braid_engine::mptcp::message::{SubflowEnd, ToSubflow};
use braid_engine::mptcp::subflow::CapableConfig;
use braid_engine::sequence::DataSequenceNumber;
use braid_engine::time::Duration;
use braid_engine::wire::checksum::{Sum, dss_checksum};
use braid_engine::wire::mptcp_option::{DataNumber, Dss, DssMapping, MptcpOption, ResetReason};
use braid_engine::wire::tcp::TcpFlags;
use subflow_harness::*;

const CHECKSUM: CapableConfig = CapableConfig {
    checksum: true,
    join_to_this_address: true,
    syn_retries_before_plain: 2,
    long_sequence: true,
};

fn dss(segment: &Segment) -> Option<Dss> {
    segment.options().iter().find_map(|option| match option {
        MptcpOption::Dss(dss) => Some(*dss),
        _ => None,
    })
}

fn dss_mut(segment: &mut Segment) -> &mut Dss {
    let options = &mut segment.header.options.mptcp;
    let found = options.iter_mut().find_map(|option| match option {
        MptcpOption::Dss(dss) => Some(dss),
        _ => None,
    });
    found.expect("a DSS")
}

fn mapping_mut(segment: &mut Segment) -> &mut DssMapping {
    dss_mut(segment).mapping.as_mut().expect("a mapping")
}

/// Where the client's stream stands in a confirmed pair.
fn client_next() -> DataSequenceNumber {
    initial(CLIENT_KEY) + 1 + 4
}

/// One data segment of the client in a confirmed pair, taken off the wire.
fn one_segment(pair: &mut Pair, bytes: &[u8]) -> Segment {
    pair.client.grant(pair.now, bytes);
    let segments = pair.client.transmit_all(pair.now);
    assert_eq!(segments.len(), 1);
    segments.into_iter().next().expect("one")
}

#[test]
fn every_data_segment_has_its_mapping_and_every_other_a_data_ack() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let from = pair.trace.len();
    let sent: Vec<u8> = (0..50_000_u32).map(|i| i as u8).collect();
    pair.client.grant(pair.now, &sent);
    pair.run();
    let stream = pair.server.stream(initial(CLIENT_KEY) + 1);
    assert_eq!(stream[4..], sent);
    for segment in &pair.trace[from..] {
        let dss = dss(segment).expect("a DSS");
        assert!(matches!(dss.data_ack, Some(DataNumber::Long(_))));
        let mapping = dss
            .mapping
            .map(|m| (m.data_sequence, m.subflow_offset, m.length));
        let whole = (DataNumber::Long(client_next()), 5, 50_000);
        assert_eq!(mapping, (!segment.payload.is_empty()).then_some(whole));
    }
    let all = pair.client.source.start + 50_004;
    assert!(pair.client.has_told(&Told::DataAck(DataNumber::Long(all))));
}

#[test]
fn a_64_bit_sequence_is_answered_with_a_64_bit_data_ack_and_a_short_one_may_be_short() {
    for long_sequence in [false, true] {
        let config = CapableConfig {
            long_sequence,
            ..CapableConfig::default()
        };
        let mut pair = Pair::confirmed(config);
        pair.client.grant(pair.now, b"pay");
        pair.server.grant(pair.now, b"pay");
        pair.run();
        let from = pair.trace.len();
        pair.client.grant(pair.now, b"load");
        pair.server.grant(pair.now, b"load");
        pair.run();
        assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"pingpayload");
        assert_eq!(pair.client.stream(initial(SERVER_KEY) + 1), b"pongpayload");
        for dss in pair.trace[from..].iter().filter_map(dss) {
            let numbers = [dss.data_ack, dss.mapping.map(|m| m.data_sequence)];
            for number in numbers.into_iter().flatten() {
                assert_eq!(matches!(number, DataNumber::Long(_)), long_sequence);
            }
        }
    }
}

#[test]
fn short_numbers_pass_the_wrap_of_their_half() {
    let config = CapableConfig {
        long_sequence: false,
        ..CapableConfig::default()
    };
    let mut pair = Pair::confirmed(config);
    let at = DataSequenceNumber(0x5_ffff_ff00);
    pair.server.publish(at);
    pair.server.home.data_ack = at;
    pair.server.home.window_edge = at + WINDOW;
    pair.client.source = Bytes {
        start: at,
        bytes: vec![9; 1000],
    };
    pair.client.grant_at(pair.now, at, 600, None);
    pair.client.grant_at(pair.now, at + 600, 400, None);
    pair.run();
    let got = &pair.server.pieces[1..];
    assert_eq!(got.first().map(|(number, _)| *number), Some(at));
    let bytes: usize = got.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(bytes, 1000);
    assert!(
        got.iter()
            .any(|(number, bytes)| (*number + bytes.len() as u64).0 >> 32 == 6)
    );
}

#[test]
fn relative_numbers_hold_when_tcp_sequence_numbers_wrap() {
    // The client's initial sequence number is 2000 short of the wrap.
    let mut pair = Pair::confirmed(CapableConfig::default());
    let sent: Vec<u8> = (0..10_000_u32).map(|i| (i % 251) as u8).collect();
    for chunk in sent.chunks(777) {
        pair.client.grant(pair.now, chunk);
        pair.run();
    }
    let first = pair.trace.first().map(|s| s.header.sequence.0);
    let last = pair.trace.iter().rev().find(|s| !s.payload.is_empty());
    assert!(last.map(|s| s.header.sequence.0) < first, "it has wrapped");
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1)[4..], sent);
}

#[test]
fn a_lost_segment_comes_again_with_its_mapping() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let sent = vec![5; 20_000];
    pair.client.grant(pair.now, &sent);
    let mut count = 0;
    pair.run_edited(|from_client, segment| {
        count += usize::from(from_client);
        (!from_client || count % 4 != 1).then_some(segment)
    });
    pair.pass(Duration::from_secs(10));
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1)[4..], sent);
    assert!(!pair.server.has_told(&Told::BadMapping));
}

#[test]
fn one_piece_with_two_mappings_is_split_where_they_meet() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    pair.client.deliver(pair.now, ToSubflow::SetNoDelay(true));
    let at = client_next();
    pair.client.source.bytes.extend_from_slice(&[7; 200]);
    // The second hundred bytes have data sequence numbers that do not follow the first.
    pair.client.grant_at(pair.now, at + 100, 100, None);
    pair.client.grant_at(pair.now, at, 100, None);
    let segments = pair.client.transmit_all(pair.now);
    assert_eq!(segments.len(), 2);
    // A middlebox joins both and keeps the first option; the second comes on an acknowledgment.
    let mut first = segments[0].clone();
    let mut second = segments[1].clone();
    first.payload.extend(second.payload.split_off(0));
    second.header.sequence += 100;
    pair.server.receive(pair.now, &first);
    assert_eq!(pair.server.pieces.len(), 2);
    pair.server.receive(pair.now, &second);
    let got: Vec<_> = pair.server.pieces[1..]
        .iter()
        .map(|(number, bytes)| (*number, bytes.len()))
        .collect();
    assert_eq!(got, [(at + 100, 100), (at, 100)]);
}

#[test]
fn data_whose_mapping_never_comes_is_reported_once_and_not_passed_on() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let segment = one_segment(&mut pair, b"unmapped").strip();
    pair.server.receive(pair.now, &segment);
    assert!(!pair.server.has_told(&Told::BadMapping), "it may be late");
    let patience = pair.server.subflow.next_timeout().expect("patience ends");
    pair.now = patience.max(pair.now + Duration::from_millis(600));
    pair.server.advance(pair.now);
    pair.server.advance(pair.now + Duration::from_secs(1));
    assert_eq!(pair.server.count(&Told::BadMapping), 1);
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"ping");
}

#[test]
fn data_whose_mapping_came_late_waits_for_the_rest_without_a_timer() {
    let mut pair = Pair::capable(CHECKSUM, CHECKSUM);
    pair.run();
    grant_with_checksum(&mut pair, b"ping", 1);
    pair.run();
    pair.server.publish(client_next());
    pair.server.deliver(pair.now, ToSubflow::Acknowledge);
    pair.run();
    grant_with_checksum(&mut pair, &[7; 2_500], 5);
    let segments = pair.client.transmit_all(pair.now);
    assert!(segments.len() >= 2);
    let mut option_alone = segments[0].clone();
    option_alone.header.sequence += option_alone.payload.len() as u32;
    option_alone.payload.clear();
    pair.server.receive(pair.now, &segments[0].clone().strip());
    pair.server.receive(pair.now, &option_alone);
    pair.server.advance(pair.now + Duration::from_secs(1));
    let next = pair.server.subflow.next_timeout();
    assert!(next.is_none_or(|at| at > pair.now + Duration::from_secs(1)));
    assert!(!pair.server.has_told(&Told::BadMapping));
    pair.now += Duration::from_secs(1);
    pair.server.receive(pair.now, &segments[1]);
    assert_eq!(
        pair.server.stream(initial(CLIENT_KEY) + 1)[4..],
        [7; 2_500][..]
    );
}

#[test]
fn data_without_mapping_does_not_pile_up() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    for _ in 0..60 {
        pair.client.grant(pair.now, &[1; 1400]);
        let segments = pair.client.transmit_all(pair.now);
        for segment in segments {
            pair.server.receive(pair.now, &segment.strip());
        }
        for segment in pair.server.transmit_all(pair.now) {
            pair.client.receive(pair.now, &segment);
        }
    }
    assert_eq!(pair.server.count(&Told::BadMapping), 1);
}

#[test]
fn a_contradicting_mapping_is_reported() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    pair.client.grant(pair.now, &[1; 3000]);
    let mut segments = pair.client.transmit_all(pair.now);
    assert!(segments.len() >= 3);
    // The first is late, so that its mapping still stands when the other one comes.
    pair.server.receive(pair.now, &segments[1]);
    let contradicting = &mut segments[2];
    mapping_mut(contradicting).data_sequence = DataNumber::Long(client_next() + 1);
    let contradicting = contradicting.clone();
    pair.server.receive(pair.now, &contradicting);
    assert_eq!(pair.server.count(&Told::BadMapping), 1);
}

#[test]
fn checksums_that_hold_pass_data_whole_mappings_at_a_time() {
    let mut pair = Pair::capable(CHECKSUM, CHECKSUM);
    pair.run();
    let sent: Vec<u8> = (0..4001_u32).map(|i| (i % 13) as u8).collect();
    grant_with_checksum(&mut pair, &sent, 1);
    let segments = pair.client.transmit_all(pair.now);
    let (last, first) = segments.split_last().expect("several");
    assert!(matches!(
        first[0].options(),
        [MptcpOption::CapableAck { data: Some(data), .. }] if data.checksum.is_some()
    ));
    for segment in first {
        pair.server.receive(pair.now, segment);
    }
    assert_eq!(pair.server.pieces, []);
    pair.server.receive(pair.now, last);
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), sent);
    pair.run();
    grant_with_checksum(&mut pair, b"odd", 4002);
    pair.run();
    let stream = pair.server.stream(initial(CLIENT_KEY) + 1);
    assert_eq!(stream[4001..], *b"odd");
}

/// Grants the client `bytes` after all before, with the checksum of their mapping.
fn grant_with_checksum(pair: &mut Pair, bytes: &[u8], relative: u32) {
    let at = pair.client.source.start + pair.client.source.bytes.len() as u64;
    pair.client.source.bytes.extend_from_slice(bytes);
    let checksum = dss_checksum(Sum::of(bytes), at, relative, bytes.len() as u16);
    pair.client
        .grant_at(pair.now, at, bytes.len(), Some(checksum));
}

#[test]
fn a_mapping_that_comes_late_ends_the_wait_for_it() {
    let mut pair = Pair::capable(CHECKSUM, CHECKSUM);
    pair.run();
    grant_with_checksum(&mut pair, b"ping", 1);
    pair.run();
    let sent = [5; 4000];
    grant_with_checksum(&mut pair, &sent, 5);
    let segments = pair.client.transmit_all(pair.now);
    let [first, second, rest @ ..] = &segments[..] else {
        panic!("several");
    };
    pair.server.receive(pair.now, &first.clone().strip());
    pair.server.receive(pair.now, second);
    // The checksum waits for the rest of the mapping, as long as that takes.
    pair.now += Duration::from_millis(600);
    pair.server.advance(pair.now);
    let next = pair.server.subflow.next_timeout();
    assert!(next.is_none_or(|at| at > pair.now), "{next:?}");
    for segment in rest {
        pair.server.receive(pair.now, segment);
    }
    assert!(!pair.server.has_told(&Told::BadMapping));
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1)[4..], sent);
}

#[test]
fn data_with_a_wrong_checksum_is_held_back_and_reported() {
    let mut pair = Pair::capable(CHECKSUM, CHECKSUM);
    pair.run();
    grant_with_checksum(&mut pair, b"good", 1);
    pair.run();
    grant_with_checksum(&mut pair, b"evil", 5);
    let mut segment = pair.client.transmit(pair.now).expect("data");
    segment.payload[2] ^= 0x10;
    pair.server.receive(pair.now, &segment);
    assert_eq!(
        pair.server.count(&Told::ChecksumFailed(client_next())),
        1,
        "{:?}",
        pair.server.told
    );
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"good");
    // Home falls back: what is held goes by identity, as a regular TCP would have it.
    pair.server.home.multipath = false;
    pair.server
        .deliver(pair.now, ToSubflow::FallBack { infinite: None });
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"goodevyl");
}

#[test]
fn a_checksum_where_there_should_be_none_or_the_other_way_round_is_refused() {
    let mut with = Pair::capable(CHECKSUM, CHECKSUM);
    with.run();
    grant_with_checksum(&mut with, b"good", 1);
    with.run();
    grant_with_checksum(&mut with, b"data", 5);
    let mut without_checksum = with.client.transmit(with.now).expect("data");
    mapping_mut(&mut without_checksum).checksum = None;
    let mut without = Pair::confirmed(CapableConfig::default());
    let mut with_checksum = one_segment(&mut without, b"data");
    mapping_mut(&mut with_checksum).checksum = Some(0x1234);
    for (mut pair, segment) in [(with, without_checksum), (without, with_checksum)] {
        pair.server.receive(pair.now, &segment);
        let reason = ResetReason::MptcpError;
        assert_eq!(
            pair.server.told.last(),
            Some(&Told::Ended(SubflowEnd::ResetHere(Some(reason))))
        );
        let reset = pair.server.transmit(pair.now).expect("a RST");
        assert!(reset.has(TcpFlags::RST));
        let wanted = MptcpOption::Reset {
            transient: false,
            reason,
        };
        assert_eq!(reset.options(), [wanted]);
    }
}

#[test]
fn data_fin_goes_alone_with_relative_number_zero() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let from = pair.trace.len();
    let data_sequence = client_next();
    pair.client
        .deliver(pair.now, ToSubflow::DataFin { data_sequence });
    pair.run();
    let sent: Vec<_> = pair.trace[from..]
        .iter()
        .filter_map(dss)
        .filter(|dss| dss.data_fin)
        .collect();
    assert_eq!(sent.len(), 1, "once; home repeats it");
    let mapping = sent[0].mapping.expect("a mapping");
    assert_eq!((mapping.subflow_offset, mapping.length), (0, 1));
    assert_eq!(pair.server.count(&Told::DataFin(data_sequence)), 1);
    assert!(!pair.server.has_told(&Told::Finished), "the FIN is apart");
}

#[test]
fn a_data_fin_with_data_comes_after_it() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let mut segment = one_segment(&mut pair, b"last");
    dss_mut(&mut segment).data_fin = true;
    mapping_mut(&mut segment).length += 1;
    pair.server.receive(pair.now, &segment);
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"pinglast");
    assert_eq!(pair.server.count(&Told::DataFin(client_next() + 4)), 1);
}

#[test]
fn a_data_fin_with_a_wrong_checksum_is_no_data_fin() {
    let mut pair = Pair::capable(CHECKSUM, CHECKSUM);
    pair.run();
    grant_with_checksum(&mut pair, b"good", 1);
    pair.run();
    let data_sequence = client_next();
    for right in [false, true] {
        pair.client
            .deliver(pair.now, ToSubflow::DataFin { data_sequence });
        let mut segment = pair.client.transmit(pair.now).expect("a DATA_FIN");
        if !right {
            let checksum = &mut mapping_mut(&mut segment).checksum;
            *checksum = checksum.map(|checksum| checksum ^ 1);
        }
        pair.server.receive(pair.now, &segment);
        assert_eq!(
            pair.server.count(&Told::DataFin(data_sequence)),
            usize::from(right)
        );
    }
}

#[test]
fn fin_follows_data_and_data_fin() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    pair.client.grant(pair.now, b"bye");
    let data_sequence = client_next() + 3;
    pair.client
        .deliver(pair.now, ToSubflow::DataFin { data_sequence });
    pair.client.deliver(pair.now, ToSubflow::Close);
    pair.run();
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"pingbye");
    let position = |wanted: &Told| pair.server.told.iter().position(|told| told == wanted);
    let data_fin = position(&Told::DataFin(data_sequence)).expect("a DATA_FIN");
    assert!(position(&Told::Finished).is_some_and(|finished| finished >= data_fin));
    pair.server.deliver(pair.now, ToSubflow::Close);
    pair.run();
    let closed = Told::Ended(SubflowEnd::Closed);
    assert_eq!(pair.client.told.last(), Some(&closed));
    assert_eq!(pair.server.told.last(), Some(&closed));
}

#[test]
fn odd_signals_of_a_peer_change_nothing() {
    let odd: [fn(&mut DssMapping); 4] = [
        // Relative number 0 belongs to a DATA_FIN alone.
        |mapping| mapping.subflow_offset = 0,
        // Before the stream.
        |mapping| mapping.subflow_offset = 0x9000_0000,
        // Far ahead of it.
        |mapping| mapping.subflow_offset = 0x7000_0000,
        // Of data long gone, over what was passed on.
        |mapping| {
            mapping.subflow_offset = 1;
            mapping.length = 2;
        },
    ];
    for (case, edit) in odd.into_iter().enumerate() {
        let mut pair = Pair::confirmed(CapableConfig::default());
        let good = one_segment(&mut pair, b"data");
        let mut bad = good.clone();
        bad.payload.clear();
        edit(mapping_mut(&mut bad));
        pair.server.receive(pair.now, &bad);
        pair.server.receive(pair.now, &good);
        pair.run();
        assert_eq!(
            pair.server.stream(initial(CLIENT_KEY) + 1),
            b"pingdata",
            "case {case}"
        );
        assert!(!pair.server.has_told(&Told::BadMapping), "case {case}");
    }
}

#[test]
fn signals_travel_once_and_at_most_two_in_a_row() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let signals: Vec<_> = (1..=3)
        .map(|id| MptcpOption::RemoveAddress {
            address_ids: [id].into_iter().collect(),
        })
        .collect();
    for signal in &signals {
        pair.client
            .deliver(pair.now, ToSubflow::Signal(signal.clone()));
    }
    let segments = pair.client.transmit_all(pair.now);
    let carried = |segment: &Segment| {
        segment
            .options()
            .iter()
            .filter(|option| signals.contains(option))
            .count()
    };
    assert_eq!(segments.len(), 2);
    assert!(segments.iter().all(|s| carried(s) == 1 && dss(s).is_some()));
    for segment in &segments {
        pair.server.receive(pair.now, segment);
    }
    pair.pass(Duration::from_secs(2));
    for signal in signals {
        assert_eq!(pair.server.count(&Told::Option(signal)), 1);
    }
}

#[test]
fn a_signal_that_leaves_no_space_goes_without_a_dss() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let signal = MptcpOption::AddAddress {
        address_id: 4,
        address: "2001:db8::1".parse().expect("an address"),
        port: None,
        hmac: Some(7),
    };
    pair.client
        .deliver(pair.now, ToSubflow::Signal(signal.clone()));
    let segment = pair.client.transmit(pair.now).expect("a segment");
    assert_eq!(segment.options(), [signal]);
    let longest = MptcpOption::AddAddress {
        address_id: 4,
        address: "2001:db8::1".parse().expect("an address"),
        port: Some(443),
        hmac: Some(7),
    };
    pair.client
        .deliver(pair.now, ToSubflow::Signal(longest.clone()));
    let segment = pair.client.transmit(pair.now).expect("a segment");
    assert_eq!(segment.options(), core::slice::from_ref(&longest));
    assert_eq!(segment.header.options.timestamps, None);
    assert_eq!(segment.header.header_len(), 20 + 32);
    pair.server.receive(pair.now, &segment);
    assert!(pair.server.has_told(&Told::Option(longest)));
    pair.client.deliver(pair.now, ToSubflow::Acknowledge);
    let segment = pair.client.transmit(pair.now).expect("a segment");
    assert!(segment.header.options.timestamps.is_some());
}

#[test]
fn retained_bytes_are_sent_again_when_home_has_let_them_go() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let sent: Vec<u8> = (0..9000_u32).map(|i| (i % 241) as u8).collect();
    pair.client.grant(pair.now, &sent);
    assert!(pair.client.transmit_all(pair.now).len() > 2, "all lost");
    let until = client_next() + 9000;
    pair.client.deliver(pair.now, ToSubflow::Retain { until });
    assert_eq!(pair.client.count(&Told::Retained), 1);
    pair.client.source.start = until;
    pair.client.source.bytes.clear();
    pair.pass(Duration::from_secs(20));
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1)[4..], sent);
    pair.client.grant(pair.now, b"more");
    pair.run();
    let stream = pair.server.stream(initial(CLIENT_KEY) + 1);
    assert_eq!(stream[9004..], *b"more");
}

#[test]
fn retained_bytes_are_let_go_as_they_are_acknowledged() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let piece = [7; 4000];
    let mut until = client_next();
    for _ in 0..100 {
        // Some of what was retained is always in flight.
        pair.client.grant(pair.now, &piece);
        until += piece.len() as u64;
        let sent = pair.client.transmit_all(pair.now);
        pair.client.deliver(pair.now, ToSubflow::Retain { until });
        pair.client.grant(pair.now, &piece);
        until += piece.len() as u64;
        pair.client.deliver(pair.now, ToSubflow::Retain { until });
        drop(sent);
        assert!(pair.client.subflow.retained_length() <= 4 * piece.len());
        pair.pass(Duration::from_secs(2));
    }
}

#[test]
fn what_home_no_longer_holds_cannot_be_retained() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    pair.client.grant(pair.now, b"gone");
    pair.client.source.bytes.clear();
    let until = client_next() + 4;
    pair.client.deliver(pair.now, ToSubflow::Retain { until });
    assert!(!pair.client.has_told(&Told::Retained));
    let reason = Some(ResetReason::LackOfResources);
    assert!(
        pair.client
            .has_told(&Told::Ended(SubflowEnd::ResetHere(reason)))
    );
}

#[test]
fn a_reset_by_home_carries_its_options_and_that_of_the_peer_its_reason() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let reason = ResetReason::UnacceptablePerformance;
    let fail = MptcpOption::Fail {
        data_sequence: client_next(),
    };
    let why = MptcpOption::Reset {
        transient: true,
        reason,
    };
    let options = [fail.clone(), why];
    pair.client.deliver(
        pair.now,
        ToSubflow::Reset {
            options: options.clone().into_iter().collect(),
        },
    );
    let ended = Told::Ended(SubflowEnd::ResetHere(Some(reason)));
    assert_eq!(pair.client.count(&ended), 1);
    let segments = pair.client.transmit_all(pair.now);
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].options(), options);
    pair.server.receive(pair.now, &segments[0]);
    // On a RST it is no offer to fall back; the connection lives on without this subflow.
    assert!(!pair.server.has_told(&Told::Option(fail)));
    let ended = Told::Ended(SubflowEnd::ResetByPeer {
        reason: Some(reason),
        transient: true,
    });
    assert_eq!(pair.server.told.last(), Some(&ended));
}

#[test]
fn acknowledge_and_probe_are_answered() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    pair.client.deliver(pair.now, ToSubflow::Acknowledge);
    let segments = pair.client.transmit_all(pair.now);
    assert_eq!(segments.len(), 1);
    assert!(segments[0].payload.is_empty() && dss(&segments[0]).is_some());
    pair.client.deliver(pair.now, ToSubflow::Probe);
    let segments = pair.client.transmit_all(pair.now);
    assert_eq!(segments.len(), 1);
    pair.server.receive(pair.now, &segments[0]);
    assert_eq!(pair.server.transmit_all(pair.now).len(), 1, "an answer");
}

#[test]
fn a_path_that_is_slowed_reduces_its_window_and_sends_nothing_again() {
    let mut pair = Pair::confirmed(CapableConfig::default());
    let bytes = vec![7; 100_000];
    pair.client.grant(pair.now, &bytes);
    pair.run();
    pair.client.grant(pair.now, &bytes);
    drop(pair.client.transmit_all(pair.now));
    let before = pair.client.subflow.progress();
    pair.client.deliver(pair.now, ToSubflow::SlowDown);
    let after = pair.client.subflow.progress();
    assert!(after.congestion_window < before.congestion_window);
    assert!(after.congestion_window >= before.congestion_window / 3);
    assert_eq!(after.retransmissions, before.retransmissions);
}
