//! A hand-made neighbour of one stack: it writes frames field by field and reads what comes back.

use super::{PLAIN, Sent, Side, drain, interface, mac, receive_meta, v4, v6};
use braid_engine::stack::{PortId, ReceiveMeta, Stack, StackConfig};
use braid_engine::storage::frame::Frame;
use braid_engine::time::Instant;
use braid_engine::wire::arp::{ArpOperation, ArpPacket};
use braid_engine::wire::checksum::{PseudoHeader, Sum};
use braid_engine::wire::ethernet::{EtherType, EthernetHeader, MacAddress};
use braid_engine::wire::ip::{IpHeader, IpPacket, Protocol, TrafficClass};
use braid_engine::wire::ipv4::Ipv4Header;
use braid_engine::wire::ipv6::Ipv6Header;
use braid_engine::wire::tcp::{TcpFlags, TcpHeader, set_checksum, verify_checksum};
use core::net::{IpAddr, Ipv4Addr};

/// A stack as server with one interface, and the peer across the link.
pub struct Bench {
    pub stack: Stack,
    pub now: Instant,
}

/// A received frame taken apart.
#[derive(Debug)]
pub struct Seen {
    pub ethernet: EthernetHeader,
    pub ip: Option<IpHeader>,
    /// What follows the IP header, or the Ethernet header where there is none.
    pub payload: Vec<u8>,
}

impl Seen {
    pub fn of(sent: &Sent) -> Self {
        let (ethernet, start) = EthernetHeader::parse(&sent.bytes).expect("a whole header");
        let content = &sent.bytes[start..];
        match IpPacket::parse(ethernet.ether_type, content) {
            Ok(packet) => Self {
                ethernet,
                payload: content[packet.payload.clone()].to_vec(),
                ip: Some(packet.header),
            },
            Err(_) => Self {
                ethernet,
                ip: None,
                payload: content.to_vec(),
            },
        }
    }

    pub fn arp(&self) -> Option<ArpPacket> {
        (self.ethernet.ether_type == EtherType::Arp)
            .then(|| ArpPacket::parse(&self.payload).expect("a sound ARP packet"))
    }

    /// The segment; its checksum must be right.
    pub fn tcp(&self) -> Option<TcpHeader> {
        let ip = self.ip.as_ref()?;
        (ip.protocol() == Protocol::Tcp).then(|| {
            assert!(verify_checksum(&ip.pseudo_header(), &self.payload));
            TcpHeader::parse(&self.payload).expect("a sound segment").0
        })
    }
}

impl Bench {
    pub fn new(config: StackConfig) -> Self {
        let mut stack = Stack::new(config, [9; 32]);
        stack
            .add_interface(interface(Side::Server, 0, PLAIN))
            .expect("the interface is sound");
        Self {
            stack,
            now: Instant::from_millis(1_000),
        }
    }

    /// Gives the stack a frame and returns what it sends then.
    pub fn give(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let meta = ReceiveMeta {
            port: PortId(0),
            ..ReceiveMeta::default()
        };
        self.stack.receive(self.now, Frame::from(bytes), meta);
        self.sent()
    }

    /// What the stack has to send.
    pub fn sent(&mut self) -> Vec<Seen> {
        drain(&mut self.stack, self.now)
            .iter()
            .inspect(|sent| assert_eq!(receive_meta(sent).port, PortId(0)))
            .map(Seen::of)
            .collect()
    }

    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.stack.counters();
        let found = counters.iter().find(|(other, _)| *other == name);
        found
            .unwrap_or_else(|| panic!("there is no counter {name}"))
            .1
    }

    /// Lets the stack learn the peer's link addresses of both families.
    pub fn introduce(&mut self) {
        let peer = mac(Side::Client, 0);
        let replies = self.give(&arp_request(peer, v4(Side::Client, 0)));
        assert_eq!(replies.len(), 1);
    }
}

/// The peer asks for the stack's IPv4 address.
pub fn arp_request(from: MacAddress, address: IpAddr) -> Vec<u8> {
    let (IpAddr::V4(sender_address), IpAddr::V4(target_address)) = (address, v4(Side::Server, 0))
    else {
        panic!("ARP is for IPv4");
    };
    let packet = ArpPacket {
        operation: ArpOperation::Request,
        sender_mac: from,
        sender_address,
        target_mac: MacAddress::default(),
        target_address,
    };
    arp_frame(from, MacAddress::BROADCAST, &packet)
}

/// The answer of `address`, which is at `from`, to a question of the stack.
pub fn arp_reply(from: MacAddress, address: IpAddr) -> Vec<u8> {
    let (IpAddr::V4(sender_address), IpAddr::V4(target_address)) = (address, v4(Side::Server, 0))
    else {
        panic!("ARP is for IPv4");
    };
    let packet = ArpPacket {
        operation: ArpOperation::Reply,
        sender_mac: from,
        sender_address,
        target_mac: mac(Side::Server, 0),
        target_address,
    };
    arp_frame(from, mac(Side::Server, 0), &packet)
}

pub fn arp_frame(source: MacAddress, destination: MacAddress, packet: &ArpPacket) -> Vec<u8> {
    let mut bytes = vec![0; EthernetHeader::LEN + ArpPacket::LEN];
    let header = EthernetHeader {
        destination,
        source,
        ether_type: EtherType::Arp,
    };
    let start = header.emit(&mut bytes).expect("there is room");
    packet.emit(&mut bytes[start..]).expect("there is room");
    bytes
}

/// An IP packet from the peer to the stack; `destination` and `source` may be others.
pub fn ip_frame(
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    payload: &[u8],
) -> Vec<u8> {
    ip_frame_with(source, destination, protocol, payload, 255)
}

pub fn ip_frame_with(
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    payload: &[u8],
    hop_limit: u8,
) -> Vec<u8> {
    let mut bytes = vec![0; 14 + 40 + payload.len()];
    let ether_type = if source.is_ipv4() {
        EtherType::Ipv4
    } else {
        EtherType::Ipv6
    };
    let ethernet = EthernetHeader {
        destination: mac(Side::Server, 0),
        source: mac(Side::Client, 0),
        ether_type,
    };
    ethernet.emit(&mut bytes).expect("there is room");
    let header = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Ipv4Header {
            source,
            destination,
            protocol,
            hop_limit,
            traffic_class: TrafficClass::default(),
            identification: 0,
            dont_fragment: true,
        }
        .emit(payload.len(), &mut bytes[14..]),
        (IpAddr::V6(source), IpAddr::V6(destination)) => Ipv6Header {
            source,
            destination,
            protocol,
            hop_limit,
            traffic_class: TrafficClass::default(),
            flow_label: 0,
        }
        .emit(payload.len(), &mut bytes[14..]),
        _ => panic!("one family"),
    }
    .expect("there is room");
    bytes.truncate(14 + header + payload.len());
    bytes[14 + header..].copy_from_slice(payload);
    bytes
}

/// A segment from the peer.
pub fn segment(source: IpAddr, destination: IpAddr, header: &TcpHeader, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; header.header_len() + data.len()];
    let length = header.emit(&mut bytes).expect("the options fit");
    bytes[length..].copy_from_slice(data);
    let pseudo = PseudoHeader::new(source, destination, Protocol::Tcp).expect("one family");
    set_checksum(&mut bytes[..length], &pseudo, Sum::of(data), data.len());
    ip_frame(source, destination, Protocol::Tcp, &bytes)
}

/// A segment between the usual addresses, to port 80.
pub fn peer_segment(header: &TcpHeader, data: &[u8]) -> Vec<u8> {
    segment(v4(Side::Client, 0), v4(Side::Server, 0), header, data)
}

/// A SYN to port 80.
pub fn syn(source_port: u16, sequence: u32) -> TcpHeader {
    let mut header = TcpHeader {
        source_port,
        destination_port: 80,
        sequence: braid_engine::sequence::SequenceNumber(sequence),
        flags: TcpFlags::SYN,
        window: 65_535,
        ..TcpHeader::default()
    };
    header.options.maximum_segment_size = Some(1460);
    header
}

/// The third ACK that answers `syn_ack`.
pub fn third_ack(syn_ack: &TcpHeader) -> TcpHeader {
    TcpHeader {
        source_port: syn_ack.destination_port,
        destination_port: syn_ack.source_port,
        sequence: syn_ack.acknowledgment,
        acknowledgment: syn_ack.sequence + 1,
        flags: TcpFlags::ACK,
        window: 65_535,
        ..TcpHeader::default()
    }
}

/// Another address on the link.
pub fn stranger(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | number))
}

pub fn both_families() -> [(IpAddr, IpAddr); 2] {
    let pair =
        |address: fn(Side, u8) -> IpAddr| (address(Side::Client, 0), address(Side::Server, 0));
    [pair(v4), pair(v6)]
}
