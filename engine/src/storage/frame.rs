//! A received frame that its holder owns, and the pool it returns to.

use core::ops::Range;
use std::sync::Arc;

/// What a frame that waits takes beside its buffer: its entry in a queue, and the allocator's own.
const ENTRY: usize = 128;

/// Names a pool, so that a frame finds back to the one it was taken from wherever it ends up.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PoolId(pub u8);

/// One frame: a buffer of fixed size and the part of it that is filled.
///
/// Whoever holds the frame owns its bytes, so a payload moves from a port to the reassembly of a
/// connection without being copied. A frame may also be attached to memory that others hold too
/// ([`Self::attach`], as DPDK attaches buffers to each other's data): it shows that instead of its own
/// buffer, and nobody writes there.
///
/// It is one pointer: it moves a dozen times on its way, and a processor that has just written the parts
/// of a larger value waits before it can move the whole.
#[derive(Debug)]
pub struct Frame(Option<Box<Filled>>);

#[derive(Debug)]
struct Filled {
    buffer: Box<[u8]>,
    /// What is shown instead of the buffer.
    attached: Option<Arc<[u8]>>,
    /// Never past the end of what is shown.
    range: Range<usize>,
    origin: Option<PoolId>,
}

impl Filled {
    /// All that the range is a part of.
    fn shown(&self) -> &[u8] {
        self.attached.as_deref().unwrap_or(&self.buffer)
    }

    fn detach(&mut self) {
        if self.attached.take().is_some() {
            self.range = 0..0;
        }
    }
}

impl Frame {
    /// A frame of no bytes, which takes no memory.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// An empty frame with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::new(vec![0; capacity].into_boxed_slice(), 0, None)
    }

    fn new(buffer: Box<[u8]>, filled: usize, origin: Option<PoolId>) -> Self {
        Self(Some(Box::new(Filled {
            buffer,
            attached: None,
            range: 0..filled,
            origin,
        })))
    }

    /// Shows the bytes `filled` of `memory` from now on. One that is empty can show none, and stays empty.
    pub fn attach(&mut self, memory: Arc<[u8]>, filled: Range<usize>) {
        if let Some(own) = &mut self.0 {
            own.attached = Some(memory);
            self.set_filled(filled);
        }
    }

    /// The whole buffer, for a port to fill. What was attached is let go.
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Some(own) => {
                own.detach();
                &mut own.buffer
            }
            None => &mut [],
        }
    }

    /// How many bytes the buffer holds at most.
    pub fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |filled| filled.buffer.len())
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
        if let Some(own) = &mut self.0 {
            let end = filled.end.min(own.shown().len());
            own.range = filled.start.min(end)..end;
        }
    }

    /// Leaves only `range` of the bytes of the frame; what lies outside them is cut off.
    pub fn narrow(&mut self, range: Range<usize>) {
        if let Some(own) = &mut self.0 {
            let end = own.range.start.saturating_add(range.end).min(own.range.end);
            let start = own.range.start.saturating_add(range.start).min(end);
            own.range = start..end;
        }
    }

    fn filled(&self) -> Range<usize> {
        self.0.as_ref().map_or(0..0, |own| own.range.clone())
    }

    /// The bytes of the frame.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Some(own) => &own.shown()[own.range.clone()],
            None => &[],
        }
    }

    /// Writes `bytes` after the first `length` bytes of the frame, in place of what follows there.
    /// False, and nothing written, when the buffer has no room, or is not what the frame shows.
    pub fn append_after(&mut self, length: usize, bytes: &[u8]) -> bool {
        let Some(own) = self.0.as_mut().filter(|own| own.attached.is_none()) else {
            return bytes.is_empty();
        };
        let start = own.range.start + length.min(own.range.len());
        let end = start + bytes.len();
        let Some(room) = own.buffer.get_mut(start..end) else {
            return false;
        };
        room.copy_from_slice(bytes);
        own.range.end = end;
        true
    }

    /// How many bytes the frame could have without being moved: as many as it has, where it is attached.
    pub fn room(&self) -> usize {
        match &self.0 {
            Some(own) if own.attached.is_some() => own.range.len(),
            Some(own) => own.buffer.len() - own.range.start,
            None => 0,
        }
    }

    /// The `length` bytes of the buffer after the first `start` of the frame, be they part of it or not;
    /// `None` where the buffer ends before, or is not what the frame shows.
    pub fn room_after(&mut self, start: usize, length: usize) -> Option<&mut [u8]> {
        let own = self.0.as_mut().filter(|own| own.attached.is_none())?;
        let start = own.range.start.checked_add(start)?;
        own.buffer.get_mut(start..start.checked_add(length)?)
    }

    /// Makes the frame as long as `length`, as far as the buffer goes.
    pub fn extend_to(&mut self, length: usize) {
        let start = self.filled().start;
        self.set_filled(start..start.saturating_add(length));
    }

    /// The bytes of the frame, to be changed in place; none where they are attached.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Some(own) if own.attached.is_none() => &mut own.buffer[own.range.clone()],
            _ => &mut [],
        }
    }

    /// The pool that it was taken from, if that has a name.
    fn origin(&self) -> Option<PoolId> {
        self.0.as_ref().and_then(|own| own.origin)
    }
}

impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.into(), bytes.len(), None)
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
        Frame::new(vec![0; self.frame_capacity].into(), 0, self.id)
    }

    /// Takes a frame back. One of another size, or past what the pool keeps, is freed; one of another
    /// pool waits for [`Self::take_stranger`]. A pool without a name takes any.
    pub fn put(&mut self, mut frame: Frame) {
        if let Some(own) = &mut frame.0 {
            own.detach();
        }
        let origin = frame.origin();
        let stranger = self.id.is_some() && origin.is_some() && origin != self.id;
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

    /// Gives a free frame for one that comes from elsewhere for good: that is of this pool from now on.
    pub fn exchange(&mut self, frame: &mut Frame) -> Frame {
        if let Some(filled) = &mut frame.0 {
            filled.origin = self.id;
        }
        self.take()
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
        Some((frame.origin()?, frame))
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
        assert_eq!(size_of::<Frame>(), size_of::<usize>());
    }

    #[test]
    fn an_attached_frame_shows_what_others_hold_and_writes_nothing_there() {
        let memory: Arc<[u8]> = Arc::from(&b"headers and payload"[..]);
        let mut pool = FramePool::new(64, 2);
        let mut frame = pool.take();
        frame.attach(Arc::clone(&memory), 8..100);
        assert_eq!(frame.bytes(), b"and payload");
        frame.narrow(4..11);
        assert_eq!((frame.bytes(), frame.room()), (&b"payload"[..], 7));
        assert!(!frame.append_after(7, b"!"));
        assert!(frame.room_after(0, 1).is_none());
        assert!(frame.bytes_mut().is_empty());
        frame.extend_to(100);
        assert_eq!(frame.bytes(), b"payload");
        assert_eq!(Arc::strong_count(&memory), 2);
        pool.put(frame);
        assert_eq!(Arc::strong_count(&memory), 1);
        let mut frame = pool.take();
        assert_eq!((frame.bytes(), frame.capacity()), (&[][..], 64));
        frame.attach(Arc::clone(&memory), 0..7);
        frame.buffer_mut()[..3].copy_from_slice(b"own");
        frame.set_filled(0..3);
        assert_eq!(
            (frame.bytes(), Arc::strong_count(&memory)),
            (&b"own"[..], 1)
        );
        let mut empty = Frame::empty();
        empty.attach(memory, 0..7);
        assert_eq!(empty.bytes(), b"");
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
