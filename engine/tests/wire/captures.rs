//! Frames that Linux sent, read and written back.

use braid_engine::wire::IpPacket;
use braid_engine::wire::checksum::{Sum, dss_checksum_is_valid};
use braid_engine::wire::ethernet::EthernetHeader;
use braid_engine::wire::mptcp_option::{
    CapableData, CapableFlags, DataNumber, Key, MptcpOption, Token,
};
use braid_engine::wire::tcp::{TcpHeader, set_checksum, set_partial_checksum, verify_checksum};

const MPTCP: &str = include_str!("captures/linux_mptcp.hex");
const CONTROL: &str = include_str!("captures/linux_control.hex");

/// The frames of a capture, one a line in hexadecimal.
fn frames(text: &str) -> Vec<Vec<u8>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let pairs = line.as_bytes().chunks(2);
            pairs
                .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect()
        })
        .collect()
}

/// The frames of ARP, neighbour discovery and ICMP: the IP packet of each, or ARP.
pub(crate) fn control_frames() -> Vec<Vec<u8>> {
    frames(CONTROL)
}

struct Segment {
    packet: IpPacket,
    header: TcpHeader,
    header_bytes: Vec<u8>,
    payload: Vec<u8>,
}

fn segments() -> Vec<Segment> {
    let frames = frames(MPTCP);
    assert_eq!(frames.len(), 70);
    let segment = |frame: &Vec<u8>| {
        let (ethernet, start) = EthernetHeader::parse(frame).unwrap();
        let packet = IpPacket::parse(ethernet.ether_type, &frame[start..]).unwrap();
        let bytes = &frame[start..][packet.payload.clone()];
        let (header, header_len) = TcpHeader::parse(bytes).unwrap();
        Segment {
            packet,
            header,
            header_bytes: bytes[..header_len].to_vec(),
            payload: bytes[header_len..].to_vec(),
        }
    };
    frames.iter().map(segment).collect()
}

/// The content of every MPTCP option of a header.
fn mptcp_contents(header_bytes: &[u8]) -> Vec<&[u8]> {
    let mut contents = Vec::new();
    let mut rest = &header_bytes[20..];
    while let [kind, after @ ..] = rest {
        match kind {
            0 => break,
            1 => rest = after,
            _ => {
                let length = usize::from(after[0]);
                if *kind == 30 {
                    contents.push(&rest[2..length]);
                }
                rest = &rest[length..];
            }
        }
    }
    contents
}

#[test]
fn every_mptcp_option_is_written_as_linux_wrote_it() {
    let mut options = 0;
    for segment in segments() {
        let contents = mptcp_contents(&segment.header_bytes);
        assert_eq!(contents.len(), segment.header.options.mptcp.len());
        for content in contents {
            let option = MptcpOption::parse(content, segment.header.flags).unwrap();
            let mut buffer = [0; 40];
            let length = option.emit(&mut buffer).unwrap();
            assert_eq!(buffer[2..length], *content, "{option:?}");
            options += 1;
        }
    }
    assert_eq!(options, 67, "all but two pure TCP ACKs and a RST carry one");
}

#[test]
fn every_header_is_written_as_linux_wrote_it() {
    let mut complete = 0;
    for segment in segments() {
        let pseudo = segment.packet.header.pseudo_header();
        let payload_len = segment.payload.len();
        let mut buffer = [0; 60];
        let length = segment.header.emit(&mut buffer).unwrap();
        let header = &mut buffer[..length];
        // Loopback leaves the sum of the pseudo header, for a device to complete. Only the
        // segments that no socket sends, a RST and an ACK out of TIME_WAIT, are complete.
        if verify_checksum(&pseudo, &segment.header_bytes) {
            set_checksum(header, &pseudo, Sum::of(&segment.payload), payload_len);
            complete += 1;
        } else {
            set_partial_checksum(header, &pseudo, payload_len);
        }
        assert_eq!(*header, segment.header_bytes, "{:?}", segment.header);
    }
    assert_eq!(complete, 3);
}

#[test]
fn handshake_options_hold_what_tshark_reads() {
    let segments = segments();
    let option = |frame: usize| segments[frame - 1].header.options.mptcp[0].clone();
    let flags = CapableFlags::CHECKSUM_REQUIRED | CapableFlags::HMAC_SHA256;
    let client = Key(17_556_213_451_619_935_172);
    let server = Key(14_189_716_126_247_153_808);
    assert_eq!(option(1), MptcpOption::CapableSyn { version: 1, flags });
    let syn_ack = MptcpOption::CapableSynAck {
        version: 1,
        flags,
        sender_key: server,
    };
    assert_eq!(option(2), syn_ack);
    let ack = |sender_key, receiver_key, data| MptcpOption::CapableAck {
        version: 1,
        flags,
        sender_key,
        receiver_key,
        data,
    };
    assert_eq!(option(3), ack(client, server, None));
    let token = Token(1_043_592_268);
    assert!(
        matches!(option(7), MptcpOption::JoinSyn { backup: false, address_id: 0, token: found, .. }
        if found == token)
    );
    assert!(
        matches!(option(8), MptcpOption::JoinSynAck { backup: false, address_id: 1, hmac, .. }
        if hmac == 11_302_567_021_741_049_175)
    );
    let client = Key(8_100_163_997_309_586_610);
    let server = Key(4_608_120_616_558_209_887);
    let data = Some(CapableData {
        length: 100,
        checksum: Some(0x882d),
    });
    assert_eq!(option(38), ack(client, server, data));
}

#[test]
fn every_mapping_has_the_checksum_that_linux_computed() {
    let mut mappings = 0;
    for Segment {
        header, payload, ..
    } in segments()
    {
        for option in &header.options.mptcp {
            let MptcpOption::Dss(dss) = option else {
                continue;
            };
            let Some(mapping) = dss.mapping else { continue };
            let DataNumber::Long(data_sequence) = mapping.data_sequence else {
                panic!("Linux sends 64 bits");
            };
            let checksum = mapping.checksum.expect("checksums are on");
            assert!(
                dss_checksum_is_valid(
                    Sum::of(&payload),
                    data_sequence,
                    mapping.subflow_offset,
                    mapping.length,
                    checksum
                ),
                "{mapping:?}"
            );
            mappings += 1;
        }
    }
    assert_eq!(mappings, 15);
}
