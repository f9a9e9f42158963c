//! Mappings and acknowledgments: where they stand, their widths and wraps, and those that are late, missing or
//! contradict (RFC 8684 section 3.3.1).

use braid_engine::mptcp::message::ToSubflow;
use braid_engine::mptcp::subflow::CapableConfig;
use braid_engine::sequence::DataSequenceNumber;
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::DataNumber;

use crate::subflow_harness::*;
use crate::support::{CHECKSUM, client_next, dss, grant_with_checksum, mapping_mut, one_segment};

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
fn a_segment_that_ends_with_its_mapping_holds_up_nothing_behind_it() {
    let mut pair = Pair::capable(CHECKSUM, CHECKSUM);
    pair.run();
    grant_with_checksum(&mut pair, b"ping", 1);
    pair.run();
    grant_with_checksum(&mut pair, &[1; 1_000], 5);
    grant_with_checksum(&mut pair, &[2; 500], 1_005);
    let lengths = |segments: &[Segment]| -> Vec<usize> {
        segments
            .iter()
            .map(|segment| segment.payload.len())
            .collect()
    };
    // The first is short because mappings with checksums are not joined, the second because no more
    // was written: only that one has small ones after it wait (RFC 9293 section 3.7.4).
    assert_eq!(lengths(&pair.client.transmit_all(pair.now)), [1_000, 500]);
    grant_with_checksum(&mut pair, &[3; 500], 1_505);
    assert_eq!(lengths(&pair.client.transmit_all(pair.now)), []);
}
