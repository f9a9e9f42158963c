//! The way out: first packets of the stack's own, then segments of the subflows that have
//! something to send, one each in turn. Headers are built and payloads copied in place.

use super::Stack;
use super::batch::{PortId, TransmitBatch, TransmitMeta};
use super::control::{Content, Packet};
use super::emit::{Envelope, SegmentForm, emit_segment};
use super::lend::lend;
use super::loopback;
use super::neighbor::{Purpose, Resolution};
use super::published_block::Marking;
use super::relay::Relay;
use super::subflow::{Home, SubflowKey};
use super::template::Cut;
use crate::mptcp::subflow::{PathLimits, PayloadSource};
use crate::storage::pieces::Pieces;
use crate::storage::send_block::Loan;
use crate::time::Instant;
use crate::wire::EmitError;
use crate::wire::ethernet::{EthernetHeader, MacAddress};
use crate::wire::ip::Ecn;
use crate::wire::tcp::TcpFlags;

/// The largest IP packet.
const MAX_PACKET: usize = 65_535;
/// TCP headers with and without options.
const MAX_TCP_HEADER: usize = 60;
const MIN_TCP_HEADER: usize = 20;
/// Segments of one frame, so that one subflow does not hold up the others for long.
const MAX_SEGMENTS: u16 = 64;

/// After so many SYNs for which no neighbour was found there is no route to the host. One is not
/// enough: the questions, or their answers, may have been lost.
const UNREACHABLE_SYNS: u8 = 2;

/// What came of a turn.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Turn {
    /// A frame went, or several.
    Sent,
    /// Several frames went, and there is no room for as many again.
    LastOfBatch,
    /// A segment was made, but nobody takes it: its link is down or the neighbour does not
    /// answer. To TCP it is lost.
    Lost,
    /// The port is full; nothing was changed.
    PortFull,
    /// The neighbour is being asked for.
    Pending,
    /// Nothing is due.
    Idle,
}

/// How a subflow's frames leave the host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Exit {
    /// To the neighbour with this address.
    Neighbor(MacAddress),
    /// To this host itself.
    Loopback,
    /// Not at all, for the neighbour does not answer.
    NobodyAnswers,
    /// Not at all, for the link is down. It may come back before TCP gives up.
    LinkDown,
}

/// Where a subflow's frames go.
#[derive(Copy, Clone, Debug)]
struct Target {
    port: PortId,
    exit: Exit,
    source_mac: MacAddress,
    max_frame: usize,
    segmentation: bool,
    partial_checksum: bool,
    /// Large segments may be sent as they lie in a send buffer.
    lends: bool,
}

impl Target {
    /// How many frames a segment may be cut into before it leaves.
    fn frames(&self, relay: &Relay, batch: &impl TransmitBatch) -> u16 {
        match self.exit {
            Exit::Neighbor(_) if !self.segmentation && relay.worker_of(self.port).is_none() => {
                u16::try_from(batch.room(self.port)).unwrap_or(u16::MAX)
            }
            _ => 1,
        }
    }

    /// What a turn takes from a subflow: what goes into a frame that the port cuts, or into as many
    /// frames as there is room for.
    fn limits(&self, envelope: usize, frames: u16) -> PathLimits {
        let (max_segments, longest, tcp_header) = if self.segmentation {
            (MAX_SEGMENTS, self.max_frame, MAX_TCP_HEADER)
        } else if frames > 1 {
            (frames.min(MAX_SEGMENTS), MAX_PACKET, MAX_TCP_HEADER)
        } else {
            (1, self.max_frame, MIN_TCP_HEADER)
        };
        PathLimits {
            max_segments,
            max_frame_payload: longest.saturating_sub(envelope + tcp_header) as u32,
        }
    }
}

/// Sends a large segment in frames of its own, and says how many there was room for.
fn transmit_cut(cut: &mut Cut<'_>, port: PortId, batch: &mut impl TransmitBatch) -> u64 {
    let mut sent = 0;
    while let Some(length) = cut.next_length() {
        let Some(room) = batch.reserve(port, length) else {
            break;
        };
        let Ok(length) = cut.emit(room) else {
            break;
        };
        batch.commit(port, length, TransmitMeta::default());
        sent += 1;
    }
    sent
}

impl Stack {
    /// Fills frames of the batch with what is due, until nothing is or the batch is full, and
    /// returns how many.
    pub fn transmit(&mut self, now: Instant, batch: &mut impl TransmitBatch) -> usize {
        let before = self.counters.frames_sent;
        self.counters.frames_sent += self.relay.transmit(&mut self.pool, batch);
        self.transmit_due(now, batch);
        if self.loopback.len() > 0 {
            // What the stack sends to itself is there at once, and so is its answer.
            self.receive_loopback(now);
            self.transmit_due(now, batch);
        }
        self.set_timers_in_time(now);
        usize::try_from(self.counters.frames_sent - before).unwrap_or(usize::MAX)
    }

    fn transmit_due(&mut self, now: Instant, batch: &mut impl TransmitBatch) {
        self.transmit_control(now, batch);
        self.transmit_subflows(now, batch);
        // Both may have met neighbours that are not known.
        self.solicit_neighbors(now);
        self.transmit_control(now, batch);
        self.deliver_messages(now);
    }

    fn transmit_control(&mut self, now: Instant, batch: &mut impl TransmitBatch) {
        for _ in 0..self.control.len() {
            let Some(packet) = self.control.pop() else {
                break;
            };
            match self.transmit_packet(now, &packet, batch) {
                Turn::Sent | Turn::LastOfBatch | Turn::Idle => self.discard(packet),
                Turn::Lost => {
                    self.counters.neighbor_unreachable += 1;
                    self.discard(packet);
                }
                Turn::PortFull => self.control.put_back(packet),
                Turn::Pending => {
                    if let Some(packet) = self.control.wait(packet) {
                        self.counters.control_queue_full += 1;
                        self.discard(packet);
                    }
                }
            }
        }
    }

    fn transmit_packet(
        &mut self,
        now: Instant,
        packet: &Packet,
        batch: &mut impl TransmitBatch,
    ) -> Turn {
        let port = packet.port();
        let Some(interface) = self.interfaces.by_port(port).filter(|found| found.up) else {
            return Turn::Lost;
        };
        let next_hop = match packet {
            Packet::Discovery { to, .. } => *to,
            Packet::Routed { .. } if port == PortId::LOOPBACK => loopback::ADDRESS,
            Packet::Routed { path, .. } => {
                match self
                    .neighbors
                    .resolve(now, port, path.next_hop, Purpose::Answer)
                {
                    Resolution::Known(mac) => mac,
                    Resolution::Pending => return Turn::Pending,
                    Resolution::Unreachable => return Turn::Lost,
                }
            }
        };
        let length = packet.frame_length();
        let room = if port == PortId::LOOPBACK {
            self.loopback.reserve(&mut self.pool, length)
        } else if let Some(worker) = self.relay.worker_of(port) {
            let (relay, pool) = (&mut self.relay, &mut self.pool);
            relay.reserve(worker, &self.outboxes, pool, length)
        } else {
            batch.reserve(port, length)
        };
        let Some(room) = room else {
            return Turn::PortFull;
        };
        let Ok(length) = packet.emit(interface, next_hop, self.config.hop_limit, room) else {
            return Turn::Idle;
        };
        self.commit(now, port, length, TransmitMeta::default(), batch);
        if matches!(
            packet,
            Packet::Routed {
                content: Content::Segment(_),
                ..
            }
        ) {
            self.counters.segments_sent += 1;
        }
        Turn::Sent
    }

    /// Sends what was written to the room last reserved.
    fn commit(
        &mut self,
        now: Instant,
        port: PortId,
        length: usize,
        meta: TransmitMeta,
        batch: &mut impl TransmitBatch,
    ) {
        if port == PortId::LOOPBACK {
            self.loopback.commit(now, length, meta);
        } else if let Some(worker) = self.relay.worker_of(port) {
            if let Some(frame) = self.relay.commit(length) {
                self.relay_frame(worker, port, frame, meta);
            }
        } else {
            batch.commit(port, length, meta);
            self.counters.frames_sent += 1;
        }
    }

    /// Sends what is lent in place of the room last reserved.
    fn attach(
        &mut self,
        now: Instant,
        port: PortId,
        lent: Result<(Loan, TransmitMeta), EmitError>,
        batch: &mut impl TransmitBatch,
    ) -> Turn {
        let Ok((Loan { memory, filled }, meta)) = lent else {
            self.counters.payload_missing += 1;
            return Turn::Lost;
        };
        if port == PortId::LOOPBACK {
            self.loopback.attach(now, memory, filled, meta);
        } else {
            batch.attach(port, memory, filled, meta);
            self.counters.frames_sent += 1;
        }
        self.counters.segments_sent += 1;
        self.counters.segments_lent += 1;
        Turn::Sent
    }

    fn transmit_subflows(&mut self, now: Instant, batch: &mut impl TransmitBatch) {
        self.ready.begin();
        while let Some((port, waiting)) = self.ready.pop() {
            let key = waiting.key;
            match self.transmit_subflow(now, key, batch) {
                Turn::Sent | Turn::Lost => {
                    if self.subflows.contains(key) {
                        self.ready.push(port, key);
                    }
                }
                // A segment that is cut by the end of the batch costs both ends as much as two, and comes
                // out of order where others carry what follows it.
                Turn::LastOfBatch => {
                    if self.subflows.contains(key) {
                        self.ready.push(port, key);
                    }
                    break;
                }
                Turn::PortFull => self.ready.put_back(port, waiting),
                Turn::Pending => self.waiting.push(key),
                Turn::Idle => {
                    if let Some(slot) = self.subflows.get_mut(key) {
                        slot.queued = false;
                    }
                }
            }
        }
    }

    /// Subflows that waited for a neighbour try again.
    pub(super) fn wake_waiting(&mut self) {
        for key in self.waiting.drain(..) {
            if let Some(slot) = self.subflows.get(key) {
                self.ready.push(slot.path.port, key);
            }
        }
    }

    /// Where the frames of a subflow go now.
    fn target(&mut self, now: Instant, key: SubflowKey) -> Result<Target, Turn> {
        let slot = self.subflows.get(key).ok_or(Turn::Idle)?;
        let port = slot.path.port;
        let interface = self.interfaces.by_port(port).ok_or(Turn::Idle)?;
        let capabilities = interface.config.capabilities;
        let link_frame = usize::from(interface.config.mtu) + EthernetHeader::LEN;
        let max_frame = if capabilities.segmentation {
            capabilities.max_frame.min(MAX_PACKET + EthernetHeader::LEN)
        } else {
            link_frame
        };
        let exit = if port == PortId::LOOPBACK {
            Exit::Loopback
        } else if interface.up {
            match self
                .neighbors
                .resolve(now, port, slot.path.next_hop, Purpose::Subflow)
            {
                Resolution::Known(mac) => Exit::Neighbor(mac),
                Resolution::Pending => return Err(Turn::Pending),
                Resolution::Unreachable => Exit::NobodyAnswers,
            }
        } else {
            Exit::LinkDown
        };
        Ok(Target {
            port,
            exit,
            source_mac: interface.config.mac,
            max_frame,
            segmentation: capabilities.segmentation,
            partial_checksum: capabilities.checksum || capabilities.segmentation,
            lends: capabilities.segmentation
                && capabilities.attach
                && self.relay.worker_of(port).is_none(),
        })
    }

    /// Gives a subflow its turn: one frame.
    fn transmit_subflow(
        &mut self,
        now: Instant,
        key: SubflowKey,
        batch: &mut impl TransmitBatch,
    ) -> Turn {
        let target = match self.target(now, key) {
            Ok(target) => target,
            Err(turn) => return turn,
        };
        let turn = self.transmit_segment(now, key, &target, batch);
        if matches!(turn, Turn::Sent | Turn::LastOfBatch | Turn::Lost) {
            self.after_subflow(now, key);
        }
        turn
    }

    fn transmit_segment(
        &mut self,
        now: Instant,
        key: SubflowKey,
        target: &Target,
        batch: &mut impl TransmitBatch,
    ) -> Turn {
        let Some(slot) = self.subflows.get_mut(key) else {
            return Turn::Idle;
        };
        let loaded;
        let (home, published, marking) = match &slot.home {
            Home::Here(key) => match self.connections.get(*key) {
                Some(owner) => (Some(*key), owner.connection.published(), owner.marking()),
                None => (None, &self.orphaned, Marking::default()),
            },
            Home::Elsewhere(distant) => {
                loaded = distant.block.load();
                (None, &loaded.0, loaded.1)
            }
        };
        let envelope = Envelope {
            source_mac: target.source_mac,
            destination_mac: match target.exit {
                Exit::Neighbor(mac) => mac,
                Exit::Loopback => loopback::ADDRESS,
                Exit::NobodyAnswers | Exit::LinkDown => MacAddress::default(),
            },
            source: slot.path.source,
            destination: slot.remote.ip(),
            hop_limit: marking.hop_limit.unwrap_or(self.config.hop_limit),
            dscp: marking.traffic_class >> 2,
            ecn: Ecn::NotCapable,
            flow_label: slot.flow_label,
        };
        // Room first: what a subflow has sent it cannot take back.
        let frames = target.frames(&self.relay, batch);
        let room = match target.exit {
            Exit::Neighbor(_) => Some(match self.relay.worker_of(target.port) {
                Some(worker) => {
                    let (relay, pool) = (&mut self.relay, &mut self.pool);
                    relay.reserve(worker, &self.outboxes, pool, target.max_frame)
                }
                None => batch.reserve(target.port, target.max_frame),
            }),
            Exit::Loopback => Some(self.loopback.reserve(&mut self.pool, target.max_frame)),
            Exit::NobodyAnswers | Exit::LinkDown => None,
        };
        if matches!(room, Some(None)) {
            return Turn::PortFull;
        }
        let room = room.flatten();
        let limits = target.limits(envelope.len(), frames);
        let subflow = slot.subflow.awake();
        let Some(mut outgoing) = subflow.transmit(now, published, limits) else {
            return Turn::Idle;
        };
        outgoing.header.source_port = slot.local_port;
        outgoing.header.destination_port = slot.remote.port();
        let header = &outgoing.header;
        let Some(room) = room else {
            if target.exit == Exit::NobodyAnswers && header.flags.contains(TcpFlags::SYN) {
                slot.lost_syns = slot.lost_syns.saturating_add(1);
                if slot.lost_syns >= UNREACHABLE_SYNS {
                    subflow.on_unreachable(true, header.sequence);
                }
            }
            self.counters.neighbor_unreachable += 1;
            return Turn::Lost;
        };
        let envelope = Envelope {
            ecn: if outgoing.ecn_capable {
                Ecn::Capable0
            } else {
                Ecn::NotCapable
            },
            ..envelope
        };
        if let Some(home) = home.filter(|_| target.lends)
            && let Some(lent) = lend(&mut self.connections, home, &outgoing, &envelope)
        {
            return self.attach(now, target.port, lent, batch);
        }
        let length = outgoing.length as usize;
        let owner = home.and_then(|home| self.connections.get(home));
        let payload = match outgoing.payload {
            PayloadSource::None => Pieces::NONE,
            PayloadSource::SendBuffer(start) => owner.map_or(Pieces::NONE, |owner| {
                owner.connection.send_pieces(start, length)
            }),
            PayloadSource::Retained { offset } => subflow.retained_bytes(offset, outgoing.length),
        };
        if payload.len() != length {
            self.counters.payload_missing += 1;
            return Turn::Lost;
        }
        let segment_size = usize::from(outgoing.segment_size.max(1));
        if !target.segmentation && length > segment_size {
            let cut = Cut::new(&envelope, header, payload, segment_size, target.max_frame);
            let Ok(mut cut) = cut else {
                self.counters.payload_missing += 1;
                return Turn::Lost;
            };
            let sent = transmit_cut(&mut cut, target.port, batch);
            self.counters.frames_sent += sent;
            self.counters.segments_sent += sent;
            self.counters.segments_refused += cut.frames() as u64;
            return if (batch.room(target.port) as u64) < sent {
                Turn::LastOfBatch
            } else {
                Turn::Sent
            };
        }
        let form = SegmentForm {
            partial_checksum: target.partial_checksum,
            segment_size: outgoing.segment_size.max(1),
        };
        match emit_segment(&envelope, header, payload, form, room) {
            Ok((length, meta)) => {
                self.commit(now, target.port, length, meta, batch);
                self.counters.segments_sent += 1;
                Turn::Sent
            }
            Err(_) => {
                self.counters.payload_missing += 1;
                Turn::Lost
            }
        }
    }
}
