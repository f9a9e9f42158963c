//! ICMP of both versions, and neighbour discovery within.

use crate::captures::control_frames;
use crate::strategies::bytes;
use braid_engine::wire::checksum::{PseudoHeader, Sum};
use braid_engine::wire::ethernet::{EthernetHeader, MacAddress};
use braid_engine::wire::icmp::{
    Echo, EchoDirection, IcmpError, IcmpErrorKind, QuotedSegment, UnreachableReason,
};
use braid_engine::wire::icmpv4::{self, Icmpv4};
use braid_engine::wire::icmpv6::{self, Icmpv6};
use braid_engine::wire::ip::Protocol;
use braid_engine::wire::neighbour_discovery::{NeighbourMessage, solicited_node_multicast};
use braid_engine::wire::{EmitError, IpPacket, ParseError};
use proptest::option;
use proptest::prelude::*;
use std::net::{Ipv6Addr, SocketAddr};

fn pseudo() -> PseudoHeader {
    let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let destination = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    PseudoHeader::V6 {
        source,
        destination,
        protocol: Protocol::Icmpv6,
    }
}

/// What a control frame says, in a form to compare.
fn describe(frame: &[u8]) -> String {
    let (ethernet, start) = EthernetHeader::parse(frame).unwrap();
    let Ok(packet) = IpPacket::parse(ethernet.ether_type, &frame[start..]) else {
        return String::from("not an IP packet");
    };
    let bytes = &frame[start..][packet.payload];
    let error = |error: IcmpError| {
        let QuotedSegment {
            source,
            destination,
            sequence,
        } = error.quoted;
        format!("{:?} of {source} > {destination} {sequence:?}", error.kind)
    };
    match packet.header.protocol() {
        Protocol::Icmpv4 => match Icmpv4::parse(bytes).unwrap() {
            Icmpv4::Echo(echo) => format!("{echo:?}"),
            Icmpv4::Error(about) => error(about),
            Icmpv4::Other { kind, code } => format!("ICMP {kind}/{code}"),
        },
        Protocol::Icmpv6 => match Icmpv6::parse(bytes, &packet.header.pseudo_header()).unwrap() {
            Icmpv6::Echo(echo) => format!("{echo:?}"),
            Icmpv6::Error(about) => error(about),
            Icmpv6::Neighbour(message) => format!("{message:?}"),
            Icmpv6::Other { kind, code } => format!("ICMPv6 {kind}/{code}"),
        },
        other => format!("{other:?}"),
    }
}

#[test]
fn messages_that_linux_sent() {
    let descriptions: Vec<_> = control_frames()
        .iter()
        .map(|frame| describe(frame))
        .collect();
    insta::assert_snapshot!(descriptions.join("\n"));
}

#[test]
fn echoes_and_neighbour_messages_are_written_as_linux_wrote_them() {
    let mut written = 0;
    for frame in control_frames() {
        let (ethernet, start) = EthernetHeader::parse(&frame).unwrap();
        let Ok(packet) = IpPacket::parse(ethernet.ether_type, &frame[start..]) else {
            continue;
        };
        let bytes = &frame[start..][packet.payload];
        let pseudo = packet.header.pseudo_header();
        let mut buffer = [0; 128];
        let length = match packet.header.protocol() {
            Protocol::Icmpv4 => match Icmpv4::parse(bytes).unwrap() {
                Icmpv4::Echo(echo) => icmpv4::emit_echo(&echo, &mut buffer).unwrap(),
                _ => continue,
            },
            Protocol::Icmpv6 => match Icmpv6::parse(bytes, &pseudo).unwrap() {
                Icmpv6::Echo(echo) => icmpv6::emit_echo(&echo, &pseudo, &mut buffer).unwrap(),
                Icmpv6::Neighbour(message) => message.emit(&pseudo, &mut buffer).unwrap(),
                _ => continue,
            },
            _ => continue,
        };
        assert_eq!(buffer[..length], *bytes);
        written += 1;
    }
    assert_eq!(
        written, 7,
        "two echoes a version, a solicitation of each kind, an advertisement"
    );
}

#[test]
fn damaged_messages_are_refused() {
    let echo = Echo {
        direction: EchoDirection::Request,
        identifier: 7,
        sequence: 9,
        payload: b"abc",
    };
    let mut buffer = [0; 11];
    icmpv4::emit_echo(&echo, &mut buffer).unwrap();
    assert_eq!(Icmpv4::parse(&buffer), Ok(Icmpv4::Echo(echo)));
    buffer[10] ^= 1;
    assert_eq!(Icmpv4::parse(&buffer), Err(ParseError::Checksum));
    assert_eq!(Icmpv4::parse(&buffer[..7]), Err(ParseError::Truncated));
    icmpv6::emit_echo(&echo, &pseudo(), &mut buffer).unwrap();
    assert_eq!(Icmpv6::parse(&buffer, &pseudo()), Ok(Icmpv6::Echo(echo)));
    buffer[10] ^= 1;
    assert_eq!(Icmpv6::parse(&buffer, &pseudo()), Err(ParseError::Checksum));
    let short = icmpv4::emit_echo(&echo, &mut buffer[..10]);
    assert_eq!(short, Err(EmitError::BufferTooShort));
}

/// A datagram of TCP, cut after the eight bytes that an error must quote at least.
fn quoted_v4(protocol: u8) -> Vec<u8> {
    let header = [
        0x45, 0, 0x05, 0xdc, 0, 1, 0x40, 0, 1, protocol, 0xde, 0xad, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    [&header[..], &[0x12, 0x34, 0x00, 0x50, 0x80, 0, 0, 1]].concat()
}

fn quoted_v6() -> Vec<u8> {
    let mut datagram = vec![0x60, 0, 0, 0, 0x05, 0xdc, 6, 1];
    datagram.extend([0; 15].iter().chain(&[1]).chain(&[0; 15]).chain(&[2]));
    datagram.extend([0x12, 0x34, 0x00, 0x50, 0x80, 0, 0, 1]);
    datagram
}

#[test]
fn quotation_that_is_cut_still_names_the_segment() {
    let mut buffer = [0; 128];
    let kind = IcmpErrorKind::PacketTooBig { mtu: 1400 };
    let length = icmpv4::emit_error(kind, &quoted_v4(6), &mut buffer).unwrap();
    let Ok(Icmpv4::Error(error)) = Icmpv4::parse(&buffer[..length]) else {
        panic!("not read as an error");
    };
    assert_eq!(error.kind, kind);
    assert_eq!(
        error.quoted.source,
        SocketAddr::from(([10, 0, 0, 1], 0x1234))
    );
    assert_eq!(
        error.quoted.destination,
        SocketAddr::from(([10, 0, 0, 2], 80))
    );
    assert_eq!(error.quoted.sequence.0, 0x8000_0001);

    let length = icmpv6::emit_error(kind, &quoted_v6(), &pseudo(), &mut buffer).unwrap();
    let Ok(Icmpv6::Error(error)) = Icmpv6::parse(&buffer[..length], &pseudo()) else {
        panic!("not read as an error");
    };
    assert_eq!(error.kind, kind);
    assert_eq!(error.quoted.destination, "[::2]:80".parse().unwrap());
}

#[test]
fn quotation_that_names_no_segment_is_refused() {
    let parse = |datagram: &[u8]| {
        let mut buffer = [0; 128];
        let kind = IcmpErrorKind::TimeExceeded;
        let length = icmpv4::emit_error(kind, datagram, &mut buffer).unwrap();
        Icmpv4::parse(&buffer[..length]).unwrap_err()
    };
    assert_eq!(parse(&quoted_v4(17)), ParseError::Unsupported);
    assert_eq!(parse(&quoted_v4(6)[..27]), ParseError::Truncated);
    let mut later_fragment = quoted_v4(6);
    later_fragment[7] = 8;
    assert_eq!(parse(&later_fragment), ParseError::Fragment);
}

#[test]
fn long_datagrams_are_quoted_in_part() {
    let mut datagram = quoted_v4(6);
    datagram.resize(1500, 0);
    let mut buffer = [0; 1500];
    let length = icmpv4::emit_error(IcmpErrorKind::TimeExceeded, &datagram, &mut buffer).unwrap();
    assert_eq!(length, 556, "with the IP header 576");
    let mut datagram = quoted_v6();
    datagram.resize(1500, 0);
    let kind = IcmpErrorKind::TimeExceeded;
    let length = icmpv6::emit_error(kind, &datagram, &pseudo(), &mut buffer).unwrap();
    assert_eq!(length, 1240, "with the IP header 1280");
}

#[test]
fn neighbour_messages_that_are_invalid() {
    let message = NeighbourMessage::Solicitation {
        target: Ipv6Addr::LOCALHOST,
        source_link_address: Some(MacAddress([2; 6])),
    };
    let parse = |change: fn(&mut [u8; 32])| {
        let mut buffer = [0; 32];
        assert_eq!(message.emit(&pseudo(), &mut buffer), Ok(32));
        change(&mut buffer);
        buffer[2..4].fill(0);
        let checksum = pseudo().sum(32).add_bytes(&buffer).finish();
        buffer[2..4].copy_from_slice(&checksum.to_be_bytes());
        Icmpv6::parse(&buffer, &pseudo()).map(|_| ())
    };
    assert_eq!(parse(|_| {}), Ok(()));
    assert_eq!(parse(|bytes| bytes[1] = 1), Err(ParseError::Value), "code");
    assert_eq!(
        parse(|bytes| bytes[8] = 0xff),
        Err(ParseError::Value),
        "multicast target"
    );
    assert_eq!(
        parse(|bytes| bytes[25] = 0),
        Err(ParseError::Length),
        "option without length"
    );
    assert_eq!(
        parse(|bytes| bytes[25] = 2),
        Err(ParseError::Truncated),
        "option too long"
    );
}

#[test]
fn solicitations_go_to_the_group_of_the_target() {
    let target = "fd01::1234:5678".parse().unwrap();
    assert_eq!(
        solicited_node_multicast(target),
        "ff02::1:ff34:5678".parse::<Ipv6Addr>().unwrap()
    );
}

fn mac() -> impl Strategy<Value = Option<MacAddress>> {
    option::of(any::<[u8; 6]>().prop_map(MacAddress))
}

fn neighbour_message() -> impl Strategy<Value = NeighbourMessage> {
    let target = || any::<Ipv6Addr>().prop_filter("multicast", |address| !address.is_multicast());
    prop_oneof![
        (target(), mac()).prop_map(|(target, source_link_address)| {
            NeighbourMessage::Solicitation {
                target,
                source_link_address,
            }
        }),
        (any::<[bool; 3]>(), target(), mac()).prop_map(
            |([router, solicited, overrides], target, target_link_address)| {
                NeighbourMessage::Advertisement {
                    router,
                    solicited,
                    overrides,
                    target,
                    target_link_address,
                }
            }
        ),
        mac().prop_map(|source_link_address| NeighbourMessage::RouterSolicitation {
            source_link_address
        }),
        (any::<(u8, u16)>(), mac(), option::of(any::<u32>())).prop_map(
            |((hop_limit, lifetime), source_link_address, mtu)| {
                NeighbourMessage::RouterAdvertisement {
                    hop_limit,
                    lifetime,
                    source_link_address,
                    mtu,
                }
            }
        ),
    ]
}

fn error_kind() -> impl Strategy<Value = IcmpErrorKind> {
    use UnreachableReason::{Host, Network, Port, Prohibited, Protocol};
    prop_oneof![
        prop::sample::select(vec![Network, Host, Protocol, Port, Prohibited])
            .prop_map(IcmpErrorKind::Unreachable),
        (0..=65535u32).prop_map(|mtu| IcmpErrorKind::PacketTooBig { mtu }),
        Just(IcmpErrorKind::TimeExceeded),
        Just(IcmpErrorKind::ParameterProblem),
    ]
}

proptest! {
    #[test]
    fn neighbour_messages_read_what_they_write(message in neighbour_message()) {
        let mut buffer = [0; 64];
        let length = message.emit(&pseudo(), &mut buffer).unwrap();
        prop_assert_eq!(length, message.len());
        let parsed = Icmpv6::parse(&buffer[..length], &pseudo());
        prop_assert_eq!(parsed, Ok(Icmpv6::Neighbour(message)));
        let short = message.emit(&pseudo(), &mut buffer[..length - 1]);
        prop_assert_eq!(short, Err(EmitError::BufferTooShort));
    }

    #[test]
    fn errors_keep_their_kind(kind in error_kind()) {
        let mut buffer = [0; 128];
        let length = icmpv4::emit_error(kind, &quoted_v4(6), &mut buffer).unwrap();
        let parsed = Icmpv4::parse(&buffer[..length]);
        prop_assert!(matches!(parsed, Ok(Icmpv4::Error(error)) if error.kind == kind));
        let length = icmpv6::emit_error(kind, &quoted_v6(), &pseudo(), &mut buffer).unwrap();
        let parsed = Icmpv6::parse(&buffer[..length], &pseudo());
        prop_assert!(matches!(parsed, Ok(Icmpv6::Error(error)) if error.kind == kind));
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(kind in any::<u8>(), mut bytes in bytes(160)) {
        let _ = Icmpv4::parse(&bytes);
        let _ = Icmpv6::parse(&bytes, &pseudo());
        // Again with a right checksum and a kind that is understood, to get past the first checks.
        if bytes.len() >= 8 {
            bytes[0] = [3, 11, 12, 1, 2, 4, 133, 134, 135, 136, 8, 128][usize::from(kind) % 12];
            bytes[1] = 0;
            bytes[2..4].fill(0);
            let checksum = Sum::of(&bytes).finish();
            bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
            prop_assert_ne!(Icmpv4::parse(&bytes), Err(ParseError::Checksum));
            bytes[2..4].fill(0);
            let checksum = pseudo().sum(bytes.len()).add_bytes(&bytes).finish();
            bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
            prop_assert_ne!(Icmpv6::parse(&bytes, &pseudo()), Err(ParseError::Checksum));
        }
    }

    #[test]
    fn no_quotation_makes_the_parsers_panic(datagram in bytes(80), at in 0..56usize, value in any::<u8>()) {
        let mut buffer = [0; 160];
        let kind = IcmpErrorKind::TimeExceeded;
        let mut damaged_v4 = quoted_v4(6);
        damaged_v4[at % 28] = value;
        let mut damaged_v6 = quoted_v6();
        damaged_v6[at % 48] = value;
        for quoted in [&datagram, &damaged_v4] {
            let length = icmpv4::emit_error(kind, quoted, &mut buffer).unwrap();
            let _ = Icmpv4::parse(&buffer[..length]);
        }
        for quoted in [&datagram, &damaged_v6] {
            let length = icmpv6::emit_error(kind, quoted, &pseudo(), &mut buffer).unwrap();
            let _ = Icmpv6::parse(&buffer[..length], &pseudo());
        }
    }
}
