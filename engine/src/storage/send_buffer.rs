//! What an application wrote and the peer has not yet acknowledged (RFC 8684 section 3.3.5 for
//! when it may be released).

use super::ring::ByteRing;
use core::ops::Range;

/// A bounded queue of bytes by stream offset: filled at the end, released at the start, and
/// readable anywhere in between as often as retransmission and reinjection ask for it.
#[derive(Debug)]
pub struct SendBuffer {
    ring: ByteRing,
    capacity: usize,
    start: u64,
    end: u64,
}

impl SendBuffer {
    /// An empty buffer for `capacity` bytes whose first byte will have offset zero.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.min(ByteRing::MAX_CAPACITY);
        Self {
            ring: ByteRing::new(capacity),
            capacity,
            start: 0,
            end: 0,
        }
    }

    /// Appends as much of `bytes` as there is room for and returns how much that was.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.free());
        let written = self.ring.write_at(self.end, &bytes[..count]);
        self.end += written as u64;
        written
    }

    /// Frees everything below `to`. An offset that was freed before changes nothing, one past
    /// the end frees all there is.
    pub fn release(&mut self, to: u64) {
        self.start = to.clamp(self.start, self.end);
    }

    /// The bytes of `range` in place, in two pieces; what is not held is left out.
    pub fn slices(&self, range: Range<u64>) -> (&[u8], &[u8]) {
        let start = range.start.clamp(self.start, self.end);
        let end = range.end.clamp(start, self.end);
        self.ring.slices(start, (end - start) as usize)
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
        self.capacity.saturating_sub(self.len())
    }

    /// How many bytes the buffer may hold.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Changes how many bytes the buffer may hold. Content is never lost: a capacity below it
    /// means that nothing is taken until enough has been released.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.min(ByteRing::MAX_CAPACITY);
        self.ring.grow(self.capacity, self.start..self.end);
    }

    /// Gives the memory back if the buffer is empty, for a connection that has gone quiet.
    pub fn release_memory(&mut self) {
        if self.is_empty() {
            self.ring.release_memory();
        }
    }
}
