//! Received payloads: in order and ready, or held until a hole is filled, with the SACK blocks
//! that tell the peer (RFC 2018 section 4) and the DSACK of duplicates (RFC 2883 section 4).

use super::segment::{InOrder, Payload};
use super::space::{SequenceSpace, offset_of};
use crate::storage::frame::{Frame, FramePool};
use crate::storage::prefetch::Prefetch;
use crate::wire::tcp_option::SackBlock;
use arrayvec::ArrayVec;
use core::ops::Range;
use std::collections::VecDeque;

/// A run of positions.
type Run = (u64, u64);

/// A payload out of order.
#[derive(Debug)]
struct Held {
    start: u64,
    frame: Frame,
    range: Range<usize>,
}

impl Held {
    fn end(&self) -> u64 {
        self.start + self.range.len() as u64
    }

    /// Cuts off what lies before `position`.
    fn trim_start(&mut self, position: u64) {
        let excess = position.saturating_sub(self.start) as usize;
        let excess = excess.min(self.range.len());
        self.range.start += excess;
        self.start += excess as u64;
    }

    /// Cuts off what lies at or after `position`.
    fn trim_end(&mut self, position: u64) {
        let excess = self.end().saturating_sub(position) as usize;
        self.range.end -= excess.min(self.range.len());
    }

    /// Copies a payload out of a frame that is much larger, so that small segments
    /// cannot make the queue hold much memory.
    fn right_sized(self, pool: &mut FramePool) -> Self {
        if self.range.len() >= self.frame.capacity() / 2 {
            self
        } else {
            self.copied(pool)
        }
    }

    /// Copies a payload into a frame of its size.
    fn copied(mut self, pool: &mut FramePool) -> Self {
        let bytes = self.frame.bytes().get(self.range.clone());
        let copy = Frame::from(bytes.unwrap_or_default());
        pool.put(core::mem::replace(&mut self.frame, copy));
        self.range = 0..self.range.len();
        self
    }
}

/// What became of a payload.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Placed {
    /// It extended the stream; with `filled`, a hole was there before.
    InOrder { filled: bool },
    /// It is held behind a hole.
    OutOfOrder,
    /// Nothing of it was new.
    Duplicate,
    /// There was no room to hold it.
    Dropped,
}

/// The payloads between the peer and whoever reads the stream.
#[derive(Debug)]
pub(super) struct ReceiveQueue {
    ready: VecDeque<InOrder>,
    /// Ordered, without overlaps, all past the next position.
    held: VecDeque<Held>,
    /// SACK blocks, the most recently changed first.
    blocks: ArrayVec<Run, 4>,
    duplicate: Option<Run>,
    dropped: u64,
    /// Memory of the payloads in `ready` and `held`.
    memory: usize,
    /// Memory that payloads may take while they wait.
    allowance: usize,
    /// Memory of the last payload that the allowance had no room for, until one finds room or
    /// nothing waits.
    refused: usize,
}

impl Default for ReceiveQueue {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            held: VecDeque::new(),
            blocks: ArrayVec::new(),
            duplicate: None,
            dropped: 0,
            memory: 0,
            allowance: usize::MAX,
            refused: 0,
        }
    }
}

impl ReceiveQueue {
    /// One that holds nothing, after so many payloads were dropped.
    pub(super) fn after(dropped: u64) -> Self {
        Self {
            dropped,
            ..Self::default()
        }
    }

    /// It holds nothing and has nothing to tell.
    pub(super) fn is_at_rest(&self) -> bool {
        self.ready.is_empty()
            && self.held.is_empty()
            && self.blocks.is_empty()
            && self.duplicate.is_none()
            && self.refused == 0
    }

    /// Asks for the memory of the payloads in order.
    pub(super) fn prefetch(&self, prefetch: Prefetch) {
        prefetch.queue(&self.ready);
    }

    pub(super) fn pop(&mut self) -> Option<InOrder> {
        let piece = self.ready.pop_front()?;
        self.memory -= piece.frame.memory();
        if self.memory == 0 {
            self.refused = 0;
        }
        Some(piece)
    }

    /// Bounds the memory of payloads that wait. What waits already stays.
    pub(super) const fn set_allowance(&mut self, bytes: usize) {
        self.allowance = bytes;
    }

    /// Memory that the last payload would have taken which the allowance had no room for; zero
    /// once one found room, or nothing waits any more.
    pub(super) const fn refused(&self) -> usize {
        self.refused
    }

    /// End of the last payload held out of order.
    pub(super) fn highest_held(&self) -> Option<u64> {
        self.held.back().map(Held::end)
    }

    /// Memory of the payloads held, in order or not.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// Payloads dropped because too many were held, or too much.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Notes that the peer sent `start..end` again: the next acknowledgment says so.
    pub(super) const fn note_duplicate(&mut self, start: u64, end: u64) {
        if start < end {
            self.duplicate = Some((start, end));
        }
    }

    /// Takes a payload that starts at `start`. `next` is the position expected next and moves
    /// past what is then in order; `limit` bounds the payloads held.
    ///
    /// What can be passed on at once is taken in any case, and so is the first payload behind a
    /// hole. Everything else has to fit the allowance.
    pub(super) fn insert(
        &mut self,
        next: &mut u64,
        start: u64,
        payload: Payload,
        limit: usize,
        pool: &mut FramePool,
    ) -> Placed {
        let mut piece = Held {
            start,
            frame: payload.frame,
            range: payload.range,
        };
        if piece.start < *next {
            self.note_duplicate(piece.start, piece.end().min(*next));
            piece.trim_start(*next);
        }
        if piece.range.is_empty() {
            pool.put(piece.frame);
            return Placed::Duplicate;
        }
        if piece.start > *next || !self.ready.is_empty() {
            match self.admit(piece, limit, pool) {
                Some(admitted) => piece = admitted,
                None => return Placed::Dropped,
            }
        }
        if self.held.is_empty() && piece.start == *next {
            self.memory += piece.frame.memory();
            self.deliver(next, piece);
            return Placed::InOrder { filled: false };
        }
        let Some((index, piece)) = self.fit(piece, pool) else {
            return Placed::Duplicate;
        };
        let run = (piece.start, piece.end());
        self.memory += piece.frame.memory();
        self.held.insert(index, piece);
        if run.0 > *next {
            self.update_blocks(run);
            return Placed::OutOfOrder;
        }
        while self.held.front().is_some_and(|held| held.start <= *next) {
            if let Some(held) = self.held.pop_front() {
                self.deliver(next, held);
            }
        }
        self.blocks.retain(|block| block.1 > *next);
        Placed::InOrder { filled: true }
    }

    /// Makes a piece that has to wait as small as it must be; `None` when there is no room for it.
    fn admit(&mut self, piece: Held, limit: usize, pool: &mut FramePool) -> Option<Held> {
        if self.held.len() >= limit {
            self.dropped += 1;
            pool.put(piece.frame);
            return None;
        }
        let piece = piece.right_sized(pool);
        let room = self.allowance.saturating_sub(self.memory);
        let memory = piece.frame.memory();
        if self.memory == 0 || memory <= room {
            self.refused = 0;
            return Some(piece);
        }
        if Frame::memory_for(piece.range.len()) <= room {
            return Some(piece.copied(pool));
        }
        self.refused = memory;
        self.dropped += 1;
        pool.put(piece.frame);
        None
    }

    /// Trims a piece to what is not yet held and finds its place; `None` when nothing is new.
    fn fit(&mut self, mut piece: Held, pool: &mut FramePool) -> Option<(usize, Held)> {
        let index = self.held.partition_point(|held| held.start <= piece.start);
        let before = index.checked_sub(1).and_then(|index| self.held.get(index));
        if let Some(held_end) = before.map(Held::end)
            && held_end > piece.start
        {
            self.note_duplicate(piece.start, piece.end().min(held_end));
            piece.trim_start(held_end);
        }
        while let Some(held) = self.held.get(index)
            && held.end() <= piece.end()
        {
            self.duplicate = Some((held.start, held.end()));
            if let Some(held) = self.held.remove(index) {
                self.memory -= held.frame.memory();
                pool.put(held.frame);
            }
        }
        if let Some(held_start) = self.held.get(index).map(|held| held.start)
            && held_start < piece.end()
        {
            self.note_duplicate(held_start.max(piece.start), piece.end());
            piece.trim_end(held_start);
        }
        if piece.range.is_empty() {
            pool.put(piece.frame);
            return None;
        }
        Some((index, piece))
    }

    fn deliver(&mut self, next: &mut u64, piece: Held) {
        let end = piece.end();
        self.ready.push_back(InOrder {
            offset: offset_of(piece.start),
            frame: piece.frame,
            range: piece.range,
        });
        *next = end;
    }

    /// The run that a new piece belongs to becomes the first block.
    fn update_blocks(&mut self, piece: Run) {
        let (mut start, mut end) = piece;
        // Known blocks that touch spare the walk over their pieces.
        self.blocks.retain(|block| {
            let touches = block.0 <= end && start <= block.1;
            if touches {
                start = start.min(block.0);
                end = end.max(block.1);
            }
            !touches
        });
        let mut index = self.held.partition_point(|held| held.start < start);
        while let Some(held) = index.checked_sub(1).and_then(|index| self.held.get(index))
            && held.end() == start
        {
            start = held.start;
            index -= 1;
        }
        let mut index = self.held.partition_point(|held| held.start < end);
        while let Some(held) = self.held.get(index)
            && held.start == end
        {
            end = held.end();
            index += 1;
        }
        self.blocks.retain(|block| block.1 < start || end < block.0);
        if self.blocks.is_full() {
            self.blocks.pop();
        }
        self.blocks.insert(0, (start, end));
    }

    /// The blocks to send where `room` of them fit; a DSACK comes first (RFC 2883 section 4).
    pub(super) fn sack_blocks(&self, space: SequenceSpace, room: usize) -> ArrayVec<SackBlock, 4> {
        self.duplicate
            .iter()
            .chain(&self.blocks)
            .take(room.min(4))
            .map(|(start, end)| SackBlock {
                start: space.sequence(*start),
                end: space.sequence(*end),
            })
            .collect()
    }

    /// Blocks were sent: a DSACK is reported once.
    pub(super) const fn blocks_sent(&mut self) {
        self.duplicate = None;
    }

    /// Drops all there is: nobody will read the stream.
    pub(super) fn clear(&mut self) {
        self.clear_held();
        self.ready.clear();
        self.memory = 0;
    }

    /// Drops what is held out of order.
    pub(super) fn clear_held(&mut self) {
        for held in self.held.drain(..) {
            self.memory -= held.frame.memory();
        }
        self.refused = 0;
        self.blocks.clear();
        self.duplicate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::SequenceNumber;

    fn payload(start: u64, end: u64) -> Payload {
        let bytes: Vec<u8> = (start..end).map(|position| position as u8).collect();
        Payload {
            frame: Frame::from(bytes.as_slice()),
            range: 0..bytes.len(),
            segments: 1,
        }
    }

    struct Receiver {
        queue: ReceiveQueue,
        next: u64,
        pool: FramePool,
    }

    impl Receiver {
        fn new() -> Self {
            Self {
                queue: ReceiveQueue::default(),
                next: 1,
                pool: FramePool::new(64, 4),
            }
        }

        fn insert(&mut self, start: u64, end: u64) -> Placed {
            let payload = payload(start, end);
            self.queue
                .insert(&mut self.next, start, payload, 100, &mut self.pool)
        }

        fn blocks(&mut self) -> Vec<(u32, u32)> {
            let space = SequenceSpace::new(SequenceNumber(0));
            let blocks = self.queue.sack_blocks(space, 4);
            self.queue.blocks_sent();
            blocks.iter().map(|b| (b.start.0, b.end.0)).collect()
        }

        fn read(&mut self) -> Vec<u8> {
            let mut bytes = Vec::new();
            while let Some(piece) = self.queue.pop() {
                assert_eq!(piece.offset, bytes.len() as u64);
                bytes.extend_from_slice(&piece.frame.bytes()[piece.range]);
            }
            bytes
        }
    }

    #[test]
    fn blocks_name_the_most_recent_run_first() {
        let mut receiver = Receiver::new();
        assert_eq!(receiver.insert(11, 21), Placed::OutOfOrder);
        receiver.insert(31, 41);
        receiver.insert(51, 61);
        assert_eq!(receiver.blocks(), [(51, 61), (31, 41), (11, 21)]);
        receiver.insert(21, 31);
        assert_eq!(receiver.blocks(), [(11, 41), (51, 61)]);
        assert_eq!(receiver.insert(12, 14), Placed::Duplicate);
        assert_eq!(receiver.blocks(), [(12, 14), (11, 41), (51, 61)], "DSACK");
        assert_eq!(receiver.blocks(), [(11, 41), (51, 61)], "once");
        assert_eq!(receiver.insert(1, 11), Placed::InOrder { filled: true });
        assert_eq!(receiver.next, 41);
        assert_eq!(receiver.blocks(), [(51, 61)]);
        receiver.insert(35, 60);
        assert_eq!(receiver.blocks(), [(51, 60)], "DSACK of a part");
        assert_eq!(receiver.next, 61);
        let expected: Vec<u8> = (1..61).collect();
        assert_eq!(receiver.read(), expected);
    }

    #[test]
    fn what_was_refused_is_not_missed_once_nothing_waits() {
        let mut receiver = Receiver::new();
        receiver.queue.set_allowance(0);
        assert_eq!(receiver.insert(11, 21), Placed::OutOfOrder, "the first");
        assert_eq!(receiver.insert(21, 31), Placed::Dropped);
        assert!(receiver.queue.refused() > 0);
        assert_eq!(receiver.insert(1, 11), Placed::InOrder { filled: true });
        assert_eq!(receiver.read().len(), 20);
        assert_eq!(receiver.insert(21, 31), Placed::InOrder { filled: false });
        assert_eq!(receiver.queue.refused(), 0);
    }

    #[test]
    fn any_order_of_overlapping_pieces_gives_the_stream() {
        for seed in 0..200_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut random = |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let mut receiver = Receiver::new();
            let mut rounds = 0;
            while receiver.next < 201 {
                let start = random(200) + 1;
                let end = (start + 1 + random(30)).min(201);
                receiver.insert(start, end);
                rounds += 1;
                assert!(rounds < 100_000, "seed {seed}");
            }
            let expected: Vec<u8> = (1..201_u64).map(|position| position as u8).collect();
            assert_eq!(receiver.read(), expected, "seed {seed}");
            assert!(receiver.queue.held.is_empty(), "seed {seed}");
        }
    }
}
