//! Packets of the stack's own: neighbour discovery, echo replies, and segments for which there is
//! no subflow. They are small, queued within a bound, and go before the data of subflows.

use super::batch::PortId;
use super::emit::{Envelope, SegmentForm, emit_segment};
use super::interface::Interface;
use super::route::Path;
use crate::storage::frame::Frame;
use crate::storage::pieces::Pieces;
use crate::wire::EmitError;
use crate::wire::arp::ArpPacket;
use crate::wire::ethernet::{EtherType, EthernetHeader, MacAddress};
use crate::wire::icmp::{Echo, EchoDirection, ICMP_HEADER_LEN};
use crate::wire::ip::{Ecn, Protocol};
use crate::wire::neighbour_discovery::NeighbourMessage;
use crate::wire::tcp::TcpHeader;
use crate::wire::{icmpv4, icmpv6};
use core::net::{IpAddr, Ipv6Addr};
use core::ops::Range;
use std::collections::VecDeque;

/// Waiting packets for one neighbour.
const PER_NEIGHBOR: usize = 3;

/// The hop limit by which a receiver knows that a message crossed no router (RFC 4861 section 3.1).
const DISCOVERY_HOP_LIMIT: u8 = 255;

/// A message about neighbours: its link address is known by nature.
#[derive(Debug)]
pub(super) enum Discovery {
    /// ARP.
    Arp(ArpPacket),
    /// Neighbour discovery.
    Ipv6 {
        source: Ipv6Addr,
        destination: Ipv6Addr,
        message: NeighbourMessage,
    },
}

/// What a packet to a host carries.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation for each packet, and the queues are short"
)]
#[derive(Debug)]
pub(super) enum Content {
    /// A segment without data.
    Segment(TcpHeader),
    /// An echo reply with the bytes of the request.
    EchoReply {
        identifier: u16,
        sequence: u16,
        frame: Frame,
        payload: Range<usize>,
    },
}

/// A packet of the stack's own.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation for each packet, and the queues are short"
)]
#[derive(Debug)]
pub(super) enum Packet {
    /// Between neighbours.
    Discovery {
        port: PortId,
        to: MacAddress,
        message: Discovery,
    },
    /// To a host, by the neighbour that leads there.
    Routed {
        path: Path,
        destination: IpAddr,
        content: Content,
    },
}

impl Packet {
    pub(super) fn port(&self) -> PortId {
        match self {
            Self::Discovery { port, .. } => *port,
            Self::Routed { path, .. } => path.port,
        }
    }

    /// Length of the frame in bytes.
    pub(super) fn frame_length(&self) -> usize {
        match self {
            Self::Discovery {
                message: Discovery::Arp(_),
                ..
            } => EthernetHeader::LEN + ArpPacket::LEN,
            Self::Discovery {
                message: Discovery::Ipv6 { message, .. },
                ..
            } => EthernetHeader::LEN + 40 + message.len(),
            Self::Routed {
                destination,
                content,
                ..
            } => {
                let ip = if destination.is_ipv6() { 40 } else { 20 };
                let content = match content {
                    Content::Segment(header) => header.header_len(),
                    Content::EchoReply { payload, .. } => ICMP_HEADER_LEN + payload.len(),
                };
                EthernetHeader::LEN + ip + content
            }
        }
    }

    /// Writes the frame, to `next_hop` where the packet is routed, and returns its length.
    pub(super) fn emit(
        &self,
        interface: &Interface,
        next_hop: MacAddress,
        hop_limit: u8,
        buffer: &mut [u8],
    ) -> Result<usize, EmitError> {
        match self {
            Self::Discovery { to, message, .. } => message.emit(interface, *to, buffer),
            Self::Routed {
                path,
                destination,
                content,
            } => {
                let envelope = Envelope {
                    source_mac: interface.config.mac,
                    destination_mac: next_hop,
                    source: path.source,
                    destination: *destination,
                    hop_limit,
                    dscp: 0,
                    ecn: Ecn::NotCapable,
                    flow_label: 0,
                };
                content.emit(&envelope, buffer)
            }
        }
    }
}

impl Discovery {
    fn emit(
        &self,
        interface: &Interface,
        to: MacAddress,
        buffer: &mut [u8],
    ) -> Result<usize, EmitError> {
        let source_mac = interface.config.mac;
        match self {
            Self::Arp(packet) => {
                let ethernet = EthernetHeader {
                    destination: to,
                    source: source_mac,
                    ether_type: EtherType::Arp,
                };
                let start = ethernet.emit(buffer)?;
                let rest = buffer.get_mut(start..).ok_or(EmitError::BufferTooShort)?;
                Ok(start + packet.emit(rest)?)
            }
            Self::Ipv6 {
                source,
                destination,
                message,
            } => {
                let envelope = Envelope {
                    source_mac,
                    destination_mac: to,
                    source: IpAddr::V6(*source),
                    destination: IpAddr::V6(*destination),
                    hop_limit: DISCOVERY_HOP_LIMIT,
                    dscp: 0,
                    ecn: Ecn::NotCapable,
                    flow_label: 0,
                };
                let start = envelope.emit(Protocol::Icmpv6, message.len(), buffer)?;
                let rest = buffer.get_mut(start..).ok_or(EmitError::BufferTooShort)?;
                Ok(start + message.emit(&envelope.pseudo(Protocol::Icmpv6)?, rest)?)
            }
        }
    }
}

impl Content {
    fn emit(&self, envelope: &Envelope, buffer: &mut [u8]) -> Result<usize, EmitError> {
        match self {
            Self::Segment(header) => {
                let form = SegmentForm {
                    partial_checksum: false,
                    segment_size: u16::MAX,
                };
                emit_segment(envelope, header, Pieces::NONE, form, buffer).map(|(length, _)| length)
            }
            Self::EchoReply {
                identifier,
                sequence,
                frame,
                payload,
            } => {
                let echo = Echo {
                    direction: EchoDirection::Reply,
                    identifier: *identifier,
                    sequence: *sequence,
                    payload: frame.bytes().get(payload.clone()).unwrap_or_default(),
                };
                let is_ipv6 = envelope.destination.is_ipv6();
                let protocol = if is_ipv6 {
                    Protocol::Icmpv6
                } else {
                    Protocol::Icmpv4
                };
                let start = envelope.emit(protocol, echo.len(), buffer)?;
                let rest = buffer.get_mut(start..).ok_or(EmitError::BufferTooShort)?;
                let length = if is_ipv6 {
                    icmpv6::emit_echo(&echo, &envelope.pseudo(protocol)?, rest)?
                } else {
                    icmpv4::emit_echo(&echo, rest)?
                };
                Ok(start + length)
            }
        }
    }
}

/// The queue, and the packets that wait for the link address of their neighbour.
#[derive(Debug)]
pub(super) struct ControlQueue {
    ready: VecDeque<Packet>,
    waiting: VecDeque<Packet>,
    max_ready: usize,
    max_waiting: usize,
}

impl ControlQueue {
    pub(super) fn new(max_ready: usize, max_waiting: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            max_ready,
            max_waiting,
        }
    }

    /// Packets that are ready or wait.
    pub(super) fn packets(&self) -> usize {
        self.ready.len() + self.waiting.len()
    }

    /// Adds a packet, or gives it back when the queue is full.
    pub(super) fn push(&mut self, packet: Packet) -> Option<Packet> {
        if self.ready.len() >= self.max_ready {
            return Some(packet);
        }
        self.ready.push_back(packet);
        None
    }

    /// How many packets may be taken in this round; those put back come in the next.
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn pop(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    /// Puts back a packet for which a port had no room.
    pub(super) fn put_back(&mut self, packet: Packet) {
        self.ready.push_back(packet);
    }

    /// Keeps a packet until its neighbour is known; or gives it back when too many wait.
    pub(super) fn wait(&mut self, packet: Packet) -> Option<Packet> {
        let same = self
            .waiting
            .iter()
            .filter(|other| next_hop(other) == next_hop(&packet))
            .count();
        if same >= PER_NEIGHBOR || self.waiting.len() >= self.max_waiting {
            return Some(packet);
        }
        self.waiting.push_back(packet);
        None
    }

    /// The neighbour is known now: its packets can go.
    pub(super) fn resolved(&mut self, port: PortId, address: IpAddr) {
        for _ in 0..self.waiting.len() {
            let Some(packet) = self.waiting.pop_front() else {
                break;
            };
            if next_hop(&packet) == Some((port, address)) {
                self.ready.push_back(packet);
            } else {
                self.waiting.push_back(packet);
            }
        }
    }

    /// The neighbour does not answer: drops its packets and returns how many there were.
    pub(super) fn unreachable(&mut self, port: PortId, address: IpAddr) -> u64 {
        let before = self.waiting.len();
        self.waiting
            .retain(|packet| next_hop(packet) != Some((port, address)));
        (before - self.waiting.len()) as u64
    }
}

fn next_hop(packet: &Packet) -> Option<(PortId, IpAddr)> {
    match packet {
        Packet::Discovery { .. } => None,
        Packet::Routed { path, .. } => Some((path.port, path.next_hop)),
    }
}
