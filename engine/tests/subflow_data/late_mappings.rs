//! Mappings that come after a fallback: what the peer sent before it heard of that keeps the number it
//! was sent with (RFC 8684 section 3.7).

use crate::subflow_harness::*;
use braid_engine::mptcp::message::{SubflowEnd, ToSubflow};
use braid_engine::mptcp::subflow::CapableConfig;
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::{DataNumber, Dss, DssMapping, MptcpOption, ResetReason};

/// The server has fallen back on an MP_FAIL; the client, which sent 4 bytes, has not heard of it.
fn one_sided() -> Pair {
    let mut pair = Pair::confirmed(CapableConfig::default());
    pair.server.home.multipath = false;
    pair.server
        .deliver(pair.now, ToSubflow::FallBack { infinite: None });
    pair.server.pieces.clear();
    pair
}

fn client_data(offset: u64) -> braid_engine::sequence::DataSequenceNumber {
    initial(CLIENT_KEY) + 1 + offset
}

#[test]
fn a_copy_keeps_its_number() {
    let mut pair = one_sided();
    pair.client.grant_at(pair.now, client_data(0), 4, None);
    pair.run();
    pair.client.grant(pair.now, b"next");
    pair.run();
    let copy = (client_data(0), b"ping".to_vec());
    let next = (client_data(4), b"next".to_vec());
    assert_eq!(pair.server.pieces, [copy, next]);
}

#[test]
fn a_lost_copy_keeps_its_number_too() {
    let mut pair = one_sided();
    pair.client.grant_at(pair.now, client_data(0), 4, None);
    let lost = pair.client.transmit_all(pair.now);
    assert_eq!(lost.len(), 1);
    pair.client.grant(pair.now, b"next");
    pair.pass(Duration::from_secs(5));
    let all = pair.client.source.bytes.clone();
    let placed = pair.server.pieces.iter();
    let sound = placed.clone().all(|(number, bytes)| {
        let at = number.offset_from(client_data(0)) as usize;
        all.get(at..at + bytes.len()) == Some(bytes)
    });
    assert!(sound && placed.len() > 1, "{:?}", pair.server.pieces);
}

#[test]
fn an_infinite_mapping_after_copies_goes_on_where_it_says() {
    let mut pair = one_sided();
    pair.client.grant_at(pair.now, client_data(0), 4, None);
    pair.run();
    // The client hears of it.
    let infinite = Some(client_data(4));
    pair.client.home.multipath = false;
    pair.client
        .deliver(pair.now, ToSubflow::FallBack { infinite });
    pair.client.grant(pair.now, b"next");
    pair.run();
    pair.client.grant(pair.now, b"last");
    pair.run();
    let numbers: Vec<_> = pair
        .server
        .pieces
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(numbers, [client_data(0), client_data(4), client_data(8)]);
}

#[test]
fn a_mapping_that_contradicts_one_from_before_ends_the_subflow() {
    let mut pair = one_sided();
    pair.client.grant(pair.now, b"data");
    let mut sent = pair.client.transmit_all(pair.now);
    let segment = &mut sent[0];
    segment.payload.clear();
    let declares = |data_sequence| {
        MptcpOption::Dss(Dss {
            data_ack: None,
            mapping: Some(DssMapping {
                data_sequence: DataNumber::Long(data_sequence),
                subflow_offset: 5,
                length: 4,
                checksum: None,
            }),
            data_fin: false,
        })
    };
    for data_sequence in [client_data(4), client_data(40)] {
        segment.header.options.mptcp.clear();
        segment.header.options.mptcp.push(declares(data_sequence));
        pair.server.receive(pair.now, segment);
    }
    let reason = Some(ResetReason::MiddleboxInterference);
    assert!(
        pair.server
            .has_told(&Told::Ended(SubflowEnd::ResetHere(reason)))
    );
    assert_eq!(pair.server.pieces, []);
}
