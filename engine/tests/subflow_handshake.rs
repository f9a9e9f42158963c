//! How subflows open: MP_CAPABLE and MP_JOIN in both roles, and what is refused
//! (RFC 8684 sections 3.1 and 3.2).

mod subflow_harness;

use braid_engine::mptcp::message::{Establishment, FallbackReason, SubflowEnd};
use braid_engine::mptcp::subflow::{CapableConfig, Origin, Phase, Subflow};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::mptcp_option::{CapableFlags, MptcpOption, ResetReason, Token};
use braid_engine::wire::tcp::TcpFlags;
use subflow_harness::*;

fn plain(reason: FallbackReason) -> Told {
    Told::Established(Establishment::Plain(reason))
}

fn reset_with(segment: &Segment, wanted: ResetReason) -> bool {
    segment.has(TcpFlags::RST)
        && matches!(segment.options(), [MptcpOption::Reset { reason, .. }] if *reason == wanted)
}

#[test]
fn capable_goes_through_syn_syn_ack_and_third_ack() {
    let mut client = capable_client(CapableConfig::default());
    let now = Instant::from_millis(1);
    let syn = client.transmit(now).expect("a SYN");
    let flags = CapableFlags::HMAC_SHA256;
    assert_eq!(
        syn.options(),
        [MptcpOption::CapableSyn { version: 1, flags }]
    );
    let option = capable_syn_ack(CapableConfig::default());
    let (_, syn_ack) = answer(&syn, now, Some(option));
    client.receive(now, &syn_ack);
    let establishment = Establishment::Capable {
        remote_key: SERVER_KEY.into(),
        checksum: false,
        join_to_this_address: true,
    };
    assert_eq!(client.told, [Told::Established(establishment)]);
    assert!(client.room > 0);
    let third = client.transmit(now).expect("a third ACK");
    assert_eq!(
        third.options(),
        [MptcpOption::CapableAck {
            version: 1,
            flags,
            sender_key: CLIENT_KEY,
            receiver_key: SERVER_KEY,
            data: None,
        }]
    );
}

#[test]
fn the_third_ack_gives_the_server_the_key_and_first_data_confirms() {
    let config = CapableConfig::default();
    let mut pair = Pair::capable(config, config);
    pair.run();
    let establishment = Establishment::Capable {
        remote_key: CLIENT_KEY.into(),
        checksum: false,
        join_to_this_address: true,
    };
    assert_eq!(pair.server.told, [Told::Established(establishment)]);
    pair.client.grant(pair.now, b"hello");
    let segment = pair.client.transmit(pair.now).expect("data");
    assert!(matches!(
        segment.options(),
        [MptcpOption::CapableAck { data: Some(data), .. }] if data.length == 5 && data.checksum.is_none()
    ));
    pair.to_server.push_back(segment);
    pair.run();
    assert!(pair.server.has_told(&Told::Confirmed));
    assert!(pair.client.has_told(&Told::Confirmed), "by the DATA_ACK");
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"hello");
    pair.client.grant(pair.now, b"again");
    let segment = pair.client.transmit(pair.now).expect("data");
    assert!(matches!(segment.options(), [MptcpOption::Dss(dss)] if dss.mapping.is_some()));
}

#[test]
fn a_server_may_speak_first() {
    let config = CapableConfig::default();
    let mut pair = Pair::capable(config, config);
    pair.run();
    pair.server.grant(pair.now, b"banner");
    pair.run();
    assert!(pair.client.has_told(&Told::Confirmed));
    assert_eq!(pair.client.stream(initial(SERVER_KEY) + 1), b"banner");
    assert!(pair.server.has_told(&Told::Confirmed));
}

#[test]
fn first_data_stands_in_for_a_lost_third_ack() {
    let config = CapableConfig::default();
    let mut pair = Pair::capable(config, config);
    let third = pair.client.transmit(pair.now).expect("a third ACK");
    assert!(third.payload.is_empty());
    pair.client.grant(pair.now, b"hello");
    pair.run();
    assert!(matches!(
        pair.server.told[0],
        Told::Established(Establishment::Capable { .. })
    ));
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), b"hello");
}

#[test]
fn a_segment_that_overtakes_the_key_does_not_look_like_a_stripped_option() {
    let config = CapableConfig::default();
    let mut pair = Pair::capable(config, config);
    drop(pair.client.transmit(pair.now));
    pair.client.grant(pair.now, &[1; 3000]);
    let segments = pair.client.transmit_all(pair.now);
    assert!(segments.len() >= 3, "{}", segments.len());
    pair.to_server.extend(segments.into_iter().rev());
    pair.run();
    pair.pass(Duration::from_secs(5));
    assert!(!pair.server.told.iter().any(|told| matches!(
        told,
        Told::Established(Establishment::Plain(_)) | Told::FellBack(_)
    )));
    assert_eq!(pair.server.stream(initial(CLIENT_KEY) + 1), [1; 3000]);
}

#[test]
fn either_side_asking_forces_checksums() {
    let plain = CapableConfig::default();
    let asks = CapableConfig {
        checksum: true,
        ..plain
    };
    for (client, server) in [(plain, asks), (asks, asks)] {
        let mut pair = Pair::capable(client, server);
        pair.run();
        for side in [&pair.client, &pair.server] {
            assert!(
                matches!(
                    side.told[0],
                    Told::Established(Establishment::Capable { checksum: true, .. })
                ),
                "{client:?} {server:?} {:?}",
                side.told
            );
        }
    }
}

#[test]
fn a_peer_may_forbid_joins_to_its_address() {
    let config = CapableConfig {
        join_to_this_address: false,
        ..CapableConfig::default()
    };
    let mut pair = Pair::capable(config, config);
    pair.run();
    for side in [&pair.client, &pair.server] {
        let forbids = matches!(
            side.told[0],
            Told::Established(Establishment::Capable {
                join_to_this_address: false,
                ..
            })
        );
        assert!(forbids, "{:?}", side.told);
    }
}

#[test]
fn unusable_answers_lead_to_plain_tcp() {
    let usable = CapableFlags::HMAC_SHA256;
    let answers = [
        None,
        Some((0, usable)),
        Some((2, usable)),
        Some((1, CapableFlags::empty())),
        Some((1, usable | CapableFlags::EXTENSIBILITY)),
    ];
    for case in answers {
        let mut client = capable_client(CapableConfig::default());
        let now = Instant::from_millis(1);
        let syn = client.transmit(now).expect("a SYN");
        let option = case.map(|(version, flags)| MptcpOption::CapableSynAck {
            version,
            flags,
            sender_key: SERVER_KEY,
        });
        let (_, syn_ack) = answer(&syn, now, option);
        client.receive(now, &syn_ack);
        assert_eq!(
            client.told,
            [plain(FallbackReason::PeerNotCapable)],
            "{case:?}"
        );
        let third = client.transmit(now).expect("a third ACK");
        assert!(third.options().is_empty());
    }
}

#[test]
fn syns_without_answer_are_tried_twice_more_with_the_option_and_then_plain() {
    let mut client = capable_client(CapableConfig::default());
    let mut now = Instant::from_millis(1);
    let mut with_option = Vec::new();
    let mut last = None;
    while with_option.len() < 4 {
        client.advance(now);
        if let Some(syn) = client.transmit(now) {
            with_option.push(!syn.options().is_empty());
            last = Some(syn);
        }
        now = client.subflow.next_timeout().expect("SYNs repeat").max(now);
    }
    assert_eq!(with_option, [true, true, true, false]);
    // Even an answer to an earlier SYN is taken as one to the plain one that got through.
    let option = capable_syn_ack(CapableConfig::default());
    let (_, syn_ack) = answer(&last.expect("a SYN"), now, Some(option));
    client.receive(now, &syn_ack);
    assert_eq!(client.told, [plain(FallbackReason::SynDropped)]);
    let third = client.transmit(now).expect("a third ACK");
    assert!(third.options().is_empty());
}

#[test]
fn crossed_syns_lead_to_plain_tcp() {
    let now = Instant::from_millis(1);
    let mut one = capable_client(CapableConfig::default());
    let subflow = Subflow::connect_capable(
        tcp_config(),
        Instant::ZERO,
        SERVER_ISS,
        0,
        SERVER_KEY,
        CapableConfig::default(),
    );
    let mut other = Side::new(subflow, SERVER_KEY);
    let (syn, crossed) = (one.transmit(now), other.transmit(now));
    let mut pair = Pair::of(now, one, other);
    pair.to_server.extend(syn);
    pair.to_client.extend(crossed);
    pair.run();
    assert_eq!(pair.client.told, [plain(FallbackReason::SimultaneousOpen)]);
    assert_eq!(pair.server.told, [plain(FallbackReason::SimultaneousOpen)]);
    pair.client.source.start = PLAIN_START;
    pair.client.grant(pair.now, b"hi");
    pair.run();
    assert_eq!(pair.server.stream(PLAIN_START), b"hi");
}

const PLAIN_START: braid_engine::sequence::DataSequenceNumber =
    braid_engine::sequence::DataSequenceNumber(1);

#[test]
fn a_third_ack_without_option_leads_the_server_to_plain_tcp() {
    let config = CapableConfig::default();
    let mut pair = Pair::capable(config, config);
    let third = pair.client.transmit(pair.now).expect("a third ACK");
    pair.to_server.push_back(third.strip());
    pair.run();
    assert_eq!(pair.server.told, [plain(FallbackReason::OptionsStripped)]);
}

#[test]
fn a_third_ack_with_another_key_leads_the_server_to_plain_tcp() {
    let config = CapableConfig::default();
    let mut pair = Pair::capable(config, config);
    let mut third = pair.client.transmit(pair.now).expect("a third ACK");
    let Some(MptcpOption::CapableAck { receiver_key, .. }) = third.header.options.mptcp.first_mut()
    else {
        panic!("no MP_CAPABLE: {third:?}");
    };
    receiver_key.0 ^= 1;
    pair.to_server.push_back(third);
    pair.run();
    assert_eq!(pair.server.told, [plain(FallbackReason::OptionsStripped)]);
}

#[test]
fn plain_tcp_carries_no_option_and_numbers_from_one() {
    let now = Instant::from_millis(1);
    let subflow = Subflow::connect_plain(tcp_config(), Instant::ZERO, CLIENT_ISS, 0);
    let mut client = Side::new(subflow, CLIENT_KEY);
    client.source.start = PLAIN_START;
    let syn = client.transmit(now).expect("a SYN");
    assert!(syn.options().is_empty());
    let (negotiated, syn_ack) = answer(&syn, now, None);
    client.receive(now, &syn_ack);
    let subflow = Subflow::accept_plain(
        tcp_config(),
        now,
        negotiated,
        FallbackReason::PeerNotCapable,
    );
    let mut server = Side::new(subflow, SERVER_KEY);
    server.source.start = PLAIN_START;
    let mut pair = Pair::of(now, client, server);
    pair.client.grant(now, &[3; 5000]);
    pair.server.grant(now, b"yes");
    pair.run();
    assert_eq!(pair.client.told, [plain(FallbackReason::Disabled)]);
    assert_eq!(pair.server.told, [plain(FallbackReason::PeerNotCapable)]);
    assert_eq!(pair.server.stream(PLAIN_START), [3; 5000]);
    assert_eq!(pair.client.stream(PLAIN_START), b"yes");
    assert!(
        pair.trace
            .iter()
            .all(|segment| segment.options().is_empty())
    );
}

#[test]
fn a_join_goes_as_linux_does_it() {
    let mut pair = Pair::join();
    assert_eq!(pair.client.subflow.phase(), Phase::PreEstablished);
    assert_eq!(pair.client.told, []);
    assert_eq!(pair.client.room, 0, "no data before the fourth packet");
    let third = pair.client.transmit(pair.now).expect("a third ACK");
    let hmac = [
        0xb4, 0xe6, 0xa4, 0x1b, 0xf5, 0x86, 0x13, 0x13, 0xdf, 0x7f, 0x5f, 0x45, 0x49, 0x66, 0x99,
        0x8a, 0xd7, 0xe6, 0x98, 0xa4,
    ];
    assert_eq!(third.options(), [MptcpOption::JoinAck { hmac }]);
    pair.to_server.push_back(third);
    pair.run();
    assert_eq!(
        pair.server.told[0],
        Told::Established(Establishment::Joined {
            remote_address_id: 2,
            backup: false
        })
    );
    assert_eq!(
        pair.client.told[0],
        Told::Established(Establishment::Joined {
            remote_address_id: 3,
            backup: true
        })
    );
    assert!(pair.client.room > 0);
    assert_eq!(
        pair.client.subflow.phase(),
        Phase::Confirmed(Origin::Joined)
    );
    let at = initial(CLIENT_KEY) + 1;
    pair.client.grant(pair.now, b"joined");
    pair.run();
    assert_eq!(pair.server.stream(at), b"joined");
}

#[test]
fn the_syn_of_a_join_names_the_connection() {
    let mut client = join_client();
    let syn = client.transmit(Instant::from_millis(1)).expect("a SYN");
    assert_eq!(
        syn.options(),
        [MptcpOption::JoinSyn {
            backup: false,
            address_id: 2,
            token: Token(0xeef7_df2f),
            nonce: 0xc0d3_46f6,
        }]
    );
}

#[test]
fn the_third_ack_of_a_join_goes_again_until_it_is_answered() {
    let mut pair = Pair::join();
    let mut lost = 0;
    while lost < 3 {
        pair.client.advance(pair.now);
        lost += pair
            .client
            .transmit_all(pair.now)
            .iter()
            .filter(|segment| matches!(segment.options(), [MptcpOption::JoinAck { .. }]))
            .count();
        let next = pair.client.subflow.next_timeout().expect("it repeats");
        pair.now = next.max(pair.now);
    }
    pair.client.advance(pair.now);
    pair.run();
    assert!(matches!(
        pair.client.told[0],
        Told::Established(Establishment::Joined { .. })
    ));
}

#[test]
fn a_lost_fourth_packet_goes_again() {
    let mut pair = Pair::join();
    pair.to_server.extend(pair.client.transmit(pair.now));
    pair.run_edited(|from_client, segment| from_client.then_some(segment));
    assert!(matches!(
        pair.server.told[0],
        Told::Established(Establishment::Joined { .. })
    ));
    assert_eq!(pair.client.told, []);
    pair.pass(Duration::from_secs(2));
    assert!(matches!(
        pair.client.told[0],
        Told::Established(Establishment::Joined { .. })
    ));
}

#[test]
fn a_third_ack_that_is_never_answered_ends_the_join() {
    let mut pair = Pair::join();
    let mut acks = 0;
    for _ in 0..100 {
        pair.client.advance(pair.now);
        acks += pair.client.transmit_all(pair.now).len();
        match pair.client.subflow.next_timeout() {
            Some(next) => pair.now = next.max(pair.now),
            None => break,
        }
    }
    assert!((3..20).contains(&acks), "{acks}");
    assert!(
        matches!(
            pair.client.told[..],
            [Told::Ended(SubflowEnd::ResetHere(_))]
        ),
        "{:?}",
        pair.client.told
    );
}

#[test]
fn joins_are_refused_without_the_right_answer() {
    let wrong = match join_syn_ack() {
        MptcpOption::JoinSynAck {
            backup,
            address_id,
            hmac,
            nonce,
        } => MptcpOption::JoinSynAck {
            backup,
            address_id,
            hmac: hmac ^ 1,
            nonce,
        },
        other => other,
    };
    let capable = capable_syn_ack(CapableConfig::default());
    for option in [None, Some(wrong), Some(capable)] {
        let mut client = join_client();
        let now = Instant::from_millis(1);
        let syn = client.transmit(now).expect("a SYN");
        let (_, syn_ack) = answer(&syn, now, option.clone());
        client.receive(now, &syn_ack);
        let reason = ResetReason::MptcpError;
        assert_eq!(
            client.told,
            [Told::Ended(SubflowEnd::ResetHere(Some(reason)))],
            "{option:?}"
        );
        let segments = client.transmit_all(now);
        assert_eq!(segments.len(), 1, "{segments:?}");
        assert!(reset_with(&segments[0], reason), "{segments:?}");
    }
}

#[test]
fn a_join_is_refused_without_the_right_third_ack() {
    for strip in [false, true] {
        let mut pair = Pair::join();
        let mut third = pair.client.transmit(pair.now).expect("a third ACK");
        match third.header.options.mptcp.first_mut() {
            Some(MptcpOption::JoinAck { hmac }) => hmac[19] ^= 0x80,
            other => panic!("no MP_JOIN: {other:?}"),
        }
        pair.server
            .receive(pair.now, &if strip { third.strip() } else { third });
        let reason = ResetReason::MptcpError;
        assert_eq!(
            pair.server.told,
            [Told::Ended(SubflowEnd::ResetHere(Some(reason)))]
        );
        let segments = pair.server.transmit_all(pair.now);
        assert!(
            segments.len() == 1 && reset_with(&segments[0], reason),
            "{segments:?}"
        );
        pair.client.receive(pair.now, &segments[0]);
        assert!(
            matches!(
                pair.client.told[..],
                [Told::Ended(SubflowEnd::ResetByPeer { .. })]
            ),
            "{:?}",
            pair.client.told
        );
    }
}

#[test]
fn a_reset_of_the_syn_is_a_refusal() {
    let mut client = capable_client(CapableConfig::default());
    let now = Instant::from_millis(1);
    let syn = client.transmit(now).expect("a SYN");
    let (_, mut answer) = answer(&syn, now, None);
    answer.header.flags = TcpFlags::RST | TcpFlags::ACK;
    client.receive(now, &answer);
    assert_eq!(client.told, [Told::Ended(SubflowEnd::Refused)]);
}
