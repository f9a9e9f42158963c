//! Checksums of mappings: data passes a whole mapping at a time, and only if they hold (RFC 8684
//! section 3.3.1).

use braid_engine::mptcp::message::{SubflowEnd, ToSubflow};
use braid_engine::mptcp::subflow::CapableConfig;
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::{MptcpOption, ResetReason};
use braid_engine::wire::tcp::TcpFlags;

use crate::subflow_harness::*;
use crate::support::{CHECKSUM, client_next, grant_with_checksum, mapping_mut, one_segment};

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
