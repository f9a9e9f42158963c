//! IPv4 and IPv6 headers.

use crate::strategies::{bytes, ipv4_header, ipv6_header};
use braid_engine::wire::checksum::Sum;
use braid_engine::wire::ethernet::EtherType;
use braid_engine::wire::ip::{Ecn, Protocol, TrafficClass};
use braid_engine::wire::ipv4::Ipv4Header;
use braid_engine::wire::ipv6::Ipv6Header;
use braid_engine::wire::{EmitError, IpHeader, IpPacket, ParseError};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The header of a SYN from a Linux capture.
const V4: [u8; 20] = [
    0x45, 0x00, 0x00, 0x3c, 0xca, 0xfe, 0x40, 0x00, 0x40, 0x06, 0x5b, 0xb9, 0x0a, 0x01, 0x00, 0x01,
    0x0a, 0x02, 0x00, 0x01,
];

const V4_HEADER: Ipv4Header = Ipv4Header {
    source: Ipv4Addr::new(10, 1, 0, 1),
    destination: Ipv4Addr::new(10, 2, 0, 1),
    protocol: Protocol::Tcp,
    hop_limit: 64,
    traffic_class: TrafficClass::new(0, Ecn::NotCapable),
    identification: 0xcafe,
    dont_fragment: true,
};

const V6_HEADER: Ipv6Header = Ipv6Header {
    source: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1),
    destination: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
    protocol: Protocol::Tcp,
    hop_limit: 255,
    traffic_class: TrafficClass::new(46, Ecn::Capable0),
    flow_label: 0xabcde,
};

/// A datagram with `change` made to its header and the checksum put right.
fn v4_datagram(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut datagram = V4.to_vec();
    datagram.resize(0x3c, 0x77);
    change(&mut datagram);
    datagram[10..12].fill(0);
    let header_len = (usize::from(datagram[0] & 0xf) * 4).min(datagram.len());
    let checksum = Sum::of(&datagram[..header_len]).finish();
    datagram[10..12].copy_from_slice(&checksum.to_be_bytes());
    datagram
}

/// A datagram of extension headers and a payload, whose first header is of kind `first`.
fn v6_datagram(first: u8, after: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        protocol: Protocol::from_number(first),
        ..V6_HEADER
    };
    let mut datagram = vec![0; 40];
    header.emit(after.len(), &mut datagram).unwrap();
    datagram.extend_from_slice(after);
    datagram
}

#[test]
fn ipv4_header_that_linux_sent() {
    let datagram = v4_datagram(|_| {});
    assert_eq!(datagram[..20], V4, "the checksum of the capture is right");
    assert_eq!(Ipv4Header::parse(&datagram), Ok((V4_HEADER, 20..60)));
    let mut buffer = [0; 20];
    assert_eq!(V4_HEADER.emit(40, &mut buffer), Ok(20));
    assert_eq!(buffer, V4);
}

#[test]
fn ipv4_padding_and_options_are_no_payload() {
    let padded = v4_datagram(|datagram| datagram.extend([0; 6]));
    assert_eq!(Ipv4Header::parse(&padded), Ok((V4_HEADER, 20..60)));
    let with_options = v4_datagram(|datagram| datagram[0] = 0x4f);
    assert_eq!(Ipv4Header::parse(&with_options), Ok((V4_HEADER, 60..60)));
}

#[test]
fn ipv4_defects_are_told_apart() {
    let parse = |change: fn(&mut Vec<u8>)| Ipv4Header::parse(&v4_datagram(change)).unwrap_err();
    assert_eq!(parse(|datagram| datagram[0] = 0x65), ParseError::Version);
    assert_eq!(parse(|datagram| datagram[0] = 0x44), ParseError::Length);
    assert_eq!(parse(|datagram| datagram[3] = 19), ParseError::Length);
    assert_eq!(parse(|datagram| datagram[3] = 61), ParseError::Truncated);
    assert_eq!(parse(|datagram| datagram[6] = 0x20), ParseError::Fragment);
    assert_eq!(parse(|datagram| datagram[7] = 1), ParseError::Fragment);
    let mut damaged = v4_datagram(|_| {});
    damaged[8] ^= 1;
    assert_eq!(Ipv4Header::parse(&damaged), Err(ParseError::Checksum));
    for length in 0..60 {
        let cut = Ipv4Header::parse(&v4_datagram(|_| {})[..length]);
        assert_eq!(cut, Err(ParseError::Truncated), "length {length}");
    }
}

#[test]
fn ipv6_header_by_hand() {
    let mut buffer = [0; 40];
    assert_eq!(V6_HEADER.emit(5, &mut buffer), Ok(40));
    assert_eq!(buffer[..8], [0x6b, 0xaa, 0xbc, 0xde, 0, 5, 6, 255]);
    let datagram = [&buffer[..], b"hello", &[0; 3]].concat();
    assert_eq!(Ipv6Header::parse(&datagram), Ok((V6_HEADER, 40..45)));
    for length in 0..45 {
        let cut = Ipv6Header::parse(&datagram[..length]);
        assert_eq!(cut, Err(ParseError::Truncated), "length {length}");
    }
}

#[test]
fn ipv6_extension_headers_are_skipped() {
    let hop_by_hop = [60, 0, 5, 2, 0, 0, 1, 0];
    let destination = [43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let routing_done = [44, 0, 4, 0, 0, 0, 0, 0];
    let atomic_fragment = [6, 0, 0, 0, 1, 2, 3, 4];
    let chain = [
        &hop_by_hop[..],
        &destination,
        &routing_done,
        &atomic_fragment,
        b"payload",
    ]
    .concat();
    let datagram = v6_datagram(0, &chain);
    assert_eq!(Ipv6Header::parse(&datagram), Ok((V6_HEADER, 80..87)));
}

#[test]
fn ipv6_extension_headers_that_stop_a_datagram() {
    let parse = |first, after: &[u8]| Ipv6Header::parse(&v6_datagram(first, after)).unwrap_err();
    let fragments = [[6, 0, 0, 1, 0, 0, 0, 1], [6, 0, 0, 8, 0, 0, 0, 1]];
    for fragment in fragments {
        assert_eq!(parse(44, &fragment), ParseError::Fragment);
    }
    let segments_left = [6, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(parse(43, &segments_left), ParseError::Unsupported);
    let jumbo_payload = [6, 0, 0xc2, 4, 0, 1, 0, 0];
    assert_eq!(parse(0, &jumbo_payload), ParseError::Unsupported);
    let option_past_the_end = [6, 0, 5, 9, 0, 0, 0, 0];
    assert_eq!(parse(60, &option_past_the_end), ParseError::Truncated);
    let header_past_the_end = [6, 1, 1, 4, 0, 0, 0, 0];
    assert_eq!(parse(60, &header_past_the_end), ParseError::Truncated);
    let endless = [60, 0, 1, 4, 0, 0, 0, 0].repeat(100);
    assert_eq!(parse(60, &endless), ParseError::Unsupported);
}

#[test]
fn payloads_that_no_length_field_holds() {
    let mut buffer = [0; 40];
    let error = EmitError::PayloadTooLong { length: 65516 };
    assert_eq!(V4_HEADER.emit(65516, &mut buffer), Err(error));
    assert_eq!(V4_HEADER.emit(65515, &mut buffer), Ok(20));
    let error = EmitError::PayloadTooLong { length: 65536 };
    assert_eq!(V6_HEADER.emit(65536, &mut buffer), Err(error));
    assert_eq!(V6_HEADER.emit(65535, &mut buffer), Ok(40));
    assert_eq!(V4_HEADER.emit(usize::MAX, &mut buffer).ok(), None);
    assert_eq!(
        V4_HEADER.emit(0, &mut buffer[..19]),
        Err(EmitError::BufferTooShort)
    );
    assert_eq!(
        V6_HEADER.emit(0, &mut buffer[..39]),
        Err(EmitError::BufferTooShort)
    );
}

#[test]
fn packet_of_either_version() {
    let v4 = IpPacket::parse(EtherType::Ipv4, &v4_datagram(|_| {})).unwrap();
    assert_eq!(
        v4,
        IpPacket {
            header: IpHeader::V4(V4_HEADER),
            payload: 20..60
        }
    );
    assert_eq!(v4.header.source(), V4_HEADER.source);
    assert_eq!(v4.header.protocol(), Protocol::Tcp);
    let v6 = IpPacket::parse(EtherType::Ipv6, &v6_datagram(6, b"abc")).unwrap();
    assert_eq!(
        v6,
        IpPacket {
            header: IpHeader::V6(V6_HEADER),
            payload: 40..43
        }
    );
    assert_eq!(v6.header.hop_limit(), 255);
    assert_eq!(v6.header.traffic_class().ecn(), Ecn::Capable0);
    assert_eq!(v6.header.traffic_class().dscp(), 46);
    let crossed = IpPacket::parse(EtherType::Ipv4, &v6_datagram(6, b"abc"));
    assert_eq!(crossed, Err(ParseError::Version));
    assert_eq!(
        IpPacket::parse(EtherType::Arp, &V4),
        Err(ParseError::Unsupported)
    );
}

proptest! {
    #[test]
    fn ipv4_reads_what_it_writes(header in ipv4_header(), payload in 0..200usize, padding in 0..20usize) {
        let mut datagram = vec![0; 20 + payload + padding];
        prop_assert_eq!(header.emit(payload, &mut datagram), Ok(20));
        prop_assert_eq!(Ipv4Header::parse(&datagram), Ok((header, 20..20 + payload)));
    }

    #[test]
    fn ipv6_reads_what_it_writes(header in ipv6_header(), payload in 0..200usize, padding in 0..20usize) {
        let mut datagram = vec![0; 40 + payload + padding];
        prop_assert_eq!(header.emit(payload, &mut datagram), Ok(40));
        prop_assert_eq!(Ipv6Header::parse(&datagram), Ok((header, 40..40 + payload)));
    }

    #[test]
    fn traffic_class_keeps_its_byte(byte in any::<u8>()) {
        let class = TrafficClass::from_byte(byte);
        prop_assert_eq!(class.byte(), byte);
        prop_assert_eq!(TrafficClass::new(class.dscp(), class.ecn()), class);
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(mut bytes in bytes(128)) {
        let _ = IpPacket::parse(EtherType::Ipv4, &bytes);
        let _ = IpPacket::parse(EtherType::Ipv6, &bytes);
        // Again with the version and, for IPv4, the checksum right, to get past the first checks.
        if bytes.len() >= 20 {
            bytes[0] = 0x40 | bytes[0] & 0xf;
            bytes[10..12].fill(0);
            let header_len = (usize::from(bytes[0] & 0xf) * 4).min(bytes.len());
            let checksum = Sum::of(&bytes[..header_len]).finish();
            bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
            let parsed = Ipv4Header::parse(&bytes);
            prop_assert_ne!(parsed.as_ref().err(), Some(&ParseError::Checksum));
            if let Ok((_, payload)) = parsed {
                prop_assert!(bytes.get(payload).is_some());
            }
        }
    }

    #[test]
    fn no_extension_headers_make_the_parser_panic(first in any::<u8>(), mut after in bytes(200)) {
        for first in [first, 0, 43, 44, 60] {
            if let Some(next) = after.first_mut() {
                *next = [6, 0, 43, 44, 60][usize::from(*next) % 5];
            }
            let datagram = v6_datagram(first, &after);
            if let Ok((_, payload)) = Ipv6Header::parse(&datagram) {
                prop_assert!(datagram.get(payload).is_some());
            }
        }
    }
}
