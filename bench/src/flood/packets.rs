//! The packets of a scenario, and the file that net_pcap reads them from (the format of libpcap,
//! draft-ietf-opsawg-pcap).

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use arrayvec::ArrayVec;
use braid_engine::sequence::SequenceNumber;
use braid_engine::wire::EmitError;
use braid_engine::wire::arp::{ArpOperation, ArpPacket};
use braid_engine::wire::checksum::Sum;
use braid_engine::wire::ethernet::{EtherType, EthernetHeader, MacAddress};
use braid_engine::wire::ip::{Protocol, TrafficClass};
use braid_engine::wire::ipv4::Ipv4Header;
use braid_engine::wire::mptcp_option::{CapableFlags, MptcpOption};
use braid_engine::wire::tcp::{TcpFlags, TcpHeader, set_checksum};
use braid_engine::wire::tcp_option::{TcpOptions, Timestamps};

use super::{FLOODED, FLOODING, PORT, Scenario, session};
use crate::memory_links::text;

/// Packets of a file: net_pcap keeps all of them in buffers of its pool.
const COUNT: u16 = 1_000;

/// A frame of 64 bytes without the checksum of the link.
const SHORTEST: usize = 60;

/// The frames of a scenario, in their order.
///
/// # Errors
///
/// When the session to be replayed does not come to be.
pub fn of(scenario: Scenario) -> Result<Vec<Vec<u8>>, String> {
    // So that the engine has somebody to answer.
    let mut frames = vec![greeting().map_err(text)?];
    match scenario {
        Scenario::SynFlood => {
            for number in 0..COUNT {
                frames.push(syn(number).map_err(text)?);
            }
        }
        Scenario::Replay => frames.extend(session::record(COUNT.into())?),
        Scenario::Stream64 | Scenario::Stream1500 => {
            let payload = if scenario == Scenario::Stream64 {
                0
            } else {
                1_460
            };
            for number in 0..COUNT {
                frames.push(segment(number, payload).map_err(text)?);
            }
        }
    }
    Ok(frames)
}

/// Writes frames into a file.
///
/// # Errors
///
/// What the system says.
pub fn write(path: &Path, frames: &[Vec<u8>]) -> Result<(), String> {
    /// Magic number of microseconds, version 2.4, no time zone, the longest packet, Ethernet.
    const HEADER: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1];
    let mut bytes: Vec<u8> = HEADER.iter().flat_map(|word| word.to_ne_bytes()).collect();
    for (number, frame) in (0..).zip(frames) {
        let length = u32::try_from(frame.len()).map_err(text)?;
        let record = [0, number, length, length];
        bytes.extend(record.iter().flat_map(|word: &u32| word.to_ne_bytes()));
        bytes.extend(frame);
    }
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// The flooding host asks for the engine's address, and so tells its own.
fn greeting() -> Result<Vec<u8>, EmitError> {
    let packet = ArpPacket {
        operation: ArpOperation::Request,
        sender_mac: FLOODING.mac,
        sender_address: FLOODING.address,
        target_mac: MacAddress([0; 6]),
        target_address: FLOODED.address,
    };
    let mut frame = vec![0; SHORTEST];
    let header = EthernetHeader {
        destination: MacAddress([0xff; 6]),
        source: FLOODING.mac,
        ether_type: EtherType::Arp,
    };
    let start = header.emit(&mut frame)?;
    packet.emit(&mut frame[start..])?;
    Ok(frame)
}

/// A SYN of another address and port for each number.
fn syn(number: u16) -> Result<Vec<u8>, EmitError> {
    let [high, low] = number.to_be_bytes();
    let mut mptcp = ArrayVec::new();
    mptcp.push(MptcpOption::CapableSyn {
        version: 1,
        flags: CapableFlags::HMAC_SHA256,
    });
    let header = TcpHeader {
        source_port: 1_024 + number,
        destination_port: PORT,
        sequence: SequenceNumber(u32::from(number) << 16),
        flags: TcpFlags::SYN,
        window: 65_535,
        options: TcpOptions {
            maximum_segment_size: Some(1_460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 1, echo: 0 }),
            mptcp,
            ..TcpOptions::default()
        },
        ..TcpHeader::default()
    };
    frame(Ipv4Addr::new(10, 9, 1 + high, low), &header, 0)
}

/// A segment of no connection.
fn segment(number: u16, payload: usize) -> Result<Vec<u8>, EmitError> {
    let header = TcpHeader {
        source_port: 1_024 + number,
        destination_port: PORT,
        sequence: SequenceNumber(1),
        acknowledgment: SequenceNumber(1),
        flags: TcpFlags::ACK,
        window: 65_535,
        ..TcpHeader::default()
    };
    frame(FLOODING.address, &header, payload)
}

fn frame(source: Ipv4Addr, tcp: &TcpHeader, payload: usize) -> Result<Vec<u8>, EmitError> {
    let ethernet = EthernetHeader {
        destination: FLOODED.mac,
        source: FLOODING.mac,
        ether_type: EtherType::Ipv4,
    };
    let ip = Ipv4Header {
        source,
        destination: FLOODED.address,
        protocol: Protocol::Tcp,
        hop_limit: 64,
        traffic_class: TrafficClass::default(),
        identification: 0,
        dont_fragment: true,
    };
    let segment = tcp.header_len() + payload;
    let length = EthernetHeader::LEN + Ipv4Header::LEN + segment;
    let mut frame = vec![0; length.max(SHORTEST)];
    let network = ethernet.emit(&mut frame)?;
    let transport = network + ip.emit(segment, &mut frame[network..])?;
    let header = &mut frame[transport..];
    let header_len = tcp.emit(header)?;
    // The payload is zeros, which add nothing.
    set_checksum(
        &mut header[..header_len],
        &ip.pseudo_header(),
        Sum::default(),
        payload,
    );
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use braid_engine::wire::tcp::verify_checksum;

    use super::*;

    fn parsed(frame: &[u8]) -> TcpHeader {
        let (ethernet, start) = EthernetHeader::parse(frame).unwrap();
        assert_eq!(ethernet.destination, FLOODED.mac);
        let (ip, payload) = Ipv4Header::parse(&frame[start..]).unwrap();
        assert_eq!(ip.destination, FLOODED.address);
        let segment = &frame[start..][payload];
        assert!(verify_checksum(&ip.pseudo_header(), segment));
        TcpHeader::parse(segment).unwrap().0
    }

    #[test]
    fn a_flood_is_of_as_many_connections_as_packets() {
        let frames = of(Scenario::SynFlood).unwrap();
        let mut ports: Vec<u16> = frames[1..]
            .iter()
            .map(|frame| {
                let header = parsed(frame);
                assert!(header.flags == TcpFlags::SYN && header.options.mptcp.len() == 1);
                header.source_port
            })
            .collect();
        ports.dedup();
        assert_eq!(ports.len(), usize::from(COUNT));
    }

    #[test]
    fn streams_have_the_sizes_of_their_names() {
        for (scenario, length) in [(Scenario::Stream64, 60), (Scenario::Stream1500, 1_514)] {
            for frame in &of(scenario).unwrap()[1..] {
                assert_eq!(frame.len(), length);
                assert_eq!(parsed(frame).flags, TcpFlags::ACK);
            }
        }
    }

    #[test]
    fn a_replay_has_the_handshake_and_data_of_one_side() {
        let frames = of(Scenario::Replay).unwrap();
        assert!(frames.len() > 100, "{} frames", frames.len());
        let segments: Vec<TcpHeader> = frames
            .iter()
            .filter(|frame| frame[12..14] == [8, 0])
            .map(|frame| parsed(frame))
            .collect();
        assert_eq!(segments[0].flags, TcpFlags::SYN);
        let multipath = |header: &TcpHeader| !header.options.mptcp.is_empty();
        assert!(segments.iter().all(multipath));
    }
}
