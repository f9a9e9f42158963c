//! Signals between the segments of data, resets, and answers to probes (RFC 8684 sections 3.4 to 3.6).

use braid_engine::mptcp::message::{SubflowEnd, ToSubflow};
use braid_engine::mptcp::subflow::CapableConfig;
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::{DssMapping, MptcpOption, ResetReason};

use crate::subflow_harness::*;
use crate::support::{client_next, dss, mapping_mut, one_segment};

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
