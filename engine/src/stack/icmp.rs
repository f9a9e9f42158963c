//! ARP, neighbour discovery, echoes, and ICMP errors about flows of this stack (RFC 826, RFC 4861,
//! RFC 792, RFC 4443; errors after RFC 5461 and RFC 5927).

use super::Stack;
use super::batch::{PortId, ReceiveMeta};
use super::control::{Content, Discovery, Packet};
use super::flow::Flow;
use super::interface::is_link_local;
use super::neighbor::{Solicitation, Told};
use super::receive::ReceivedPacket;
use super::route::Constraint;
use super::steering::WorkerId;
use crate::storage::flow_table::FourTuple;
use crate::storage::frame::Frame;
use crate::time::Instant;
use crate::wire::ParseError;
use crate::wire::arp::{ArpOperation, ArpPacket};
use crate::wire::ethernet::{EthernetHeader, MacAddress};
use crate::wire::icmp::{Echo, EchoDirection, ICMP_HEADER_LEN, IcmpError, IcmpErrorKind};
use crate::wire::icmpv4::Icmpv4;
use crate::wire::icmpv6::Icmpv6;
use crate::wire::neighbour_discovery::{NeighbourMessage, solicited_node_multicast};
use core::net::{IpAddr, Ipv6Addr};

/// The hop limit of a message that crossed no router (RFC 4861 section 7.1).
const NOT_ROUTED: u8 = 255;

/// Headers of IP and TCP without options, which an MTU has room for besides the segment.
const HEADERS_IPV4: u32 = 40;
const HEADERS_IPV6: u32 = 60;

/// Path MTUs below these are not believed: they are no path's, and tiny segments cost much
/// (RFC 1191 section 3, RFC 8200 section 5).
const LEAST_MTU_IPV4: u32 = 552;
const LEAST_MTU_IPV6: u32 = 1280;

/// What a message leaves to be done when its bytes are no longer needed.
enum Task {
    Nothing,
    Echo { identifier: u16, sequence: u16 },
    Error(IcmpError),
    Neighbour(NeighbourMessage),
}

impl Task {
    fn of_echo(echo: &Echo<'_>) -> Self {
        match echo.direction {
            EchoDirection::Request => Self::Echo {
                identifier: echo.identifier,
                sequence: echo.sequence,
            },
            EchoDirection::Reply => Self::Nothing,
        }
    }
}

impl Stack {
    pub(super) fn take_arp(
        &mut self,
        now: Instant,
        port: PortId,
        packet: Result<ArpPacket, ParseError>,
    ) {
        let Ok(packet) = packet else {
            self.counters.neighbor_errors += 1;
            return;
        };
        let Some(interface) = self.interfaces.by_port(port) else {
            return;
        };
        let sender = IpAddr::V4(packet.sender_address);
        let target = IpAddr::V4(packet.target_address);
        let mine = interface.owns(target);
        let mac = interface.config.mac;
        let honest = interface.is_on_link(sender) && self.interfaces.owner(sender).is_none();
        if honest {
            let told = match packet.operation {
                ArpOperation::Request if mine => Told::Asking,
                // An announcement changes what is known, and is not an answer.
                ArpOperation::Request => Told::Advertising {
                    solicited: false,
                    overrides: true,
                },
                ArpOperation::Reply => Told::Advertising {
                    solicited: mine,
                    overrides: true,
                },
            };
            self.learn_neighbor(now, port, sender, packet.sender_mac, told);
        }
        if packet.operation == ArpOperation::Request && mine {
            let reply = ArpPacket {
                operation: ArpOperation::Reply,
                sender_mac: mac,
                sender_address: packet.target_address,
                target_mac: packet.sender_mac,
                target_address: packet.sender_address,
            };
            if packet.sender_mac.is_unicast() {
                let message = Discovery::Arp(reply);
                self.send_control(Packet::Discovery {
                    port,
                    to: packet.sender_mac,
                    message,
                });
            }
        }
    }

    /// A neighbour has spoken: all workers are to know.
    fn learn_neighbor(
        &mut self,
        now: Instant,
        port: PortId,
        address: IpAddr,
        mac: MacAddress,
        told: Told,
    ) {
        self.spread_neighbor(port, address, mac, told);
        self.hear_of_neighbor(now, port, address, mac, told);
    }

    /// A neighbour has spoken, here or to another worker.
    pub(super) fn hear_of_neighbor(
        &mut self,
        now: Instant,
        port: PortId,
        address: IpAddr,
        mac: MacAddress,
        told: Told,
    ) {
        if self.neighbors.learn(now, port, address, mac, told) {
            self.control.resolved(port, address);
            self.wake_waiting();
        }
    }

    pub(super) fn take_icmpv4(&mut self, now: Instant, packet: ReceivedPacket) -> Option<Frame> {
        self.counters.icmp_received += 1;
        let task = match Icmpv4::parse(packet.bytes()) {
            Ok(Icmpv4::Echo(echo)) => Task::of_echo(&echo),
            Ok(Icmpv4::Error(error)) => Task::Error(error),
            Ok(Icmpv4::Other { .. }) => Task::Nothing,
            Err(_) => {
                self.counters.icmp_errors += 1;
                Task::Nothing
            }
        };
        self.carry_out(now, packet, &task)
    }

    pub(super) fn take_icmpv6(&mut self, now: Instant, packet: ReceivedPacket) -> Option<Frame> {
        self.counters.icmp_received += 1;
        let task = match Icmpv6::parse(packet.bytes(), &packet.header.pseudo_header()) {
            Ok(Icmpv6::Echo(echo)) => Task::of_echo(&echo),
            Ok(Icmpv6::Error(error)) => Task::Error(error),
            Ok(Icmpv6::Neighbour(message)) => Task::Neighbour(message),
            Ok(Icmpv6::Other { .. }) => Task::Nothing,
            Err(_) => {
                self.counters.icmp_errors += 1;
                Task::Nothing
            }
        };
        self.carry_out(now, packet, &task)
    }

    fn carry_out(&mut self, now: Instant, packet: ReceivedPacket, task: &Task) -> Option<Frame> {
        match task {
            &Task::Nothing => {}
            &Task::Echo {
                identifier,
                sequence,
            } => {
                return self.answer_echo(now, packet, identifier, sequence);
            }
            Task::Error(error) => {
                let owner = self.worker_of_error(error);
                if owner != self.config.place.worker() {
                    let meta = ReceiveMeta {
                        port: packet.port,
                        ..ReceiveMeta::default()
                    };
                    self.hand_over(owner, packet.frame, meta);
                    return None;
                }
                self.take_icmp_error(now, error);
            }
            &Task::Neighbour(message) => self.take_neighbour_message(now, &packet, message),
        }
        Some(packet.frame)
    }

    /// Echo requests to groups are not answered: the answer would serve to amplify.
    fn answer_echo(
        &mut self,
        now: Instant,
        packet: ReceivedPacket,
        identifier: u16,
        sequence: u16,
    ) -> Option<Frame> {
        self.counters.echo_requests += 1;
        let (source, destination) = (packet.header.source(), packet.header.destination());
        if packet.group || source.is_unspecified() {
            return Some(packet.frame);
        }
        if !self.echo_limit.admit(now) {
            self.counters.echo_limited += 1;
            return Some(packet.frame);
        }
        let constraint = Constraint {
            source: Some(destination),
            port: Some(packet.port),
        };
        let Some(path) = self.routes.lookup(&self.interfaces, source, constraint) else {
            return Some(packet.frame);
        };
        let payload = packet.payload.start + ICMP_HEADER_LEN..packet.payload.end;
        let content = Content::EchoReply {
            identifier,
            sequence,
            frame: packet.frame,
            payload,
        };
        let reply = Packet::Routed {
            path,
            destination: source,
            content,
        };
        // A request that no host of this link's MTU can have sent: its answer would never go.
        let fits = self.interfaces.by_port(path.port).is_some_and(|out| {
            reply.frame_length() <= usize::from(out.config.mtu) + EthernetHeader::LEN
        });
        if fits {
            self.counters.echo_replies += 1;
            self.send_control(reply);
        } else {
            self.counters.echo_too_long += 1;
            self.discard(reply);
        }
        None
    }

    /// The worker of the flow whose segment an error quotes.
    fn worker_of_error(&self, error: &IcmpError) -> WorkerId {
        self.config.place.steering().worker_of(&FourTuple {
            local: error.quoted.source,
            remote: error.quoted.destination,
        })
    }

    /// Tells an error to the subflow, or the half-open connection, whose segment it quotes.
    fn take_icmp_error(&mut self, now: Instant, error: &IcmpError) {
        let quoted = error.quoted;
        let flow = FourTuple {
            local: quoted.source,
            remote: quoted.destination,
        };
        let key = match self.flows.get(&flow).copied() {
            Some(Flow::Subflow(key)) => key,
            Some(Flow::Request(key)) => {
                self.counters.icmp_to_flow += 1;
                let quotes_syn_ack = self
                    .requests
                    .get(key)
                    .is_some_and(|request| request.iss == quoted.sequence);
                if quotes_syn_ack && error.kind.is_hard() {
                    self.remove_request(key);
                }
                return;
            }
            Some(Flow::TimeWait(_) | Flow::Held(_)) | None => {
                self.counters.icmp_no_flow += 1;
                return;
            }
        };
        let Some(slot) = self.subflows.get_mut(key) else {
            return;
        };
        self.counters.icmp_to_flow += 1;
        match error.kind {
            IcmpErrorKind::PacketTooBig { mtu } => {
                let (headers, least) = match flow.remote.ip() {
                    IpAddr::V4(_) => (HEADERS_IPV4, LEAST_MTU_IPV4),
                    IpAddr::V6(_) => (HEADERS_IPV6, LEAST_MTU_IPV6),
                };
                let segment = mtu.max(least) - headers;
                let segment = u16::try_from(segment).unwrap_or(u16::MAX);
                slot.subflow
                    .awake()
                    .on_packet_too_big(now, segment, quoted.sequence);
            }
            kind => slot
                .subflow
                .awake()
                .on_unreachable(kind.is_hard(), quoted.sequence),
        }
        self.after_subflow(now, key);
    }

    fn take_neighbour_message(
        &mut self,
        now: Instant,
        packet: &ReceivedPacket,
        message: NeighbourMessage,
    ) {
        if packet.header.hop_limit() != NOT_ROUTED {
            self.counters.neighbor_errors += 1;
            return;
        }
        let IpAddr::V6(source) = packet.header.source() else {
            return;
        };
        match message {
            NeighbourMessage::Solicitation {
                target,
                source_link_address,
            } => {
                // A neighbour that knows us already may leave its address out.
                let link_address = source_link_address.unwrap_or(packet.source_mac);
                self.answer_solicitation(now, packet.port, source, target, link_address);
            }
            NeighbourMessage::Advertisement {
                solicited,
                overrides,
                target,
                target_link_address: Some(mac),
                ..
            } => {
                let solicited = solicited && !packet.group;
                let told = Told::Advertising {
                    solicited,
                    overrides,
                };
                if self.is_honest_neighbor(packet.port, IpAddr::V6(target)) {
                    self.learn_neighbor(now, packet.port, IpAddr::V6(target), mac, told);
                }
            }
            // Routers are configured, not discovered.
            NeighbourMessage::Advertisement { .. }
            | NeighbourMessage::RouterSolicitation { .. }
            | NeighbourMessage::RouterAdvertisement { .. } => {}
        }
    }

    fn is_honest_neighbor(&self, port: PortId, address: IpAddr) -> bool {
        let Some(interface) = self.interfaces.by_port(port) else {
            return false;
        };
        (interface.is_on_link(address) || is_link_local(address))
            && self.interfaces.owner(address).is_none()
    }

    fn answer_solicitation(
        &mut self,
        now: Instant,
        port: PortId,
        source: Ipv6Addr,
        target: Ipv6Addr,
        link_address: MacAddress,
    ) {
        let Some(interface) = self.interfaces.by_port(port) else {
            return;
        };
        if !interface.owns(IpAddr::V6(target)) {
            return;
        }
        let own_mac = interface.config.mac;
        // Whoever checks whether the address is taken has none yet: everybody is told.
        let probing = source.is_unspecified();
        let destination = if probing {
            super::interface::ALL_NODES
        } else {
            source
        };
        let to = match link_address {
            _ if probing => MacAddress::of_ipv6_multicast(destination),
            mac if mac.is_unicast() => mac,
            _ => return,
        };
        if !probing && self.is_honest_neighbor(port, IpAddr::V6(source)) {
            self.learn_neighbor(now, port, IpAddr::V6(source), to, Told::Asking);
        }
        let message = NeighbourMessage::Advertisement {
            router: false,
            solicited: !probing,
            overrides: true,
            target,
            target_link_address: Some(own_mac),
        };
        let message = Discovery::Ipv6 {
            source: target,
            destination,
            message,
        };
        self.send_control(Packet::Discovery { port, to, message });
    }

    /// Sends the questions of the neighbour cache that are due.
    pub(super) fn solicit_neighbors(&mut self, now: Instant) {
        loop {
            let failed = &mut self.failed_neighbors;
            let question = self
                .neighbors
                .next_solicitation(now, |port, address| failed.push((port, address)));
            let Some(question) = question else { break };
            if let Some(packet) = self.solicitation(&question) {
                self.send_control(packet);
            }
        }
        self.give_up_neighbors();
    }

    /// Drops what waits for neighbours that do not answer; subflows take it for lost.
    pub(super) fn give_up_neighbors(&mut self) {
        while let Some((port, address)) = self.failed_neighbors.pop() {
            self.counters.neighbor_unreachable += self.control.unreachable(port, address);
            self.wake_waiting();
        }
    }

    fn solicitation(&self, question: &Solicitation) -> Option<Packet> {
        let interface = self
            .interfaces
            .by_port(question.port)
            .filter(|found| found.up)?;
        let mac = interface.config.mac;
        let source = self.routes.source_on(interface, question.target)?;
        let (to, message) = match (source, question.target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let packet = ArpPacket {
                    operation: ArpOperation::Request,
                    sender_mac: mac,
                    sender_address: source,
                    target_mac: MacAddress::default(),
                    target_address: target,
                };
                (
                    question.to.unwrap_or(MacAddress::BROADCAST),
                    Discovery::Arp(packet),
                )
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                let destination = match question.to {
                    Some(_) => target,
                    None => solicited_node_multicast(target),
                };
                let to = question
                    .to
                    .unwrap_or_else(|| MacAddress::of_ipv6_multicast(destination));
                let message = NeighbourMessage::Solicitation {
                    target,
                    source_link_address: Some(mac),
                };
                (
                    to,
                    Discovery::Ipv6 {
                        source,
                        destination,
                        message,
                    },
                )
            }
            _ => return None,
        };
        Some(Packet::Discovery {
            port: question.port,
            to,
            message,
        })
    }
}
