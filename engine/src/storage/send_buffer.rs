//! What an application wrote and the peer has not yet acknowledged (RFC 8684 section 3.3.5 for
//! when it may be released).

use super::pieces::Pieces;
use super::prefetch::Prefetch;
use super::ring::ByteRing;
use super::send_block::{Block, Loan, Use};
use core::ops::{Range, RangeInclusive};
use std::collections::VecDeque;
use std::sync::Arc;

/// The least payload of a block, where one may be larger: with what it takes beside, and with what the
/// allocator adds, 512 bytes.
const SMALLEST: usize = 480;

/// How what is written is laid out in blocks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Bytes of a block at most.
    pub block: u32,
    /// Segments are sent from their blocks as they are, where they are as long as a block: grants should
    /// begin where blocks do.
    pub lends: bool,
}

impl Layout {
    /// Where everything is copied from the blocks: these are as large as a segment can be, so that one lies
    /// in two at most.
    pub const COPIED: Self = Self {
        block: 1 << 16,
        lends: false,
    };

    /// The largest block.
    const fn most(self) -> usize {
        if self.block == 0 {
            return 1;
        }
        self.block as usize
    }

    const fn of(self) -> Use {
        if self.lends { Use::Lent } else { Use::Copied }
    }
}

/// A bounded queue of bytes by stream offset: filled at the end, released at the start, and
/// readable anywhere in between as often as retransmission and reinjection ask for it.
///
/// The bytes lie in blocks, which are taken as they are needed and used again, the last one first.
#[derive(Debug)]
pub struct SendBuffer {
    /// The one that is filled: the last bytes are in it.
    last: Option<Block>,
    /// Apart, as most buffers never have more than one.
    others: Option<Box<Others>>,
    capacity: u32,
    start: u64,
    end: u64,
    layout: Layout,
}

/// Blocks beside the one that is filled.
#[derive(Debug, Default)]
struct Others {
    /// Those before it, in order, without holes, each with the offset of its first byte.
    full: VecDeque<(u64, Block)>,
    /// Memory that can be used again, unless somebody still looks at it; the warmest last.
    spare: VecDeque<Arc<[u8]>>,
}

impl Others {
    /// Which full block has the byte at `offset`.
    fn index_of(&self, offset: u64) -> Option<usize> {
        let (first, block) = self.full.front()?;
        let into = offset.checked_sub(*first)?;
        let has = |(start, block): &(u64, Block)| {
            let into = offset.checked_sub(*start);
            into.is_some_and(|into| into < block.len() as u64)
        };
        // Most are of one length.
        let guess = usize::try_from(into / block.len().max(1) as u64).ok()?;
        if self.full.get(guess).is_some_and(has) {
            return Some(guess);
        }
        let after = self.full.partition_point(|(start, _)| *start <= offset);
        let index = after.checked_sub(1)?;
        has(self.full.get(index)?).then_some(index)
    }

    /// Memory that was used before and takes as much payload as is asked for.
    fn reuse(&mut self, payload: RangeInclusive<usize>, of: Use) -> Option<Arc<[u8]>> {
        // What others still look at is left; they will be done first with the oldest.
        let spare = &mut self.spare;
        let mut found = spare.pop_back()?;
        if Arc::get_mut(&mut found).is_none() {
            spare.push_back(found);
            found = spare.pop_front()?;
            if Arc::get_mut(&mut found).is_none() {
                spare.push_front(found);
                return None;
            }
        }
        payload.contains(&of.payload_of(&found)).then_some(found)
    }

    /// Keeps memory for later, as much as `most` times.
    fn keep(&mut self, memory: Arc<[u8]>, most: usize) {
        if self.spare.len() >= most {
            self.spare.pop_front();
        }
        self.spare.push_back(memory);
    }
}

impl SendBuffer {
    /// An empty buffer for `capacity` bytes whose first byte will have offset zero.
    pub fn new(capacity: usize) -> Self {
        Self {
            last: None,
            others: None,
            capacity: Self::bounded(capacity),
            start: 0,
            end: 0,
            layout: Layout::COPIED,
        }
    }

    fn bounded(capacity: usize) -> u32 {
        capacity.min(ByteRing::MAX_CAPACITY) as u32
    }

    /// Appends as much of `bytes` as there is room for and returns how much that was.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        self.push_with(bytes.len(), |piece| {
            let (next, after) = rest.split_at(piece.len());
            piece.copy_from_slice(next);
            rest = after;
        })
    }

    /// Appends up to `length` bytes, as many as there is room for, by having `fill` write them in
    /// place, piece by piece; returns how many.
    pub fn push_with(&mut self, length: usize, mut fill: impl FnMut(&mut [u8])) -> usize {
        let count = length.min(self.free());
        let held = self.len();
        let mut left = count;
        while left > 0 {
            let last = self.last.as_mut();
            let filled = last.map_or(0, |block| block.append(left, &mut fill));
            if filled == 0 {
                self.begin_block(held + count);
                continue;
            }
            self.end += filled as u64;
            left -= filled;
        }
        count
    }

    /// Goes on in a block that is as large as suits a buffer with so many bytes.
    fn begin_block(&mut self, bytes: usize) {
        let most = self.layout.most();
        let payload = match bytes {
            ..=SMALLEST => SMALLEST.min(most),
            more => more.next_power_of_two().min(most),
        };
        let of = self.layout.of();
        let others = self.others.as_mut();
        let memory = others.and_then(|others| others.reuse(payload..=most, of));
        let memory = memory.unwrap_or_else(|| of.memory_for(payload));
        if let Some(full) = self.last.replace(Block::new(memory, of)) {
            let start = self.end - full.len() as u64;
            let others = self.others.get_or_insert_default();
            others.full.push_back((start, full));
        }
    }

    /// Frees everything below `to`. An offset that was freed before changes nothing, one past
    /// the end frees all there is.
    pub fn release(&mut self, to: u64) {
        self.start = to.clamp(self.start, self.end);
        let start = self.start;
        // As many as may be in use at a time.
        let most = self.capacity() / self.layout.most() + 1;
        if let Some(others) = &mut self.others {
            let done = |(first, block): &mut (u64, Block)| *first + block.len() as u64 <= start;
            while let Some((_, block)) = others.full.pop_front_if(done) {
                others.keep(block.into_memory(), most);
            }
        }
        if self.is_empty()
            && let Some(mut block) = self.last.take()
        {
            if block.clear() {
                // The next bytes go where the last ones were.
                self.last = Some(block);
            } else {
                let others = self.others.get_or_insert_default();
                others.keep(block.into_memory(), most);
            }
        }
    }

    /// The bytes of `range` in place; what is not held is left out.
    pub fn pieces(&self, range: Range<u64>) -> Pieces<'_> {
        let start = range.start.clamp(self.start, self.end);
        let end = range.end.clamp(start, self.end);
        Pieces::of_blocks(self, start..end)
    }

    /// The bytes at the beginning of `range` that lie together.
    pub(super) fn piece(&self, range: Range<u64>) -> &[u8] {
        let Some((start, block)) = self.block(range.start).filter(|_| !range.is_empty()) else {
            return &[];
        };
        block.bytes((range.start - start) as usize..(range.end - start) as usize)
    }

    /// Offset of the first byte of the block that is filled.
    fn last_start(&self) -> u64 {
        let length = self.last.as_ref().map_or(0, Block::len);
        self.end - length as u64
    }

    /// The block that has the byte at `offset`, and the offset of its first.
    fn block(&self, offset: u64) -> Option<(u64, &Block)> {
        let start = self.last_start();
        if offset >= start {
            let block = self.last.as_ref().filter(|_| offset < self.end)?;
            return Some((start, block));
        }
        let others = self.others.as_ref()?;
        let (start, block) = others.full.get(others.index_of(offset)?)?;
        Some((*start, block))
    }

    /// Lends the bytes of `range`, where they are all of one block and nobody else holds them: `write` fills in
    /// the `length` bytes before them.
    pub fn lend<T>(
        &mut self,
        range: Range<u64>,
        length: usize,
        write: impl FnOnce(&mut [u8]) -> T,
    ) -> Option<(Loan, T)> {
        let (start, block) = self.block(range.start)?;
        let whole = block.is_full() && (start..start + block.len() as u64) == range;
        if !self.layout.lends || !whole || range.start < self.start {
            return None;
        }
        let block = if start == self.last_start() {
            self.last.as_mut()?
        } else {
            let others = self.others.as_mut()?;
            let index = others.index_of(start)?;
            &mut others.full.get_mut(index)?.1
        };
        block.lend(length, write)
    }

    /// Where what begins at `offset` should end, so that what follows begins with a block; `None` where that
    /// makes no difference.
    pub fn aligned_end(&self, offset: u64) -> Option<u64> {
        let (start, block) = self.block(offset).filter(|_| self.layout.lends)?;
        (start < offset).then(|| start + block.capacity() as u64)
    }

    /// Lays out what is written from now on in this way.
    pub const fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
    }

    /// Asks for the memory that the next bytes go to.
    pub fn prefetch(&self, prefetch: Prefetch) {
        if let Some(block) = &self.last {
            prefetch.value(block.next_line());
        }
    }

    /// Offset of the oldest byte held.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Offset just past the newest byte held: how many bytes were ever pushed.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes are held.
    pub const fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// True when everything pushed has been released.
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes `push` would take now.
    pub const fn free(&self) -> usize {
        self.capacity().saturating_sub(self.len())
    }

    /// How many bytes the buffer may hold.
    pub const fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Changes how many bytes the buffer may hold. Content is never lost: a capacity below it
    /// means that nothing is taken until enough has been released.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = Self::bounded(capacity);
    }

    /// Gives the memory back if the buffer is empty, for a connection that has gone quiet.
    pub fn release_memory(&mut self) {
        if self.is_empty() {
            (self.last, self.others) = (None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(buffer: &SendBuffer, range: Range<u64>) -> Vec<u8> {
        buffer.pieces(range).flatten().copied().collect()
    }

    #[test]
    fn what_is_pushed_stays_until_it_is_released() {
        let mut buffer = SendBuffer::new(10);
        assert_eq!(buffer.push(b"hello world"), 10);
        assert_eq!(buffer.push(b"d"), 0);
        assert_eq!(bytes(&buffer, 3..8), b"lo wo");
        buffer.release(6);
        assert_eq!(buffer.free(), 6);
        assert_eq!(buffer.push(b"d again"), 6);
        assert_eq!(bytes(&buffer, 0..100), b"world agai");
        assert_eq!((buffer.start(), buffer.end()), (6, 16));
    }

    #[test]
    fn what_is_filled_in_place_follows_what_was_pushed() {
        let mut buffer = SendBuffer::new(8);
        buffer.set_layout(Layout {
            block: 4,
            ..Layout::COPIED
        });
        assert_eq!(buffer.push(b"abcdef"), 6);
        buffer.release(4);
        let mut lengths = Vec::new();
        let fill = |piece: &mut [u8]| {
            piece.copy_from_slice(&b"ghijk"[lengths.iter().sum()..][..piece.len()]);
            lengths.push(piece.len());
        };
        assert_eq!(buffer.push_with(5, fill), 5);
        assert_eq!(lengths, [2, 3], "a block ends at 8");
        assert_eq!(bytes(&buffer, 4..11), b"efghijk");
        assert_eq!(buffer.push_with(5, |piece| piece.fill(b'l')), 1);
        assert_eq!(bytes(&buffer, 4..12), b"efghijkl");
        assert_eq!(buffer.push_with(5, |_| unreachable!("it is full")), 0);
    }

    /// The segment that is lent of `range`, with two bytes of headers.
    fn lent(buffer: &mut SendBuffer, range: Range<u64>) -> Option<Loan> {
        let write = |headers: &mut [u8]| headers.copy_from_slice(b"h:");
        buffer.lend(range, 2, write).map(|(loan, ())| loan)
    }

    fn shown(loan: &Loan) -> &[u8] {
        &loan.memory[loan.filled.clone()]
    }

    #[test]
    fn whole_blocks_are_lent_to_one_at_a_time() {
        let mut buffer = SendBuffer::new(100);
        buffer.set_layout(Layout {
            block: 5,
            lends: true,
        });
        buffer.push(b"one");
        buffer.push(b"ly two blocks");
        let first = lent(&mut buffer, 0..5).unwrap();
        assert_eq!(shown(&first), b"h:onely");
        assert!(lent(&mut buffer, 0..5).is_none(), "somebody looks at it");
        assert_eq!(bytes(&buffer, 0..16), b"onely two blocks");
        assert!(lent(&mut buffer, 5..9).is_none(), "not all of it");
        assert!(lent(&mut buffer, 4..9).is_none(), "of two");
        assert!(lent(&mut buffer, 15..16).is_none(), "it is not full");
        let second = lent(&mut buffer, 5..10).unwrap();
        assert_eq!(shown(&second), b"h: two ");
        drop(first);
        assert!(lent(&mut buffer, 0..5).is_some(), "once more");
        assert_eq!(buffer.aligned_end(5), None);
        assert_eq!(buffer.aligned_end(7), Some(10));
        assert_eq!(buffer.aligned_end(16), None);
        // Released, but still looked at: what is written next goes elsewhere.
        buffer.release(16);
        buffer.push(b"overwritten?");
        assert_eq!(shown(&second), b"h: two ");
        assert_eq!(bytes(&buffer, 16..28), b"overwritten?");
        let more = buffer.lend(16..21, 200, |_| ());
        assert!(more.is_none(), "no room for such headers");
    }

    /// How much memory it keeps, in blocks.
    fn kept(buffer: &SendBuffer) -> usize {
        let others = buffer.others.as_ref();
        let others = others.map_or(0, |others| others.full.len() + others.spare.len());
        usize::from(buffer.last.is_some()) + others
    }

    #[test]
    fn memory_is_taken_as_it_is_needed_and_used_again() {
        let mut buffer = SendBuffer::new(1 << 20);
        assert_eq!(kept(&buffer), 0);
        for _ in 0..100 {
            buffer.push(&[7; 64]);
            buffer.release(buffer.end());
        }
        assert_eq!(kept(&buffer), 1);
        assert_eq!(buffer.last.as_ref().unwrap().capacity(), SMALLEST);
        buffer.set_layout(Layout {
            block: 1_000,
            ..Layout::COPIED
        });
        for _ in 0..100 {
            buffer.push(&[7; 30_000]);
            buffer.release(buffer.end() - 10_000);
        }
        assert!(kept(&buffer) <= 45, "{}", kept(&buffer));
        buffer.release_memory();
        assert!(kept(&buffer) > 0, "it is in use");
        buffer.release(u64::MAX);
        buffer.release_memory();
        assert_eq!(kept(&buffer), 0);
    }

    #[test]
    fn it_takes_little_of_a_connection() {
        assert!(size_of::<SendBuffer>() <= 80);
    }

    #[test]
    fn releases_out_of_range_do_no_harm() {
        let mut buffer = SendBuffer::new(8);
        buffer.push(b"abcdef");
        buffer.release(4);
        buffer.release(2);
        assert_eq!(bytes(&buffer, 0..9), b"ef");
        buffer.release(1_000);
        assert!(buffer.is_empty());
        assert_eq!(buffer.end(), 6);
        assert_eq!(bytes(&buffer, 0..9), b"");
        assert_eq!(bytes(&buffer, Range { start: 7, end: 3 }), b"");
    }

    #[test]
    fn a_live_buffer_changes_its_capacity_without_loss() {
        let mut buffer = SendBuffer::new(8);
        buffer.push(b"abcdefgh");
        buffer.release(5);
        buffer.push(b"ijklm");
        buffer.set_capacity(100);
        assert_eq!(buffer.push(&[b'.'; 200]), 92);
        assert_eq!(bytes(&buffer, 5..15), b"fghijklm..");
        buffer.set_capacity(4);
        assert_eq!((buffer.free(), buffer.len()), (0, 100));
        assert_eq!(bytes(&buffer, 5..15), b"fghijklm..");
        buffer.release(103);
        assert_eq!(buffer.free(), 2);
    }
}
