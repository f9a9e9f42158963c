//! Copies of bytes that home lets go before their subflow has them acknowledged (RFC 8684 section 3.3.6).

use braid_engine::mptcp::message::{SubflowEnd, ToSubflow};
use braid_engine::mptcp::subflow::CapableConfig;
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::ResetReason;

use crate::subflow_harness::*;
use crate::support::client_next;

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
