//! MPTCP options in every legal length, and in none other.

use crate::strategies::{bytes, mptcp_option};
use braid_engine::sequence::DataSequenceNumber;
use braid_engine::wire::mptcp_option::{
    CapableData, CapableFlags, DataNumber, Dss, DssMapping, Key, MptcpOption, ResetReason, Token,
};
use braid_engine::wire::tcp::TcpFlags;
use braid_engine::wire::{EmitError, ParseError};
use proptest::prelude::*;
use std::collections::BTreeSet;

const SYN: TcpFlags = TcpFlags::SYN;
const SYN_ACK: TcpFlags = TcpFlags::SYN.union(TcpFlags::ACK);
const ACK: TcpFlags = TcpFlags::ACK;

/// Reads the hexadecimal digits of a whole option, kind and length included.
fn parse(hex: &str, flags: TcpFlags) -> Result<MptcpOption, ParseError> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    assert_eq!(
        (bytes[0], usize::from(bytes[1])),
        (30, bytes.len()),
        "{hex}"
    );
    let parsed = MptcpOption::parse(&bytes[2..], flags);
    if let Ok(option) = &parsed {
        let mut buffer = [0xff; 40];
        assert_eq!(option.emit(&mut buffer), Ok(bytes.len()));
        assert_eq!(
            buffer[..bytes.len()],
            bytes,
            "{option:?} is written back as it was"
        );
    }
    parsed
}

#[test]
fn capable_in_its_five_lengths() {
    let flags = CapableFlags::HMAC_SHA256;
    let (sender_key, receiver_key) = (Key(0xff2e_c3a2_f615_1881), Key(0x54f0_4ad5_bd2d_9f42));
    let syn = MptcpOption::CapableSyn { version: 1, flags };
    assert_eq!(parse("1e04 0101", SYN), Ok(syn));
    let syn_ack = MptcpOption::CapableSynAck {
        version: 1,
        flags,
        sender_key,
    };
    assert_eq!(parse("1e0c 0101 ff2ec3a2f6151881", SYN_ACK), Ok(syn_ack));
    let ack = |data| MptcpOption::CapableAck {
        version: 1,
        flags,
        sender_key,
        receiver_key,
        data,
    };
    let keys = "ff2ec3a2f6151881 54f04ad5bd2d9f42";
    assert_eq!(parse(&format!("1e14 0101 {keys}"), ACK), Ok(ack(None)));
    let data = Some(CapableData {
        length: 100,
        checksum: None,
    });
    assert_eq!(parse(&format!("1e16 0101 {keys} 0064"), ACK), Ok(ack(data)));
    let data = Some(CapableData {
        length: 100,
        checksum: Some(0xbeef),
    });
    assert_eq!(
        parse(&format!("1e18 0101 {keys} 0064 beef"), ACK),
        Ok(ack(data))
    );
}

#[test]
fn capable_of_another_version_is_left_to_its_receiver() {
    let option = MptcpOption::parse(&[0x00, 0x81, 1, 2, 3, 4, 5, 6, 7, 8], SYN);
    let flags = CapableFlags::CHECKSUM_REQUIRED | CapableFlags::HMAC_SHA256;
    assert_eq!(option, Ok(MptcpOption::CapableSyn { version: 0, flags }));
    assert!(matches!(
        parse("1e04 0201", SYN),
        Ok(MptcpOption::CapableSyn { version: 2, .. })
    ));
}

#[test]
fn join_in_its_three_lengths() {
    let syn = MptcpOption::JoinSyn {
        backup: true,
        address_id: 7,
        token: Token(0xeef7_df2f),
        nonce: 0xc0d3_46f6,
    };
    assert_eq!(parse("1e0c 1107 eef7df2f c0d346f6", SYN), Ok(syn));
    let syn_ack = MptcpOption::JoinSynAck {
        backup: false,
        address_id: 2,
        hmac: 0xc748_9cf7_0564_28b4,
        nonce: 0x0a54_f9af,
    };
    assert_eq!(
        parse("1e10 1002 c7489cf7056428b4 0a54f9af", SYN_ACK),
        Ok(syn_ack)
    );
    let ack = parse("1e18 1000 b4e6a41bf5861313df7f5f454966998ad7e698a4", ACK);
    let Ok(MptcpOption::JoinAck { hmac }) = ack else {
        panic!("{ack:?}")
    };
    assert_eq!(hmac[..4], [0xb4, 0xe6, 0xa4, 0x1b]);
    assert_eq!(hmac[16..], [0xd7, 0xe6, 0x98, 0xa4]);
}

#[test]
fn handshake_options_on_the_wrong_step_are_refused() {
    let contents = [
        (vec![0x01, 0x01], SYN),
        ([&[0x01, 0x01][..], &[9; 8]].concat(), SYN_ACK),
        ([&[0x01, 0x01][..], &[9; 16]].concat(), ACK),
        ([&[0x01, 0x01][..], &[9; 18]].concat(), ACK),
        ([&[0x01, 0x01][..], &[9; 20]].concat(), ACK),
        ([&[0x10, 0x01][..], &[9; 8]].concat(), SYN),
        ([&[0x10, 0x01][..], &[9; 12]].concat(), SYN_ACK),
        ([&[0x10, 0x00][..], &[9; 20]].concat(), ACK),
    ];
    for (content, right) in contents {
        for flags in [SYN, SYN_ACK, ACK] {
            let parsed = MptcpOption::parse(&content, flags);
            assert_eq!(parsed.is_ok(), flags == right, "{content:x?} on {flags:?}");
        }
    }
}

#[test]
fn dss_in_every_combination() {
    let long = |number| DataNumber::Long(DataSequenceNumber(number));
    let numbers = [
        ("", None),
        ("80000001", Some(DataNumber::Short(0x8000_0001))),
        ("ffffffff00000001", Some(long(0xffff_ffff_0000_0001))),
    ];
    let mut lengths = BTreeSet::new();
    for (ack_hex, data_ack) in numbers {
        for (sequence_hex, sequence) in numbers {
            for checksum in [None, Some(0xabcd)] {
                for data_fin in [false, true] {
                    if sequence.is_none() && (data_fin || checksum.is_some()) {
                        continue;
                    }
                    let flags = [0x00, 0x01, 0x03][ack_hex.len() / 8]
                        | [0x00, 0x04, 0x0c][sequence_hex.len() / 8]
                        | if data_fin { 0x10 } else { 0 };
                    let rest = match (sequence, checksum) {
                        (None, _) => "",
                        (_, None) => "00000005 0400",
                        (_, Some(_)) => "00000005 0400 abcd",
                    };
                    let body = format!("20{flags:02x}{ack_hex}{sequence_hex}{rest}");
                    let length = 2 + body.replace(' ', "").len() / 2;
                    lengths.insert(length);
                    let mapping = sequence.map(|data_sequence| DssMapping {
                        data_sequence,
                        subflow_offset: 5,
                        length: 0x400,
                        checksum,
                    });
                    let expected = MptcpOption::Dss(Dss {
                        data_ack,
                        mapping,
                        data_fin,
                    });
                    assert_eq!(parse(&format!("1e{length:02x}{body}"), ACK), Ok(expected));
                }
            }
        }
    }
    let expected = [4, 8, 12, 14, 16, 18, 20, 22, 24, 26, 28];
    assert_eq!(lengths, BTreeSet::from(expected));
}

#[test]
fn data_fin_without_a_mapping_means_nothing() {
    let option = MptcpOption::parse(&[0x20, 0x11, 0, 0, 0, 9], ACK);
    let data_ack = Some(DataNumber::Short(9));
    assert_eq!(
        option,
        Ok(MptcpOption::Dss(Dss {
            data_ack,
            ..Dss::default()
        }))
    );
}

#[test]
fn add_address_in_its_eight_lengths() {
    let add = |address: &str, port, hmac| {
        Ok(MptcpOption::AddAddress {
            address_id: 3,
            address: address.parse().unwrap(),
            port,
            hmac,
        })
    };
    let (v4, v6) = ("0a000001", "fd00000000000000 0000000000000002");
    let hmac = "0123456789abcdef";
    let value = Some(0x0123_4567_89ab_cdef);
    assert_eq!(
        parse(&format!("1e08 3103 {v4}"), ACK),
        add("10.0.0.1", None, None)
    );
    assert_eq!(
        parse(&format!("1e0a 3103 {v4} 0050"), ACK),
        add("10.0.0.1", Some(80), None)
    );
    assert_eq!(
        parse(&format!("1e10 3003 {v4} {hmac}"), ACK),
        add("10.0.0.1", None, value)
    );
    let with_port = parse(&format!("1e12 3003 {v4} 0050 {hmac}"), ACK);
    assert_eq!(with_port, add("10.0.0.1", Some(80), value));
    assert_eq!(
        parse(&format!("1e14 3103 {v6}"), ACK),
        add("fd00::2", None, None)
    );
    assert_eq!(
        parse(&format!("1e16 3103 {v6} 0050"), ACK),
        add("fd00::2", Some(80), None)
    );
    assert_eq!(
        parse(&format!("1e1c 3003 {v6} {hmac}"), ACK),
        add("fd00::2", None, value)
    );
    let with_port = parse(&format!("1e1e 3003 {v6} 0050 {hmac}"), ACK);
    assert_eq!(with_port, add("fd00::2", Some(80), value));
    assert_eq!(
        parse(&format!("1e08 3003 {v4}"), ACK),
        Err(ParseError::Length),
        "no HMAC"
    );
    let echo_with_hmac = parse(&format!("1e10 3103 {v4} {hmac}"), ACK);
    assert_eq!(echo_with_hmac, Err(ParseError::Length));
}

#[test]
fn the_short_options() {
    let address_ids = [1, 2, 250].into_iter().collect();
    assert_eq!(
        parse("1e06 40 0102fa", ACK),
        Ok(MptcpOption::RemoveAddress { address_ids })
    );
    assert_eq!(parse("1e03 40", ACK), Err(ParseError::Length));
    assert_eq!(
        parse("1e03 51", ACK),
        Ok(MptcpOption::Priority { backup: true })
    );
    assert_eq!(
        parse("1e03 50", ACK),
        Ok(MptcpOption::Priority { backup: false })
    );
    let with_address = MptcpOption::parse(&[0x51, 9], ACK);
    assert_eq!(
        with_address,
        Ok(MptcpOption::Priority { backup: true }),
        "as version 0 wrote it"
    );
    let data_sequence = DataSequenceNumber(0x0102_0304_0506_0708);
    let fail = MptcpOption::Fail { data_sequence };
    assert_eq!(parse("1e0c 6000 0102030405060708", ACK), Ok(fail));
    let fastclose = MptcpOption::Fastclose {
        receiver_key: Key(0x0102_0304_0506_0708),
    };
    assert_eq!(parse("1e0c 7000 0102030405060708", ACK), Ok(fastclose));
    let reason = ResetReason::MiddleboxInterference;
    let reset = MptcpOption::Reset {
        transient: true,
        reason,
    };
    assert_eq!(parse("1e04 8106", TcpFlags::RST), Ok(reset));
    let reset = MptcpOption::Reset {
        transient: false,
        reason: ResetReason::Other(77),
    };
    assert_eq!(parse("1e04 804d", TcpFlags::RST), Ok(reset));
}

#[test]
fn experimental_and_unknown_subtypes_are_not_understood() {
    for subtype in 9..=15 {
        let parsed = MptcpOption::parse(&[subtype << 4, 0, 0, 0], ACK);
        assert_eq!(parsed, Err(ParseError::Unsupported), "subtype {subtype}");
    }
}

#[test]
fn each_subtype_takes_its_lengths_and_none_other() {
    let lengths = |subtype: u8, low: u8, second: u8, flags| -> Vec<usize> {
        let legal = |length: &usize| {
            let mut content = vec![0; length - 2];
            for (byte, value) in content.iter_mut().zip([subtype << 4 | low, second]) {
                *byte = value;
            }
            MptcpOption::parse(&content, flags).is_ok()
        };
        (2..=40).filter(legal).collect()
    };
    assert_eq!(lengths(0, 1, 1, SYN), [4]);
    assert_eq!(lengths(0, 0, 1, SYN), [12]);
    assert_eq!(lengths(0, 1, 1, SYN_ACK), [12]);
    assert_eq!(lengths(0, 1, 1, ACK), [20, 22, 24]);
    assert_eq!(lengths(1, 0, 0, SYN), [12]);
    assert_eq!(lengths(1, 0, 0, SYN_ACK), [16]);
    assert_eq!(lengths(1, 0, 0, ACK), [24]);
    assert_eq!(lengths(2, 0, 0x00, ACK), [4]);
    assert_eq!(lengths(2, 0, 0x03, ACK), [12]);
    assert_eq!(lengths(2, 0, 0x05, ACK), [18, 20]);
    assert_eq!(lengths(2, 0, 0x0f, ACK), [26, 28]);
    assert_eq!(lengths(3, 0, 1, ACK), [16, 18, 28, 30]);
    assert_eq!(lengths(3, 1, 1, ACK), [8, 10, 20, 22]);
    assert_eq!(lengths(4, 0, 1, ACK), (4..=40).collect::<Vec<_>>());
    assert_eq!(lengths(5, 0, 0, ACK), [3, 4]);
    assert_eq!(lengths(6, 0, 0, ACK), [12]);
    assert_eq!(lengths(7, 0, 0, ACK), [12]);
    assert_eq!(lengths(8, 0, 0, ACK), [4]);
}

proptest! {
    #[test]
    fn option_reads_what_it_writes((flags, option) in mptcp_option()) {
        let mut buffer = [0xff; 40];
        let length = option.emit(&mut buffer).unwrap();
        prop_assert_eq!(length, option.len());
        prop_assert_eq!(usize::from(buffer[1]), length);
        let short = option.emit(&mut [0; 40][..length - 1]);
        prop_assert_eq!(short, Err(EmitError::BufferTooShort));
        prop_assert_eq!(MptcpOption::parse(&buffer[2..length], flags), Ok(option));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(content in bytes(42), flags in any::<u8>()) {
        let flags = TcpFlags::from_bits_retain(flags);
        if let Ok(option) = MptcpOption::parse(&content, flags) {
            // Version 0 of MP_CAPABLE is read from its own form but has none here to be written in.
            prop_assume!(!matches!(option, MptcpOption::CapableSyn { version: 0, .. }));
            let mut buffer = [0; 40];
            let length = option.emit(&mut buffer).unwrap();
            prop_assert_eq!(MptcpOption::parse(&buffer[2..length], flags), Ok(option));
        }
    }
}
