//! The receiving direction: reassembly by data sequence number, DATA_FIN and the one receive
//! window (RFC 8684 sections 3.3.1 to 3.3.4).

use super::data_space::DataSpace;
use crate::mptcp::counters::MptcpCounters;
use crate::sequence::DataSequenceNumber;
use crate::storage::assembler::Assembler;
use crate::storage::frame::{Frame, FramePool};
use crate::storage::receive_buffer::ReceiveBuffer;
use crate::time::Instant;
use core::ops::Range;

/// At most this many runs of bytes wait ahead of order.
const MAX_RUNS: usize = 1024;

/// Bytes from the peer.
///
/// There is room for as much again as the window that the peer is told of. Linux takes the window
/// of a segment that acknowledges nothing new on its subflow only if it is larger than the last
/// one there (RFC 9293 section 3.10.7.4 is as strict), but adds what it knows to the newest
/// DATA_ACK: it then sends beyond the edge by up to a window. What is thrown away here has been
/// acknowledged on its subflow, and comes again only by the peer's data-level timer.
#[derive(Debug)]
pub(super) struct ReceiveState {
    space: DataSpace,
    /// Bytes that the peer may send ahead of the reader.
    window: u64,
    /// The edge does not lie before this, however small the window has become.
    edge_floor: u64,
    pub(super) buffer: ReceiveBuffer,
    assembler: Assembler,
    /// Offset of the next byte, or of what follows the DATA_FIN.
    rcv_nxt: u64,
    /// Where the peer's DATA_FIN lies, once heard of.
    fin: Option<u64>,
    /// The window edge that the peer was last told or is about to be told.
    announced_edge: u64,
    pub(super) last_received: Option<Instant>,
}

impl ReceiveState {
    /// Gives back memory that no byte is in, and none ahead of order.
    pub(super) fn release_spare(&mut self) {
        if self.buffer.readable() == 0 && self.assembler.is_empty() {
            self.buffer.release_memory();
        }
        self.assembler.release_spare();
    }

    /// Takes bytes with a receive window of `window` bytes.
    pub(super) fn new(window: usize, space: DataSpace) -> Self {
        let buffer = ReceiveBuffer::new(window.saturating_mul(2));
        let window = (window as u64).min(buffer.capacity() as u64);
        let announced_edge = window;
        Self {
            space,
            window,
            edge_floor: 0,
            buffer,
            assembler: Assembler::new(MAX_RUNS),
            rcv_nxt: 0,
            fin: None,
            announced_edge,
            last_received: None,
        }
    }

    /// Lets the peer send `bytes` ahead of the reader from now on. The edge stays at least where it
    /// is, and the memory is not given back.
    pub(super) fn set_window(&mut self, bytes: usize) {
        self.edge_floor = self.edge();
        self.buffer.set_capacity(bytes.saturating_mul(2));
        self.window = (bytes as u64).min(self.buffer.capacity() as u64);
    }

    /// Bytes that the peer may send ahead of the reader.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// The peer's key is known, and with it where its stream starts. Only before the first byte.
    pub(super) fn set_space(&mut self, space: DataSpace) {
        if self.rcv_nxt == 0 {
            self.space = space;
        }
    }

    /// DATA_ACK.
    pub(super) fn data_ack(&self) -> DataSequenceNumber {
        self.space.number(self.rcv_nxt)
    }

    /// The number just past the receive window. It follows the reader, so it never moves left.
    pub(super) fn window_edge(&self) -> DataSequenceNumber {
        self.space.number(self.edge())
    }

    /// The largest window there was: what is under way may date from its time.
    pub(super) const fn largest_window(&self) -> u64 {
        self.buffer.capacity() as u64 / 2
    }

    /// Bytes that the peer may send beyond what is in order.
    pub(super) fn free_window(&self) -> u64 {
        self.edge().saturating_sub(self.rcv_nxt)
    }

    fn edge(&self) -> u64 {
        // The DATA_FIN takes a number and no room; a peer may have sent beyond the window.
        (self.buffer.start() + self.window)
            .max(self.edge_floor)
            .max(self.rcv_nxt)
    }

    /// Bytes received in order.
    pub(super) fn in_order(&self) -> u64 {
        self.buffer.readable_end()
    }

    /// The peer's DATA_FIN is in order.
    pub(super) fn is_finished(&self) -> bool {
        self.fin.is_some_and(|fin| fin < self.rcv_nxt)
    }

    /// True when nothing waits ahead of order.
    pub(super) fn is_contiguous(&self) -> bool {
        self.assembler.is_empty()
    }

    /// True when `data_sequence` is the next byte expected and nothing waits ahead of order.
    pub(super) fn is_contiguous_at(&self, data_sequence: DataSequenceNumber) -> bool {
        self.is_contiguous() && data_sequence == self.data_ack()
    }

    /// True when bytes are missing before `data_sequence`.
    pub(super) fn is_ahead(&self, data_sequence: DataSequenceNumber) -> bool {
        self.space.distance(data_sequence, self.rcv_nxt) > 0
    }

    /// True when some of the `length` bytes that begin at `data_sequence` were never received in
    /// order.
    pub(super) fn is_fresh(&self, data_sequence: DataSequenceNumber, length: usize) -> bool {
        length > 0
            && self
                .space
                .distance(data_sequence + length as u64, self.rcv_nxt)
                > 0
    }

    /// Takes the bytes in `range` of those of `frame`, which begin at `data_sequence`.
    pub(super) fn receive(
        &mut self,
        data_sequence: DataSequenceNumber,
        frame: Frame,
        range: Range<usize>,
        pool: &mut FramePool,
        counters: &mut MptcpCounters,
    ) {
        let end = range.end.min(frame.bytes().len());
        let length = end.saturating_sub(range.start);
        let distance = self.space.distance(data_sequence, self.rcv_nxt);
        let old = distance.min(0).unsigned_abs().min(length as u64);
        counters.duplicate_bytes += old;
        let length = length - old as usize;
        let start = self.rcv_nxt.saturating_add(distance.max(0).unsigned_abs());
        let limit = self.fin.unwrap_or(u64::MAX).min(self.buffer.window().end);
        let room = usize::try_from(limit.saturating_sub(start)).unwrap_or(usize::MAX);
        let beyond = length.saturating_sub(room);
        counters.beyond_window_bytes += beyond as u64;
        let range = range.start + old as usize..end - beyond;
        if range.is_empty() {
            pool.put(frame);
        } else if start == self.rcv_nxt && self.assembler.is_empty() {
            self.rcv_nxt += range.len() as u64;
            self.buffer.land(frame, range, pool);
        } else {
            self.buffer.settle(pool);
            self.store(
                start,
                frame.bytes().get(range).unwrap_or_default(),
                counters,
            );
            pool.put(frame);
        }
        self.announced_edge = self.edge();
    }

    /// Takes bytes that come ahead of order, or behind such.
    fn store(&mut self, start: u64, bytes: &[u8], counters: &mut MptcpCounters) {
        let end = start + bytes.len() as u64;
        if self.assembler.is_empty() {
            self.buffer.restart();
        }
        if start > self.rcv_nxt {
            counters.out_of_order_bytes += bytes.len() as u64;
        }
        let Ok(added) = self.assembler.insert(start, end) else {
            counters.too_many_holes += 1;
            return;
        };
        let mut fresh = 0;
        for piece in added {
            fresh += piece.end - piece.start;
            let inside = (piece.start - start) as usize..(piece.end - start) as usize;
            self.buffer
                .write_at(piece.start, bytes.get(inside).unwrap_or_default());
        }
        counters.duplicate_bytes += bytes.len() as u64 - fresh;
        self.rcv_nxt = self.assembler.take_front(self.rcv_nxt);
        self.buffer.make_readable(self.rcv_nxt);
    }

    /// Notes the DATA_FIN. False when it contradicts what is known and must be ignored.
    pub(super) fn note_fin(&mut self, data_sequence: DataSequenceNumber) -> bool {
        let Some(offset) = self.space.offset(data_sequence, self.rcv_nxt) else {
            return false;
        };
        if let Some(fin) = self.fin {
            return fin == offset;
        }
        let received = self.assembler.ranges().next_back();
        let highest = received.map_or(self.rcv_nxt, |range| range.end);
        // One past the window is the furthest that a DATA_FIN can lie.
        if offset < highest || offset > self.buffer.window().end {
            return false;
        }
        self.fin = Some(offset);
        true
    }

    /// Counts the DATA_FIN as received once all data before it is there. True the one time that
    /// it happens.
    pub(super) fn take_fin(&mut self) -> bool {
        let in_order = self.fin == Some(self.rcv_nxt);
        self.rcv_nxt += u64::from(in_order);
        in_order
    }

    /// The stream ended at what is in order: the FIN of a connection that is regular TCP.
    pub(super) fn finish_here(&mut self) {
        self.fin = Some(self.rcv_nxt);
        self.rcv_nxt += 1;
    }

    /// True when the reader has freed so much that the peer should hear of it: two segments or
    /// half the window, and the window the peer knows has run below half. Counts as told.
    pub(super) fn take_window_update(&mut self, segment_size: u32) -> bool {
        let window = self.window;
        let edge = self.edge();
        let freed = edge.saturating_sub(self.announced_edge);
        let left = self.announced_edge.saturating_sub(self.rcv_nxt);
        let due = freed >= (window / 2).min(2 * u64::from(segment_size)) && left < window / 2;
        if due && freed > 0 {
            self.announced_edge = edge;
        }
        due && freed > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(
        state: &mut ReceiveState,
        number: DataSequenceNumber,
        bytes: &[u8],
        counters: &mut MptcpCounters,
    ) {
        let mut pool = FramePool::new(16, 4);
        let range = 0..bytes.len();
        state.receive(number, Frame::from(bytes), range, &mut pool, counters);
    }

    fn read(state: &mut ReceiveState, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let take = |piece: &[u8]| bytes.extend_from_slice(piece);
        state
            .buffer
            .read_with(length, &mut FramePool::new(16, 4), take);
        bytes
    }

    /// Initial numbers whose streams cross a wrap within a few bytes: of the lower half, of the
    /// sign, and of all 64 bits.
    const INITIALS: [u64; 4] = [0, (1 << 32) - 40, (1 << 63) - 40, u64::MAX - 40];

    #[test]
    fn numbers_wrap() {
        for initial in INITIALS {
            let initial = DataSequenceNumber(initial);
            let mut counters = MptcpCounters::default();
            let mut state = ReceiveState::new(64, DataSpace::after(initial));
            let stream: Vec<u8> = (0..100).collect();
            let mut all = Vec::new();
            for start in [10, 0, 40, 20, 10, 60, 55, 90, 80] {
                let number = initial + 1 + start as u64;
                let end = (start + 20).min(stream.len());
                receive(&mut state, number, &stream[start..end], &mut counters);
                all.extend(read(&mut state, 64));
                assert!(stream.starts_with(&all), "from {initial:?}");
            }
            assert_eq!(all, stream, "from {initial:?}");
            assert_eq!(state.data_ack(), initial + 101);
            assert_eq!(counters.beyond_window_bytes, 0);
            assert!(state.note_fin(initial + 101) && state.take_fin());
            assert_eq!(state.data_ack(), initial + 102);
            assert!(!state.note_fin(initial), "of long ago");
        }
    }

    #[test]
    fn the_edge_never_moves_left_whatever_the_buffer_becomes() {
        let initial = DataSequenceNumber(u64::MAX - 40);
        let mut counters = MptcpCounters::default();
        let mut state = ReceiveState::new(64, DataSpace::after(initial));
        let stream: Vec<u8> = (0..1_000).map(|n| n as u8).collect();
        let mut promised = state.window_edge();
        let mut start = 0;
        for size in [16, 128, 8, 8, 200, 1] {
            state.set_window(size);
            assert!(state.window_edge() - promised >= 0, "size {size}");
            promised = state.window_edge();
            // A peer that uses all it was promised loses nothing.
            let end = start + state.free_window() as usize;
            let number = initial + 1 + start as u64;
            receive(&mut state, number, &stream[start..end], &mut counters);
            assert_eq!(read(&mut state, 300), stream[start..end]);
            start = end;
            assert!(state.window_edge() - promised >= 0);
            promised = state.window_edge();
            assert_eq!(state.free_window(), size as u64);
        }
        assert_eq!(counters.beyond_window_bytes, 0);
    }

    #[test]
    fn what_comes_beyond_the_window_is_kept_within_bounds() {
        let initial = DataSequenceNumber(7);
        let mut counters = MptcpCounters::default();
        let mut state = ReceiveState::new(64, DataSpace::after(initial));
        let stream: Vec<u8> = (0..200).collect();
        receive(&mut state, initial + 1, &stream[..64], &mut counters);
        assert_eq!(state.window_edge(), initial + 1 + 64);
        assert_eq!(state.free_window(), 0);
        // A peer that takes the old window to count from the new DATA_ACK.
        receive(
            &mut state,
            initial + 1 + 64,
            &stream[64..128],
            &mut counters,
        );
        assert_eq!(counters.beyond_window_bytes, 0);
        assert_eq!(state.data_ack(), initial + 1 + 128);
        assert_eq!(state.free_window(), 0);
        receive(&mut state, initial + 1 + 128, &stream[128..], &mut counters);
        assert_eq!(counters.beyond_window_bytes, 72);
        assert_eq!(read(&mut state, 100), stream[..100]);
        assert_eq!(state.free_window(), 36);
    }
}
