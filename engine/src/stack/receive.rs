//! The walk of a received frame: Ethernet, ARP or IP, then ICMP or TCP, then the flow it is of.

use super::Stack;
use super::batch::{PortId, ReceiveMeta, ReceivedChecksum};
use super::coalesce::{Coalescing, Joined};
use super::flow::Flow;
use super::interface::is_host_address;
use super::steering::WorkerId;
use super::subflow::{Home, SubflowKey};
use crate::storage::flow_table::FourTuple;
use crate::storage::frame::Frame;
use crate::tcp::Payload;
use crate::time::Instant;
use crate::wire::ParseError;
use crate::wire::ethernet::{EtherType, EthernetHeader, MacAddress};
use crate::wire::ip::{Ecn, IpHeader, IpPacket, Protocol};
use crate::wire::tcp::{TcpFlags, TcpHeader, verify_checksum};
use core::net::{IpAddr, SocketAddr};
use core::ops::Range;

/// A received IP packet that is for this host.
#[derive(Debug)]
pub(super) struct ReceivedPacket {
    pub(super) port: PortId,
    /// The neighbour that the packet came from.
    pub(super) source_mac: MacAddress,
    pub(super) header: IpHeader,
    pub(super) frame: Frame,
    /// The payload within the frame.
    pub(super) payload: Range<usize>,
    /// The sender addressed it to several hosts.
    pub(super) group: bool,
}

impl ReceivedPacket {
    pub(super) fn bytes(&self) -> &[u8] {
        self.frame
            .bytes()
            .get(self.payload.clone())
            .unwrap_or_default()
    }
}

/// A received segment: where from, its header, and where its data lies in the frame.
#[derive(Debug)]
pub(super) struct ReceivedSegment {
    pub(super) port: PortId,
    pub(super) flow: FourTuple,
    pub(super) header: TcpHeader,
    pub(super) marked_ce: bool,
    pub(super) payload: Payload,
}

impl ReceivedSegment {
    /// The same segment, of whose payload only the length is known.
    pub(super) fn without_frame(&self) -> Self {
        Self {
            port: self.port,
            flow: self.flow,
            header: self.header.clone(),
            marked_ce: self.marked_ce,
            payload: Payload {
                frame: Frame::empty(),
                range: self.payload.range.clone(),
                segments: self.payload.segments,
            },
        }
    }

    /// Sequence numbers that the segment takes.
    pub(super) fn sequence_length(&self) -> u32 {
        let flags = self.header.flags;
        let controls =
            u32::from(flags.contains(TcpFlags::SYN)) + u32::from(flags.contains(TcpFlags::FIN));
        controls.wrapping_add(self.payload.range.len() as u32)
    }
}

impl Stack {
    /// Takes frames that came in together at `now`, in their order, and everything that follows from
    /// them. Segments of a flow that follow one another are taken as one.
    pub fn receive_burst(
        &mut self,
        now: Instant,
        frames: impl IntoIterator<Item = (Frame, ReceiveMeta)>,
    ) {
        self.coalescer.in_burst = true;
        for (frame, meta) in frames {
            self.receive(now, frame, meta);
        }
        self.coalescer.in_burst = false;
        self.finish_coalescing(now);
        self.deliver_messages(now);
    }

    /// Gives on what waited for more of its flow.
    fn finish_coalescing(&mut self, now: Instant) {
        if let Some(coalesced) = self.coalescer.waiting.take()
            && let Some(frame) = self.take_segment(now, coalesced.finish())
        {
            self.pool.put(frame);
        }
    }

    /// Takes a frame that came in at `now`, and everything that follows from it. What is to be
    /// sent goes with the next [`Stack::transmit`].
    pub fn receive(&mut self, now: Instant, frame: Frame, meta: ReceiveMeta) {
        self.counters.frames_received += 1;
        if meta.port == PortId::LOOPBACK {
            // From outside nothing comes by it.
            self.counters.no_interface += 1;
            return self.pool.put(frame);
        }
        if self.join_waiting(&frame, meta) {
            return self.pool.put(frame);
        }
        if let Some(frame) = self.take_frame(now, frame, meta) {
            self.pool.put(frame);
        }
        self.deliver_messages(now);
    }

    /// Whether the frame is done with because it is a segment that follows the one that waits.
    fn join_waiting(&mut self, frame: &Frame, meta: ReceiveMeta) -> bool {
        let Some(waiting) = &mut self.coalescer.waiting else {
            return false;
        };
        let outcome = match waiting.join(frame.bytes(), meta, &mut self.pool) {
            Joined::Yes => &mut self.counters.segments_coalesced,
            Joined::Corrupt => &mut self.counters.checksum_errors,
            Joined::No => return false,
        };
        *outcome += 1;
        self.counters.ip_received += 1;
        self.counters.segments_received += 1;
        true
    }

    /// Takes what the stack has sent to itself; what it answers is for the next time.
    pub(super) fn receive_loopback(&mut self, now: Instant) {
        for _ in 0..self.loopback.len() {
            let Some((frame, meta)) = self.loopback.pop() else {
                break;
            };
            self.counters.loopback_frames += 1;
            if let Some(frame) = self.take_frame(now, frame, meta) {
                self.pool.put(frame);
            }
            self.deliver_messages(now);
        }
    }

    /// Returns the frame when nobody keeps it.
    fn take_frame(&mut self, now: Instant, frame: Frame, meta: ReceiveMeta) -> Option<Frame> {
        let Some(interface) = self.interfaces.by_port(meta.port).filter(|found| found.up) else {
            self.counters.no_interface += 1;
            return Some(frame);
        };
        let bytes = frame.bytes();
        let Ok((ethernet, start)) = EthernetHeader::parse(bytes) else {
            self.counters.link_errors += 1;
            return Some(frame);
        };
        if !interface.takes_frames_to(ethernet.destination) || !ethernet.source.is_unicast() {
            self.counters.other_host += 1;
            return Some(frame);
        }
        let content = bytes.get(start..).unwrap_or_default();
        match ethernet.ether_type {
            EtherType::Arp => {
                self.counters.arp_received += 1;
                let packet = crate::wire::arp::ArpPacket::parse(content);
                self.take_arp(now, meta.port, packet);
                Some(frame)
            }
            EtherType::Ipv4 | EtherType::Ipv6 => {
                self.counters.ip_received += 1;
                match IpPacket::parse(ethernet.ether_type, content) {
                    Ok(packet) => {
                        let payload = packet.payload.start + start..packet.payload.end + start;
                        self.take_ip(now, frame, meta, &ethernet, packet.header, payload)
                    }
                    Err(error) => {
                        self.count_ip_error(error);
                        Some(frame)
                    }
                }
            }
            EtherType::Other(_) => {
                self.counters.link_errors += 1;
                Some(frame)
            }
        }
    }

    fn count_ip_error(&mut self, error: ParseError) {
        match error {
            ParseError::Fragment => self.counters.ip_fragments += 1,
            ParseError::Unsupported => self.counters.ip_unknown_protocols += 1,
            _ => self.counters.ip_header_errors += 1,
        }
    }

    fn take_ip(
        &mut self,
        now: Instant,
        frame: Frame,
        meta: ReceiveMeta,
        ethernet: &EthernetHeader,
        header: IpHeader,
        payload: Range<usize>,
    ) -> Option<Frame> {
        let within = meta.port == PortId::LOOPBACK;
        if !within && self.is_martian(meta.port, header.source()) {
            self.counters.ip_martians += 1;
            return Some(frame);
        }
        // By a wire come packets to that interface alone (RFC 1122 section 3.3.4.2).
        let own = self
            .interfaces
            .owner(header.destination())
            .is_some_and(|interface| within || interface.port() == meta.port);
        let group = !own;
        if group && !is_group(header.destination()) {
            self.counters.ip_address_errors += 1;
            return Some(frame);
        }
        let packet = ReceivedPacket {
            port: meta.port,
            source_mac: ethernet.source,
            header,
            frame,
            payload,
            group,
        };
        match header.protocol() {
            Protocol::Tcp if group || ethernet.destination.is_multicast() => {
                self.counters.ip_address_errors += 1;
                Some(packet.frame)
            }
            Protocol::Tcp => self.take_tcp(now, packet, meta),
            Protocol::Icmpv4 if header.source().is_ipv4() => self.take_icmpv4(now, packet),
            Protocol::Icmpv6 if header.source().is_ipv6() => self.take_icmpv6(now, packet),
            _ => {
                self.counters.ip_unknown_protocols += 1;
                Some(packet.frame)
            }
        }
    }

    /// True for a source address that no honest packet has (RFC 1122 section 3.2.1.3): a group,
    /// or one of this host. The unspecified address passes for IPv6, where duplicate address
    /// detection has it.
    fn is_martian(&self, port: PortId, source: IpAddr) -> bool {
        let broadcast = match source {
            IpAddr::V4(v4) => self
                .interfaces
                .by_port(port)
                .is_some_and(|interface| interface.is_broadcast(v4)),
            IpAddr::V6(v6) if v6.is_unspecified() => return false,
            IpAddr::V6(_) => false,
        };
        broadcast || !is_host_address(source) || self.interfaces.owner(source).is_some()
    }

    fn take_tcp(
        &mut self,
        now: Instant,
        packet: ReceivedPacket,
        meta: ReceiveMeta,
    ) -> Option<Frame> {
        if let Some(owner) = self.owner_elsewhere(&packet) {
            self.hand_over(owner, packet.frame, meta);
            return None;
        }
        self.counters.segments_received += 1;
        self.finish_coalescing(now);
        let (source, destination) = (packet.header.source(), packet.header.destination());
        let bytes = packet.bytes();
        let unverified = meta.checksum == ReceivedChecksum::Unknown;
        if source.is_unspecified() {
            self.counters.ip_martians += 1;
            return Some(packet.frame);
        }
        if unverified && !verify_checksum(&packet.header.pseudo_header(), bytes) {
            self.counters.checksum_errors += 1;
            return Some(packet.frame);
        }
        let Ok((header, data)) = TcpHeader::parse(bytes) else {
            self.counters.segment_errors += 1;
            return Some(packet.frame);
        };
        if header.source_port == 0 || header.destination_port == 0 {
            self.counters.segment_errors += 1;
            return Some(packet.frame);
        }
        let header_range = packet.payload.start..packet.payload.start + data;
        let range = header_range.end..packet.payload.end;
        let segments = match meta.segment_size {
            Some(size) => range.len().div_ceil(usize::from(size.max(1))).max(1),
            None => 1,
        };
        let segment = ReceivedSegment {
            port: packet.port,
            flow: FourTuple {
                local: SocketAddr::new(destination, header.destination_port),
                remote: SocketAddr::new(source, header.source_port),
            },
            header,
            marked_ce: packet.header.traffic_class().ecn() == Ecn::CongestionExperienced,
            payload: Payload {
                frame: packet.frame,
                range,
                segments: u16::try_from(segments).unwrap_or(u16::MAX),
            },
        };
        let Some(network) = self.coalescer.network_of(&segment, header_range.start) else {
            return self.take_segment(now, segment);
        };
        let pseudo = packet.header.pseudo_header().sum(0);
        let coalescing = Coalescing::new(segment, network, header_range, pseudo);
        self.coalescer.waiting = Some(coalescing);
        None
    }

    /// The other worker that the flow of a segment belongs to, if it does.
    fn owner_elsewhere(&self, packet: &ReceivedPacket) -> Option<WorkerId> {
        let place = &self.config.place;
        if place.is_alone() {
            return None;
        }
        let ports = packet.bytes().first_chunk::<4>()?;
        let [source, destination] = [[ports[0], ports[1]], [ports[2], ports[3]]];
        let flow = FourTuple {
            local: SocketAddr::new(packet.header.destination(), u16::from_be_bytes(destination)),
            remote: SocketAddr::new(packet.header.source(), u16::from_be_bytes(source)),
        };
        let owner = place.steering().worker_of(&flow);
        (owner != place.worker()).then_some(owner)
    }

    /// Takes a frame that came in at another worker.
    pub(super) fn receive_handed(&mut self, now: Instant, frame: Frame, meta: ReceiveMeta) {
        if let Some(frame) = self.take_frame(now, frame, meta) {
            self.pool.put(frame);
        }
    }

    /// Gives a segment to whom it belongs.
    fn take_segment(&mut self, now: Instant, segment: ReceivedSegment) -> Option<Frame> {
        match self.flows.get(&segment.flow).copied() {
            Some(Flow::Subflow(key)) => {
                self.receive_on_subflow(now, key, segment);
                None
            }
            Some(Flow::Request(key)) => self.receive_on_request(now, key, segment),
            Some(Flow::TimeWait(key)) => self.receive_in_time_wait(now, key, segment),
            Some(Flow::Held(_)) => Some(segment.payload.frame),
            None => self.receive_without_flow(now, segment),
        }
    }

    pub(super) fn receive_on_subflow(
        &mut self,
        now: Instant,
        key: SubflowKey,
        segment: ReceivedSegment,
    ) {
        let ReceivedSegment {
            header,
            marked_ce,
            payload,
            ..
        } = segment;
        let Some(slot) = self.subflows.get_mut(key) else {
            self.pool.put(payload.frame);
            return;
        };
        let loaded;
        let published = match &slot.home {
            Home::Here(key) => match self.connections.get(*key) {
                Some(home) => home.connection.published(),
                None => &self.orphaned,
            },
            Home::Elsewhere(distant) => {
                let home = distant.connection.worker;
                let full = !payload.range.is_empty() && self.outboxes.is_full(home);
                if full || self.outboxes.overflows(home) {
                    // What TCP takes must go home, so it is to be lost before TCP acknowledges it.
                    self.counters.reassembly_ring_full += 1;
                    return self.pool.put(payload.frame);
                }
                loaded = distant.block.load().0;
                &loaded
            }
        };
        let payload = if payload.range.is_empty() {
            self.pool.put(payload.frame);
            None
        } else {
            Some(payload)
        };
        let subflow = slot.subflow.awake();
        let dropped = subflow.dropped_out_of_order();
        subflow.receive(
            now,
            &header,
            payload,
            marked_ce,
            published,
            &mut self.pool,
            &mut self.from_subflow,
        );
        self.counters.out_of_order_dropped += subflow.dropped_out_of_order() - dropped;
        self.tell_home_here(now, key);
        self.after_subflow(now, key);
    }
}

fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}
