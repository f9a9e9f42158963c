//! A received frame that its holder owns, and the pool it returns to.

use core::ops::Range;

/// What a frame that waits takes beside its buffer: its entry in a queue, and the allocator's own.
const ENTRY: usize = 128;

/// One frame: a buffer of fixed size and the part of it that is filled.
///
/// Whoever holds the frame owns its bytes, so a payload moves from a port to the reassembly of a
/// connection without being copied.
#[derive(Debug)]
pub struct Frame {
    buffer: Box<[u8]>,
    filled: Range<usize>,
}

impl Frame {
    /// An empty frame with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buffer: vec![0; capacity].into_boxed_slice(),
            filled: 0..0,
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
        self.filled = filled.start.min(end)..end;
    }

    /// The bytes of the frame.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.filled.clone()]
    }

    /// Writes `bytes` after the first `length` bytes of the frame, in place of what follows there.
    /// False, and nothing written, when the buffer has no room.
    pub fn append_after(&mut self, length: usize, bytes: &[u8]) -> bool {
        let start = self.filled.start + length.min(self.filled.len());
        let end = start + bytes.len();
        let Some(room) = self.buffer.get_mut(start..end) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.filled.end = end;
        true
    }

    /// The bytes of the frame, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled.clone()]
    }
}

impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Self {
            buffer: bytes.into(),
            filled: 0..bytes.len(),
        }
    }
}

/// Free frames of one size, last in first out so that the warmest is used next.
///
/// The pool is bounded: what comes back past its limit is freed.
#[derive(Debug)]
pub struct FramePool {
    free: Vec<Frame>,
    frame_capacity: usize,
    limit: usize,
}

impl FramePool {
    /// A pool of frames of `frame_capacity` bytes that keeps at most `limit` free ones.
    pub fn new(frame_capacity: usize, limit: usize) -> Self {
        Self {
            free: Vec::with_capacity(limit),
            frame_capacity,
            limit,
        }
    }

    /// The warmest free frame, or a new one when none is free.
    pub fn take(&mut self) -> Frame {
        self.free
            .pop()
            .unwrap_or_else(|| Frame::with_capacity(self.frame_capacity))
    }

    /// Takes a frame back. One of another size, or past the limit, is freed.
    pub fn put(&mut self, mut frame: Frame) {
        if self.free.len() < self.limit && frame.capacity() == self.frame_capacity {
            frame.set_filled(0..0);
            self.free.push(frame);
        }
    }

    /// The size of the pool's frames in bytes.
    pub fn frame_capacity(&self) -> usize {
        self.frame_capacity
    }
}
