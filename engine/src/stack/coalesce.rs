//! Segments of a flow that follow one another in a burst become one large segment, as a network card
//! or a kernel would hand it up: TCP and everything above it then runs once for all of them.
//!
//! A segment joins the one before it when both differ in nothing but sequence number, length and PSH: the
//! same acknowledgment, window and options to the byte, so the same mapping (RFC 8684 section 3.3.1) and
//! the same time stamp. All but the last are of the same length, as senders with segmentation offload make
//! them. The payload is copied behind that of the first, in the pass that checks its checksum.

use super::batch::{ReceiveMeta, ReceivedChecksum};
use super::receive::{ReceivedPacket, ReceivedSegment};
use crate::sequence::SequenceNumber;
use crate::storage::frame::FramePool;
use crate::wire::checksum::{Sum, copy_and_sum};
use crate::wire::ip::Ecn;
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

/// What became of a segment that was to join.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Joined {
    /// It is part of the large segment, and its frame is free.
    Yes,
    /// It follows, but its checksum is wrong: it is to be dropped.
    Corrupt,
    /// It is of another flow, or differs, or there is no room.
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
    /// Whether others may join this segment: it is to wait for them.
    pub(super) fn takes(&self, segment: &ReceivedSegment) -> bool {
        self.in_burst
            && segment.header.flags == PLAIN
            && !segment.payload.range.is_empty()
            && segment.payload.segments == 1
            && !segment.marked_ce
    }
}

/// A segment that waits for those that follow it in the same burst.
#[derive(Debug)]
pub(super) struct Coalescing {
    segment: ReceivedSegment,
    /// The first one's TCP header, within the first one's frame.
    header: Range<usize>,
    /// Sequence number of the byte after the last.
    next: SequenceNumber,
    /// Payload of each segment but the last.
    size: usize,
    /// The last one was shorter, or had PSH.
    closed: bool,
}

impl Coalescing {
    /// A segment that others may join, whose TCP header takes `header` of its frame.
    pub(super) fn new(segment: ReceivedSegment, header: Range<usize>) -> Self {
        let length = segment.payload.range.len();
        Self {
            next: segment.header.sequence + length as u32,
            size: length,
            closed: false,
            header,
            segment,
        }
    }

    /// The segment with all that joined it.
    pub(super) fn finish(self) -> ReceivedSegment {
        self.segment
    }

    /// Takes the next segment of the burst in, if it follows.
    pub(super) fn join(
        &mut self,
        packet: &ReceivedPacket,
        meta: ReceiveMeta,
        pool: &mut FramePool,
    ) -> Joined {
        let bytes = packet.bytes();
        let Some(data) = self.follows(packet, bytes, meta) else {
            return Joined::No;
        };
        let (header, payload) = bytes.split_at(data);
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
        if meta.checksum == ReceivedChecksum::Unknown {
            let pseudo = packet.header.pseudo_header().sum(bytes.len());
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

    /// Where the payload of a segment begins that differs from those before it in its place alone.
    fn follows(&self, packet: &ReceivedPacket, bytes: &[u8], meta: ReceiveMeta) -> Option<usize> {
        let flow = &self.segment.flow;
        let same_path = !self.closed
            && meta.segment_size.is_none()
            && packet.port == self.segment.port
            && packet.header.source() == flow.remote.ip()
            && packet.header.destination() == flow.local.ip()
            && packet.header.traffic_class().ecn() != Ecn::CongestionExperienced;
        if !same_path {
            return None;
        }
        let first = self
            .segment
            .payload
            .frame
            .bytes()
            .get(self.header.clone())?;
        let own = bytes.get(..first.len())?;
        let next = self.next.0.to_be_bytes();
        let same = own[PORTS] == first[PORTS]
            && own[SEQUENCE] == next
            && own[ACKNOWLEDGMENT] == first[ACKNOWLEDGMENT]
            && own[FLAGS] & !TcpFlags::PSH.bits() == PLAIN.bits()
            && own[WINDOW] == first[WINDOW]
            && own[OPTIONS..] == first[OPTIONS..];
        let length = bytes.len() - first.len();
        (same && (1..=self.size).contains(&length)).then_some(first.len())
    }

    /// Whether so many bytes fit behind those that are there. Where the frame of the first is a small
    /// one, all move to a larger.
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
        let moved = larger.capacity() > own.frame.capacity()
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
