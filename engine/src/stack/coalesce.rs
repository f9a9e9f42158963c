//! Segments of a flow that follow one another in a burst become one large segment, as a network card
//! or a kernel would hand it up: what is above runs once for all of them, and no more of their headers is
//! read than shows that they may join.
//!
//! A segment joins the one before it when the headers of both frames differ in nothing but lengths, IPv4
//! identification, checksums, sequence number and PSH: the same acknowledgment, window and options to the
//! byte, so the same mapping (RFC 8684 section 3.3.1) and the same time stamp. All but the last are of
//! the same length, as senders with segmentation offload make them. The payload is copied behind that of
//! the first, in the pass that checks its checksum.

use super::batch::{ReceiveMeta, ReceivedChecksum};
use super::receive::ReceivedSegment;
use crate::sequence::SequenceNumber;
use crate::storage::frame::FramePool;
use crate::wire::checksum::{Sum, copy_and_sum};
use crate::wire::ethernet::EthernetHeader;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use crate::wire::tcp::TcpFlags;
use core::ops::Range;

/// The longest payload of a large segment.
const LONGEST: usize = 65_535;
/// Flags of segments that may be joined; PSH ends the large one.
const PLAIN: TcpFlags = TcpFlags::ACK;

/// Where fields lie in a TCP header.
const PORTS: Range<usize> = 0..4;
const SEQUENCE: Range<usize> = 4..8;
/// Acknowledgment and the length of the header.
const ACKNOWLEDGMENT: Range<usize> = 8..13;
const FLAGS: usize = 13;
const WINDOW: Range<usize> = 14..16;
const OPTIONS: usize = 20;

/// The IP header of all that may join: the fixed one of its version and nothing else.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Network {
    V4,
    V6,
}

impl Network {
    /// The version of a header so long; `None` where it has options.
    fn of_length(length: usize) -> Option<Self> {
        match length {
            Ipv4Header::LEN => Some(Self::V4),
            Ipv6Header::LEN => Some(Self::V6),
            _ => None,
        }
    }

    /// Whether two headers differ in nothing but length, identification and checksum, and the checksum
    /// of `own` is right.
    fn is_alike(self, own: &[u8], first: &[u8]) -> bool {
        let same = |field: Range<usize>| own[field.clone()] == first[field];
        match self {
            Self::V4 => same(0..2) && same(6..10) && same(12..20) && Sum::of(own).is_valid(),
            Self::V6 => same(0..4) && same(6..40),
        }
    }

    /// Bytes of header and payload.
    fn packet_length(self, header: &[u8]) -> usize {
        let field = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
        match self {
            Self::V4 => field(2),
            Self::V6 => field(4) + Ipv6Header::LEN,
        }
    }
}

/// What became of a segment that was to join.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Joined {
    /// It is part of the large segment, and its frame is free.
    Yes,
    /// It follows, but its checksum is wrong: it is to be dropped.
    Corrupt,
    /// It is something else, or differs, or there is no room.
    No,
}

/// Where a segment waits for those that follow it.
#[derive(Debug, Default)]
pub(super) struct Coalescer {
    /// A burst is being received; otherwise each segment goes on by itself.
    pub(super) in_burst: bool,
    pub(super) waiting: Option<Coalescing>,
}

impl Coalescer {
    /// The IP header of those that may join this segment, whose TCP header begins at `tcp` of its frame;
    /// `None` where none may, so that it need not wait for them.
    pub(super) fn network_of(&self, segment: &ReceivedSegment, tcp: usize) -> Option<Network> {
        let takes = self.in_burst
            && segment.header.flags == PLAIN
            && !segment.payload.range.is_empty()
            && segment.payload.segments == 1
            && !segment.marked_ce;
        let ip = tcp.checked_sub(EthernetHeader::LEN).filter(|_| takes)?;
        Network::of_length(ip)
    }
}

/// A segment that waits for those that follow it in the same burst.
#[derive(Debug)]
pub(super) struct Coalescing {
    segment: ReceivedSegment,
    network: Network,
    /// The first one's TCP header, within the first one's frame.
    header: Range<usize>,
    /// Of the pseudo header, but for the length.
    pseudo: Sum,
    /// Sequence number of the byte after the last.
    next: SequenceNumber,
    /// Payload of each segment but the last.
    size: usize,
    /// The last one was shorter, or had PSH.
    closed: bool,
}

impl Coalescing {
    /// A segment that others with such an IP header may join, whose TCP header takes `header` of its
    /// frame, with this sum of the pseudo header without the length.
    pub(super) fn new(
        segment: ReceivedSegment,
        network: Network,
        header: Range<usize>,
        pseudo: Sum,
    ) -> Self {
        let length = segment.payload.range.len();
        Self {
            next: segment.header.sequence + length as u32,
            size: length,
            closed: false,
            network,
            header,
            pseudo,
            segment,
        }
    }

    /// The segment with all that joined it.
    pub(super) fn finish(self) -> ReceivedSegment {
        self.segment
    }

    /// Takes the next frame of the burst in, if it is a segment that follows.
    pub(super) fn join(&mut self, frame: &[u8], meta: ReceiveMeta, pool: &mut FramePool) -> Joined {
        let Some(end) = self.end_of_follower(frame, meta) else {
            return Joined::No;
        };
        let (headers, payload) = frame[..end].split_at(self.header.end);
        let length = payload.len();
        if !self.make_room(length, pool) {
            return Joined::No;
        }
        let own = &mut self.segment.payload;
        let start = own.range.end;
        let Some(room) = own.frame.room_after(start, length) else {
            return Joined::No;
        };
        let sum = copy_and_sum(room, payload);
        let header = &headers[self.header.start..];
        if meta.checksum == ReceivedChecksum::Unknown {
            let pseudo = self.pseudo.add_u16((header.len() + length) as u16);
            if !pseudo.add(Sum::of(header)).add(sum).is_valid() {
                // What was copied lies behind the end, where nobody reads it.
                return Joined::Corrupt;
            }
        }
        let pushed = header[FLAGS] & TcpFlags::PSH.bits() != 0;
        own.frame.extend_to(start + length);
        own.range.end += length;
        own.segments = own.segments.saturating_add(1);
        self.next += length as u32;
        self.closed = pushed || length < self.size;
        self.segment.header.flags.set(TcpFlags::PSH, pushed);
        Joined::Yes
    }

    /// Where the payload of a frame ends that differs from those before it in its place alone.
    fn end_of_follower(&self, frame: &[u8], meta: ReceiveMeta) -> Option<usize> {
        if self.closed || meta.segment_size.is_some() || meta.port != self.segment.port {
            return None;
        }
        let all = ..self.header.end;
        let first = self.segment.payload.frame.bytes().get(all)?;
        let own = frame.get(all)?;
        let (ethernet, first_ethernet) =
            (&own[..EthernetHeader::LEN], &first[..EthernetHeader::LEN]);
        let ip = EthernetHeader::LEN..self.header.start;
        let (tcp, first_tcp) = (&own[self.header.clone()], &first[self.header.clone()]);
        let same = |field: Range<usize>| tcp[field.clone()] == first_tcp[field];
        let alike = tcp[SEQUENCE] == self.next.0.to_be_bytes()
            && same(PORTS)
            && same(ACKNOWLEDGMENT)
            && tcp[FLAGS] & !TcpFlags::PSH.bits() == PLAIN.bits()
            && same(WINDOW)
            && tcp[OPTIONS..] == first_tcp[OPTIONS..]
            && ethernet == first_ethernet
            && self.network.is_alike(&own[ip.clone()], &first[ip.clone()]);
        if !alike {
            return None;
        }
        let end = EthernetHeader::LEN + self.network.packet_length(&own[ip]);
        let length = end.checked_sub(self.header.end)?;
        (end <= frame.len() && (1..=self.size).contains(&length)).then_some(end)
    }

    /// Whether so many bytes fit behind those that are there. Where the frame of the first is a small
    /// one, or attached to memory of others, all move to a larger.
    fn make_room(&mut self, length: usize, pool: &mut FramePool) -> bool {
        let own = &mut self.segment.payload;
        if own.range.len() + length > LONGEST {
            return false;
        }
        if own.range.end + length <= own.frame.room() {
            return true;
        }
        let mut larger = pool.take();
        let filled = own.frame.bytes();
        let moved = larger.capacity() > own.frame.room()
            && own.range.end + length <= larger.capacity()
            && larger.append_after(0, filled);
        if !moved {
            pool.put(larger);
            return false;
        }
        pool.put(core::mem::replace(&mut own.frame, larger));
        true
    }
}
