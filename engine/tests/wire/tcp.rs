//! The TCP header and its options.

use crate::strategies::{bytes, tcp_header, tcp_options, trimmed};
use braid_engine::sequence::SequenceNumber;
use braid_engine::wire::checksum::{PseudoHeader, Sum, copy_and_sum};
use braid_engine::wire::ip::Protocol;
use braid_engine::wire::mptcp_option::{DataNumber, Dss, DssMapping, MptcpOption};
use braid_engine::wire::tcp::{
    TcpFlags, TcpHeader, set_checksum, set_partial_checksum, verify_checksum,
};
use braid_engine::wire::tcp_option::{OPTION_SPACE, SackBlock, TcpOptions, Timestamps};
use braid_engine::wire::{EmitError, ParseError};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A SYN from a Linux capture.
const SYN: [u8; 40] = [
    0xc4, 0xb2, 0x00, 0x50, 0xa9, 0x93, 0x2b, 0xb9, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x02, 0xfa, 0xf0,
    0x14, 0x33, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a, 0xef, 0x2d, 0xcc, 0xfe,
    0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x0a,
];

fn syn() -> TcpHeader {
    TcpHeader {
        source_port: 50354,
        destination_port: 80,
        sequence: SequenceNumber(0xa993_2bb9),
        acknowledgment: SequenceNumber(0),
        flags: TcpFlags::SYN,
        window: 64240,
        options: TcpOptions {
            maximum_segment_size: Some(1460),
            window_scale: Some(10),
            sack_permitted: true,
            timestamps: Some(Timestamps {
                value: 4_012_756_222,
                echo: 0,
            }),
            ..TcpOptions::default()
        },
    }
}

fn pseudo() -> PseudoHeader {
    PseudoHeader::V4 {
        source: Ipv4Addr::new(10, 1, 0, 1),
        destination: Ipv4Addr::new(10, 2, 0, 1),
        protocol: Protocol::Tcp,
    }
}

fn parse_options(bytes: &[u8]) -> TcpOptions {
    TcpOptions::parse(bytes, TcpFlags::ACK)
}

#[test]
fn syn_that_linux_sent() {
    assert_eq!(TcpHeader::parse(&SYN), Ok((syn(), 40)));
    let mut buffer = [0xff; 40];
    assert_eq!(syn().emit(&mut buffer), Ok(40));
    set_partial_checksum(&mut buffer, &pseudo(), 0);
    assert_eq!(buffer, SYN, "the options stand where Linux puts them");
}

#[test]
fn full_checksum_is_the_one_a_device_would_compute() {
    let mut segment = [0; 43];
    syn().emit(&mut segment).unwrap();
    let (header, payload) = segment.split_at_mut(40);
    let sum = copy_and_sum(payload, b"abc");
    set_checksum(header, &pseudo(), sum, 3);
    assert!(verify_checksum(&pseudo(), &segment));
    // A device completes the partial sum over the segment as it stands.
    let full = segment;
    set_partial_checksum(&mut segment[..40], &pseudo(), 3);
    assert_eq!(Sum::of(&segment).finish().to_be_bytes(), full[16..18]);
    segment[42] ^= 1;
    assert!(!verify_checksum(&pseudo(), &segment));
}

#[test]
fn checksum_over_ipv6() {
    let pseudo = PseudoHeader::V6 {
        source: Ipv6Addr::LOCALHOST,
        destination: Ipv6Addr::LOCALHOST,
        protocol: Protocol::Tcp,
    };
    let mut segment = SYN;
    set_checksum(&mut segment, &pseudo, Sum::ZERO, 0);
    assert!(verify_checksum(&pseudo, &segment));
}

#[test]
fn header_lengths_that_contradict() {
    let parse = |data_offset: u8| {
        let mut segment = SYN;
        segment[12] = data_offset << 4;
        TcpHeader::parse(&segment).map(|(_, length)| length)
    };
    for data_offset in 0..5 {
        assert_eq!(parse(data_offset), Err(ParseError::Length));
    }
    assert_eq!(parse(5), Ok(20));
    assert_eq!(parse(10), Ok(40));
    assert_eq!(parse(11), Err(ParseError::Truncated));
    for length in 0..40 {
        let cut = TcpHeader::parse(&SYN[..length]);
        assert_eq!(cut, Err(ParseError::Truncated), "length {length}");
    }
}

#[test]
fn unknown_and_misshapen_options_are_skipped() {
    let timestamps = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let expected = Some(Timestamps { value: 1, echo: 2 });
    let strange: [&[u8]; 7] = [
        &[99, 2],
        &[254, 5, 1, 2, 3],
        &[2, 3, 1],
        &[3, 4, 1, 1],
        &[4, 3, 1],
        &[5, 9, 1, 2, 3, 4, 5, 6, 7],
        &[30, 2],
    ];
    for option in strange {
        let options = parse_options(&[option, &timestamps].concat());
        let alone = TcpOptions {
            timestamps: expected,
            ..TcpOptions::default()
        };
        assert_eq!(options, alone, "{option:?}");
    }
}

#[test]
fn reading_ends_at_the_end_or_where_a_length_leads_nowhere() {
    let timestamps = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    for stop in [&[0][..], &[99, 0], &[99, 1], &[99, 200]] {
        let options = parse_options(&[&[4, 2], stop, &timestamps].concat());
        assert!(options.sack_permitted, "what came before counts");
        assert_eq!(options.timestamps, None, "{stop:?}");
    }
    assert_eq!(parse_options(&[1, 1, 8]), TcpOptions::default());
}

#[test]
fn window_scale_is_at_most_14() {
    assert_eq!(parse_options(&[3, 3, 14]).window_scale, Some(14));
    assert_eq!(parse_options(&[3, 3, 15]).window_scale, Some(14));
    assert_eq!(parse_options(&[3, 3, 255]).window_scale, Some(14));
}

#[test]
fn at_most_four_mptcp_options_are_kept() {
    let priority = [30, 3, 0x51];
    let options = parse_options(&priority.repeat(6));
    assert_eq!(
        options.mptcp.as_slice(),
        vec![MptcpOption::Priority { backup: true }; 4]
    );
}

fn block(start: u32) -> SackBlock {
    SackBlock {
        start: SequenceNumber(start),
        end: SequenceNumber(start.wrapping_add(9)),
    }
}

fn full_dss() -> MptcpOption {
    let number = DataNumber::Long(braid_engine::sequence::DataSequenceNumber(u64::MAX));
    MptcpOption::Dss(Dss {
        data_ack: Some(number),
        mapping: Some(DssMapping {
            data_sequence: number,
            subflow_offset: 1,
            length: 1,
            checksum: Some(0),
        }),
        data_fin: true,
    })
}

#[test]
fn timestamps_stand_aligned_where_it_costs_nothing() {
    let timestamps = Some(Timestamps { value: 1, echo: 2 });
    let mut options = TcpOptions {
        timestamps,
        ..TcpOptions::default()
    };
    let mut buffer = [0xff; 40];
    assert_eq!(options.emit(&mut buffer), Ok(12));
    assert_eq!(buffer[..4], [1, 1, 8, 10]);
    options.mptcp.push(full_dss());
    assert_eq!(
        options.emit(&mut buffer),
        Ok(40),
        "timestamps and the longest DSS fit"
    );
    assert_eq!(buffer[..4], [1, 1, 8, 10]);
    options.mptcp.clear();
    options.sack.push(block(1));
    assert_eq!(options.emit(&mut buffer), Ok(20));
    assert_eq!(buffer[..2], [8, 10]);
}

#[test]
fn sack_blocks_take_what_is_left() {
    let timestamps = Some(Timestamps { value: 1, echo: 2 });
    let mut options = TcpOptions::default();
    assert_eq!(options.sack_blocks_that_fit(), 4);
    options.timestamps = timestamps;
    assert_eq!(options.sack_blocks_that_fit(), 3);
    options
        .sack
        .extend([block(1), block(20), block(40), block(60)]);
    assert_eq!(
        options.sack_blocks_that_fit(),
        3,
        "blocks that are there do not count twice"
    );
    let length = options.len();
    assert_eq!(options.emit(&mut [0; 60]), Ok(length));
    let header = TcpHeader {
        options: options.clone(),
        ..TcpHeader::default()
    };
    assert_eq!(
        header.emit(&mut [0; 80]),
        Err(EmitError::OptionSpace { length: 44 })
    );
    options.mptcp.push(full_dss());
    assert_eq!(options.sack_blocks_that_fit(), 0);
}

proptest! {
    #[test]
    fn header_reads_what_it_writes(header in tcp_header(), payload in bytes(30)) {
        let mut segment = vec![0xff; header.header_len()];
        prop_assert_eq!(header.emit(&mut segment), Ok(header.header_len()));
        segment.extend(payload);
        prop_assert_eq!(TcpHeader::parse(&segment), Ok((header.clone(), header.header_len())));
        let mut short = vec![0; header.header_len() - 1];
        prop_assert_eq!(header.emit(&mut short), Err(EmitError::BufferTooShort));
    }

    #[test]
    fn options_that_do_not_fit_are_refused((flags, options) in tcp_options()) {
        let length = options.len();
        let header = TcpHeader { flags, options: options.clone(), ..TcpHeader::default() };
        let emitted = header.emit(&mut [0; 200]);
        if length > OPTION_SPACE {
            prop_assert_eq!(emitted, Err(EmitError::OptionSpace { length }));
        } else {
            prop_assert_eq!(emitted, Ok(20 + length));
        }
        prop_assert!(trimmed(options).len() <= OPTION_SPACE);
    }

    #[test]
    fn as_many_sack_blocks_fit_as_said((_, mut options) in tcp_options()) {
        let fit = options.sack_blocks_that_fit();
        options.sack.clear();
        prop_assume!(options.len() <= OPTION_SPACE);
        options.sack.extend((0..fit).map(|index| block(index as u32)));
        prop_assert!(options.len() <= OPTION_SPACE);
        if fit < 4 {
            options.sack.push(block(9));
            prop_assert!(options.len() > OPTION_SPACE);
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(mut segment in bytes(80)) {
        let _ = TcpHeader::parse(&segment);
        if let Some(data_offset) = segment.get_mut(12) {
            *data_offset |= 0xf0;
        }
        let _ = TcpHeader::parse(&segment);
        let _ = verify_checksum(&pseudo(), &segment);
        set_checksum(&mut segment, &pseudo(), Sum::ZERO, 0);
    }

    #[test]
    fn what_is_read_of_any_options_is_read_again(kinds in any::<[u8; 6]>(), mut bytes in bytes(40)) {
        // Sow known kinds, so that not all is skipped.
        for (index, kind) in kinds.into_iter().enumerate() {
            if let Some(byte) = bytes.get_mut(index * 6) {
                *byte = [1, 2, 3, 4, 5, 8, 30, kind][usize::from(kind) % 8];
            }
        }
        let options = parse_options(&bytes);
        let mut buffer = [0; 60];
        let length = options.emit(&mut buffer).unwrap();
        prop_assert_eq!(parse_options(&buffer[..length]), options);
    }
}
