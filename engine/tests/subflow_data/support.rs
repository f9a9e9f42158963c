//! What the tests of data on subflows share.

use braid_engine::mptcp::subflow::CapableConfig;
use braid_engine::sequence::DataSequenceNumber;
use braid_engine::wire::checksum::{Sum, dss_checksum};
use braid_engine::wire::mptcp_option::{Dss, DssMapping, MptcpOption};

use crate::subflow_harness::*;

pub(crate) const CHECKSUM: CapableConfig = CapableConfig {
    checksum: true,
    join_to_this_address: true,
    syn_retries_before_plain: 2,
    long_sequence: true,
};

pub(crate) fn dss(segment: &Segment) -> Option<Dss> {
    segment.options().iter().find_map(|option| match option {
        MptcpOption::Dss(dss) => Some(*dss),
        _ => None,
    })
}

pub(crate) fn dss_mut(segment: &mut Segment) -> &mut Dss {
    let options = &mut segment.header.options.mptcp;
    let found = options.iter_mut().find_map(|option| match option {
        MptcpOption::Dss(dss) => Some(dss),
        _ => None,
    });
    found.expect("a DSS")
}

pub(crate) fn mapping_mut(segment: &mut Segment) -> &mut DssMapping {
    dss_mut(segment).mapping.as_mut().expect("a mapping")
}

/// Where the client's stream stands in a confirmed pair.
pub(crate) fn client_next() -> DataSequenceNumber {
    initial(CLIENT_KEY) + 1 + 4
}

/// One data segment of the client in a confirmed pair, taken off the wire.
pub(crate) fn one_segment(pair: &mut Pair, bytes: &[u8]) -> Segment {
    pair.client.grant(pair.now, bytes);
    let segments = pair.client.transmit_all(pair.now);
    assert_eq!(segments.len(), 1);
    segments.into_iter().next().expect("one")
}

/// Grants the client `bytes` after all before, with the checksum of their mapping.
pub(crate) fn grant_with_checksum(pair: &mut Pair, bytes: &[u8], relative: u32) {
    let at = pair.client.source.start + pair.client.source.bytes.len() as u64;
    pair.client.source.bytes.extend_from_slice(bytes);
    let checksum = dss_checksum(Sum::of(bytes), at, relative, bytes.len() as u16);
    pair.client
        .grant_at(pair.now, at, bytes.len(), Some(checksum));
}
