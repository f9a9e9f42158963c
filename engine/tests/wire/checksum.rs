//! The Internet checksum against a plain sum of words.

use crate::strategies::bytes;
use braid_engine::sequence::DataSequenceNumber;
use braid_engine::wire::checksum::{
    PseudoHeader, Sum, copy_and_sum, dss_checksum, dss_checksum_is_valid,
};
use braid_engine::wire::ip::Protocol;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 1071 by its letter: big-endian words, carries added at the end.
fn reference(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    for pair in bytes.chunks(2) {
        sum += u64::from(u16::from_be_bytes([
            pair[0],
            pair.get(1).copied().unwrap_or(0),
        ]));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn example_of_rfc_1071() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Sum::of(&bytes).partial(), 0xddf2);
    assert_eq!(Sum::of(&bytes).finish(), !0xddf2);
}

#[test]
fn carries_are_not_lost_in_64_kibibytes_of_ones() {
    for length in [65534, 65535, 65536, 1 << 20] {
        let bytes = vec![0xff; length];
        assert_eq!(
            Sum::of(&bytes).finish(),
            reference(&bytes),
            "length {length}"
        );
    }
}

#[test]
fn segment_that_holds_its_checksum_is_valid() {
    // Taken from a Linux capture: the IPv4 header of a SYN.
    let header = [
        0x45, 0x00, 0x00, 0x3c, 0xca, 0xfe, 0x40, 0x00, 0x40, 0x06, 0x5b, 0xb9, 0x0a, 0x01, 0x00,
        0x01, 0x0a, 0x02, 0x00, 0x01,
    ];
    assert!(Sum::of(&header).is_valid());
    for bit in 0..header.len() * 8 {
        let mut damaged = header;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(!Sum::of(&damaged).is_valid(), "bit {bit} flipped unseen");
    }
}

#[test]
fn pseudo_header_of_mixed_families_does_not_exist() {
    let (v4, v6) = (
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    );
    assert_eq!(PseudoHeader::new(v4, v6, Protocol::Tcp), None);
    assert_eq!(PseudoHeader::new(v6, v4, Protocol::Tcp), None);
}

#[test]
fn checksum_of_a_mapping_that_linux_sent() {
    // Seven bytes "x" from a capture with checksums on: DSN, SSN, length and checksum of its DSS.
    let payload = Sum::of(b"xxxxxxx");
    let dsn = DataSequenceNumber(0xd57a_9e14_3c9b_9cac);
    assert_eq!(dss_checksum(payload, dsn, 1, 7), 0xd1b6);
    assert!(dss_checksum_is_valid(payload, dsn, 1, 7, 0xd1b6));
    assert!(!dss_checksum_is_valid(payload, dsn, 1, 7, 0xd1b7));
    assert!(!dss_checksum_is_valid(payload, dsn + 1, 1, 7, 0xd1b6));
    assert!(!dss_checksum_is_valid(payload, dsn, 2, 7, 0xd1b6));
}

proptest! {
    #[test]
    fn sum_equals_the_plain_one(bytes in bytes(700)) {
        prop_assert_eq!(Sum::of(&bytes).finish(), reference(&bytes));
    }

    #[test]
    fn copy_sums_and_copies(bytes in bytes(700)) {
        let mut copy = vec![0xaa; bytes.len()];
        let sum = copy_and_sum(&mut copy, &bytes);
        prop_assert_eq!(sum.finish(), reference(&bytes));
        prop_assert_eq!(copy, bytes);
    }

    #[test]
    fn copy_takes_what_both_slices_hold(source in bytes(300), room in 0..300usize) {
        let mut copy = vec![0; room];
        let sum = copy_and_sum(&mut copy, &source);
        let length = room.min(source.len());
        prop_assert_eq!(&copy[..length], &source[..length]);
        prop_assert_eq!(sum.finish(), reference(&source[..length]));
    }

    #[test]
    fn parts_combine_at_any_offset(bytes in bytes(300), cuts in any::<[prop::sample::Index; 3]>()) {
        let mut cuts = cuts.map(|cut| cut.index(bytes.len() + 1));
        cuts.sort_unstable();
        let mut sum = Sum::ZERO;
        let mut start = 0;
        for end in cuts.into_iter().chain([bytes.len()]) {
            sum = sum.add_at(start, Sum::of(&bytes[start..end]));
            start = end;
        }
        prop_assert_eq!(sum.finish(), reference(&bytes));
    }

    #[test]
    fn fields_count_like_their_bytes(a in any::<u16>(), b in any::<u32>(), c in any::<u64>()) {
        let bytes = [&a.to_be_bytes()[..], &b.to_be_bytes(), &c.to_be_bytes()].concat();
        prop_assert_eq!(Sum::ZERO.add_u16(a).add_u32(b).add_u64(c).finish(), reference(&bytes));
    }

    #[test]
    fn pseudo_headers_count_like_their_bytes(
        v4 in any::<(Ipv4Addr, Ipv4Addr)>(), v6 in any::<(Ipv6Addr, Ipv6Addr)>(), length in 0..=65535u16,
    ) {
        let pseudo = PseudoHeader::new(v4.0.into(), v4.1.into(), Protocol::Tcp).unwrap();
        let length_bytes = length.to_be_bytes();
        let bytes = [&v4.0.octets()[..], &v4.1.octets(), &[0, 6], &length_bytes].concat();
        prop_assert_eq!(pseudo.sum(length.into()).finish(), reference(&bytes));

        let pseudo = PseudoHeader::new(v6.0.into(), v6.1.into(), Protocol::Icmpv6).unwrap();
        let tail = [0, 0, length_bytes[0], length_bytes[1], 0, 0, 0, 58];
        let bytes = [&v6.0.octets()[..], &v6.1.octets(), &tail].concat();
        prop_assert_eq!(pseudo.sum(length.into()).finish(), reference(&bytes));
    }

    #[test]
    fn mapping_counts_like_the_bytes_of_rfc_8684(
        payload in bytes(300), dsn in any::<u64>(), ssn in any::<u32>(),
    ) {
        let length = payload.len() as u16;
        let mut bytes = payload.clone();
        bytes.resize(payload.len().next_multiple_of(2), 0);
        bytes.extend(dsn.to_be_bytes());
        bytes.extend(ssn.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend([0, 0]);
        let dsn = DataSequenceNumber(dsn);
        prop_assert_eq!(dss_checksum(Sum::of(&payload), dsn, ssn, length), reference(&bytes));
    }
}
