//! A received frame that its holder owns, and the pool it returns to.

use core::ops::Range;

/// What a frame that waits takes beside its buffer: its entry in a queue, and the allocator's own.
const ENTRY: usize = 128;

/// Names a pool, so that a frame finds back to the one it was taken from wherever it ends up.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PoolId(pub u8);

/// One frame: a buffer of fixed size and the part of it that is filled.
///
/// Whoever holds the frame owns its bytes, so a payload moves from a port to the reassembly of a
/// connection without being copied.
///
/// It takes half a line of cache, so that a letter which carries one fits into a whole.
#[derive(Debug)]
pub struct Frame {
    buffer: Box<[u8]>,
    /// No buffer comes near the 4 GiB at which this would end.
    filled: Range<u32>,
    origin: Option<PoolId>,
}

impl Frame {
    /// A frame of no bytes, which takes no memory.
    pub fn empty() -> Self {
        Self {
            buffer: Box::default(),
            filled: 0..0,
            origin: None,
        }
    }

    /// An empty frame with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buffer: vec![0; capacity].into_boxed_slice(),
            filled: 0..0,
            origin: None,
        }
    }

    /// The whole buffer, for a port to fill.
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// How many bytes the buffer holds at most.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes of memory that the frame takes while it waits in a queue, however few of them are in use.
    pub fn memory(&self) -> usize {
        Self::memory_for(self.capacity())
    }

    /// Bytes of memory that a frame of `capacity` bytes takes while it waits in a queue.
    pub const fn memory_for(capacity: usize) -> usize {
        capacity.saturating_add(ENTRY)
    }

    /// States which part of the buffer holds the frame; what lies outside the buffer is cut off.
    pub fn set_filled(&mut self, filled: Range<usize>) {
        let end = filled.end.min(self.buffer.len());
        self.filled = place(filled.start.min(end))..place(end);
    }

    /// Leaves only `range` of the bytes of the frame; what lies outside them is cut off.
    pub fn narrow(&mut self, range: Range<usize>) {
        let filled = self.filled();
        let end = filled.start.saturating_add(range.end).min(filled.end);
        let start = filled.start.saturating_add(range.start).min(end);
        self.filled = place(start)..place(end);
    }

    fn filled(&self) -> Range<usize> {
        self.filled.start as usize..self.filled.end as usize
    }

    /// The bytes of the frame.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.filled()]
    }

    /// Writes `bytes` after the first `length` bytes of the frame, in place of what follows there.
    /// False, and nothing written, when the buffer has no room.
    pub fn append_after(&mut self, length: usize, bytes: &[u8]) -> bool {
        let filled = self.filled();
        let start = filled.start + length.min(filled.len());
        let end = start + bytes.len();
        let Some(room) = self.buffer.get_mut(start..end) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.filled.end = place(end);
        true
    }

    /// How many bytes the frame could have without being moved within its buffer.
    pub fn room(&self) -> usize {
        self.buffer.len() - self.filled().start
    }

    /// The `length` bytes of the buffer after the first `start` of the frame, be they part of it or not;
    /// `None` where the buffer ends before.
    pub fn room_after(&mut self, start: usize, length: usize) -> Option<&mut [u8]> {
        let start = self.filled().start.checked_add(start)?;
        self.buffer.get_mut(start..start.checked_add(length)?)
    }

    /// Makes the frame as long as `length`, as far as the buffer goes.
    pub fn extend_to(&mut self, length: usize) {
        let end = self.filled().start.saturating_add(length);
        self.filled.end = place(end.min(self.buffer.len()));
    }

    /// The bytes of the frame, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let filled = self.filled();
        &mut self.buffer[filled]
    }
}

/// A place within a buffer.
fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Self {
            buffer: bytes.into(),
            filled: 0..place(bytes.len()),
            origin: None,
        }
    }
}

/// Free frames of one size, last in first out so that the warmest is used next.
///
/// The pool keeps as many as were under way at the same time, so that a transfer which has reached its
/// width takes no more from the heap, however small the limit is; [`Self::trim`] frees what is past the
/// limit. Of several pools that exchange frames each has a name; frames of others are set aside, to be
/// carried home.
#[derive(Debug)]
pub struct FramePool {
    id: Option<PoolId>,
    free: Vec<Frame>,
    frame_capacity: usize,
    limit: usize,
    made: usize,
    /// Frames under way, and the most that there were since the last [`Self::trim`].
    out: usize,
    most_out: usize,
    strangers: Vec<Frame>,
}

impl FramePool {
    /// A pool of frames of `frame_capacity` bytes that keeps at most `limit` free ones, or as many as
    /// were under way.
    pub fn new(frame_capacity: usize, limit: usize) -> Self {
        Self {
            id: None,
            free: Vec::with_capacity(limit),
            frame_capacity,
            limit,
            made: 0,
            out: 0,
            most_out: 0,
            strangers: Vec::new(),
        }
    }

    /// The same pool with a name.
    #[must_use]
    pub fn named(self, id: PoolId) -> Self {
        Self {
            id: Some(id),
            ..self
        }
    }

    /// The warmest free frame, or a new one when none is free.
    pub fn take(&mut self) -> Frame {
        self.out += 1;
        self.most_out = self.most_out.max(self.out);
        if let Some(frame) = self.free.pop() {
            return frame;
        }
        self.made += 1;
        Frame {
            origin: self.id,
            ..Frame::with_capacity(self.frame_capacity)
        }
    }

    /// Takes a frame back. One of another size, or past what the pool keeps, is freed; one of another
    /// pool waits for [`Self::take_stranger`]. A pool without a name takes any.
    pub fn put(&mut self, mut frame: Frame) {
        let stranger = self.id.is_some() && frame.origin.is_some() && frame.origin != self.id;
        if stranger {
            if self.strangers.len() < self.limit {
                self.strangers.push(frame);
            }
            return;
        }
        if frame.capacity() != self.frame_capacity {
            return;
        }
        self.out = self.out.saturating_sub(1);
        if self.free.len() < self.limit.max(self.most_out - self.out) {
            frame.set_filled(0..0);
            self.free.push(frame);
        }
    }

    /// Frees what is past the limit: it is known that few frames will be under way.
    pub fn trim(&mut self) {
        self.free.truncate(self.limit);
        self.free.shrink_to(self.limit);
        self.most_out = self.out;
    }

    /// A frame of another pool, and which.
    pub fn take_stranger(&mut self) -> Option<(PoolId, Frame)> {
        let frame = self.strangers.pop()?;
        Some((frame.origin?, frame))
    }

    /// How many frames were made so far.
    pub fn made(&self) -> usize {
        self.made
    }

    /// How many frames are free.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// The size of the pool's frames in bytes.
    pub fn frame_capacity(&self) -> usize {
        self.frame_capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrowed_frame_has_the_bytes_that_are_left_and_never_more() {
        let mut frame = Frame::from(&b"abcdefgh"[..]);
        frame.set_filled(1..7);
        frame.narrow(2..5);
        assert_eq!(frame.bytes(), b"def");
        frame.narrow(1..9);
        assert_eq!(frame.bytes(), b"ef");
        frame.narrow(7..8);
        assert_eq!(frame.bytes(), b"");
        assert_eq!(size_of::<Frame>(), 32);
    }

    #[test]
    fn as_many_are_kept_as_were_under_way_until_it_is_trimmed() {
        let mut pool = FramePool::new(64, 2);
        for _ in 0..3 {
            let frames: Vec<Frame> = (0..9).map(|_| pool.take()).collect();
            frames.into_iter().for_each(|frame| pool.put(frame));
            assert_eq!((pool.made(), pool.free()), (9, 9));
        }
        // What comes from elsewhere is kept no further than that.
        pool.put(Frame::with_capacity(64));
        assert_eq!(pool.free(), 9);
        let one = pool.take();
        pool.trim();
        pool.put(one);
        assert_eq!(pool.free(), 2);
    }

    #[test]
    fn a_frame_finds_back_to_its_pool() {
        let mut first = FramePool::new(64, 4).named(PoolId(0));
        let mut second = FramePool::new(64, 4).named(PoolId(1));
        let frame = first.take();
        second.put(frame);
        assert_eq!(second.free(), 0);
        let (origin, frame) = second.take_stranger().unwrap();
        assert_eq!(origin, PoolId(0));
        first.put(frame);
        assert_eq!(first.free(), 1);
        assert!(second.take_stranger().is_none());
        // A frame of no pool stays where it is put.
        second.put(Frame::with_capacity(64));
        assert_eq!(second.free(), 1);
    }
}
