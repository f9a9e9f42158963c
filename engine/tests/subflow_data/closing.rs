//! DATA_FIN and FIN (RFC 8684 section 3.3.3).

use braid_engine::mptcp::message::{SubflowEnd, ToSubflow};
use braid_engine::mptcp::subflow::CapableConfig;

use crate::subflow_harness::*;
use crate::support::{
    CHECKSUM, client_next, dss, dss_mut, grant_with_checksum, mapping_mut, one_segment,
};

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
