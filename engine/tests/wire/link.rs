//! Ethernet and ARP.

use crate::strategies::bytes;
use braid_engine::wire::arp::{ArpOperation, ArpPacket};
use braid_engine::wire::ethernet::{EtherType, EthernetHeader, MacAddress};
use braid_engine::wire::{EmitError, ParseError};
use proptest::prelude::*;
use std::net::Ipv4Addr;

const FIRST: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x0a]);
const SECOND: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x01]);

/// A request from a Linux capture.
const REQUEST: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x08, 0x06, 0x00, 0x01,
    0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x0a, 0x01, 0x00, 0x01,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x01, 0x00, 0xfe,
];

#[test]
fn request_that_linux_sent() {
    let header = EthernetHeader {
        destination: MacAddress::BROADCAST,
        source: FIRST,
        ether_type: EtherType::Arp,
    };
    let request = ArpPacket {
        operation: ArpOperation::Request,
        sender_mac: FIRST,
        sender_address: Ipv4Addr::new(10, 1, 0, 1),
        target_mac: MacAddress::default(),
        target_address: Ipv4Addr::new(10, 1, 0, 254),
    };
    assert_eq!(EthernetHeader::parse(&REQUEST), Ok((header, 14)));
    assert_eq!(ArpPacket::parse(&REQUEST[14..]), Ok(request));

    let mut frame = [0; 42];
    assert_eq!(header.emit(&mut frame), Ok(14));
    assert_eq!(request.emit(&mut frame[14..]), Ok(28));
    assert_eq!(frame, REQUEST);
}

#[test]
fn padding_of_a_short_frame_is_ignored() {
    let padded = [&REQUEST[14..], &[0; 18]].concat();
    assert_eq!(ArpPacket::parse(&padded), ArpPacket::parse(&REQUEST[14..]));
}

#[test]
fn what_is_not_ipv4_over_ethernet_is_refused() {
    let cases = [
        (0, ParseError::Unsupported),
        (2, ParseError::Unsupported),
        (4, ParseError::Length),
        (5, ParseError::Length),
        (6, ParseError::Unsupported),
    ];
    for (at, error) in cases {
        let mut packet = REQUEST[14..].to_vec();
        packet[at] ^= 0x40;
        assert_eq!(ArpPacket::parse(&packet), Err(error), "byte {at}");
    }
}

#[test]
fn every_cut_is_told() {
    for length in 0..28 {
        let cut = &REQUEST[14..14 + length];
        assert_eq!(
            ArpPacket::parse(cut),
            Err(ParseError::Truncated),
            "length {length}"
        );
    }
    for length in 0..14 {
        let cut = EthernetHeader::parse(&REQUEST[..length]);
        assert_eq!(cut, Err(ParseError::Truncated), "length {length}");
    }
}

#[test]
fn short_buffers_are_refused() {
    let (header, _) = EthernetHeader::parse(&REQUEST).unwrap();
    let packet = ArpPacket::parse(&REQUEST[14..]).unwrap();
    assert_eq!(header.emit(&mut [0; 13]), Err(EmitError::BufferTooShort));
    assert_eq!(packet.emit(&mut [0; 27]), Err(EmitError::BufferTooShort));
}

#[test]
fn kinds_of_addresses() {
    assert!(MacAddress::BROADCAST.is_multicast());
    assert!(SECOND.is_unicast());
    assert!(!MacAddress::default().is_unicast());
    assert_eq!(FIRST.to_string(), "02:00:00:00:00:0a");
    let group = MacAddress::of_ipv4_multicast(Ipv4Addr::new(239, 255, 1, 2));
    assert_eq!(group.to_string(), "01:00:5e:7f:01:02");
    let group = MacAddress::of_ipv6_multicast("ff02::1:ff00:254".parse().unwrap());
    assert_eq!(group.to_string(), "33:33:ff:00:02:54");
}

proptest! {
    #[test]
    fn ethernet_reads_what_it_writes(
        destination in any::<[u8; 6]>(), source in any::<[u8; 6]>(), number in any::<u16>(),
    ) {
        let header = EthernetHeader {
            destination: MacAddress(destination),
            source: MacAddress(source),
            ether_type: EtherType::from_number(number),
        };
        let mut buffer = [0; 14];
        prop_assert_eq!(header.emit(&mut buffer), Ok(14));
        prop_assert_eq!(EthernetHeader::parse(&buffer), Ok((header, 14)));
    }

    #[test]
    fn arp_reads_what_it_writes(
        is_request in any::<bool>(), macs in any::<[[u8; 6]; 2]>(), ips in any::<[Ipv4Addr; 2]>(),
    ) {
        let packet = ArpPacket {
            operation: if is_request { ArpOperation::Request } else { ArpOperation::Reply },
            sender_mac: MacAddress(macs[0]),
            sender_address: ips[0],
            target_mac: MacAddress(macs[1]),
            target_address: ips[1],
        };
        let mut buffer = [0; 28];
        prop_assert_eq!(packet.emit(&mut buffer), Ok(28));
        prop_assert_eq!(ArpPacket::parse(&buffer), Ok(packet));
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in bytes(64)) {
        let _ = EthernetHeader::parse(&bytes);
        let _ = ArpPacket::parse(&bytes);
    }

    #[test]
    fn no_damage_makes_arp_panic(at in 0..28usize, value in any::<u8>(), length in 0..28usize) {
        let mut packet = REQUEST[14..].to_vec();
        packet[at] = value;
        let _ = ArpPacket::parse(&packet);
        let _ = ArpPacket::parse(&packet[..length]);
    }
}
