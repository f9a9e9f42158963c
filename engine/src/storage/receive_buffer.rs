//! What has arrived for an application, in order and ahead of order (RFC 9293 section 3.8.6,
//! RFC 8684 section 3.3.4).

use super::ring::ByteRing;
use core::ops::Range;

/// A window of `capacity` bytes over a stream. Bytes are written anywhere in the window, become
/// readable in order, and leave when the application reads them, which moves the window on.
#[derive(Debug)]
pub struct ReceiveBuffer {
    ring: ByteRing,
    capacity: usize,
    start: u64,
    readable_end: u64,
}

impl ReceiveBuffer {
    /// An empty buffer for `capacity` bytes of a stream that begins at offset zero.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.min(ByteRing::MAX_CAPACITY);
        Self {
            ring: ByteRing::new(capacity),
            capacity,
            start: 0,
            readable_end: 0,
        }
    }

    /// The offsets at which bytes can be written: from the in-order end to the end of the room.
    pub const fn window(&self) -> Range<u64> {
        self.readable_end..self.start + self.capacity as u64
    }

    /// Writes the part of `bytes` that lies within the window when its first byte is at `offset`,
    /// and returns the length of that part.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> usize {
        let window = self.window();
        let skipped = usize::try_from(window.start.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(bytes) = bytes.get(skipped..) else {
            return 0;
        };
        let offset = offset.max(window.start);
        let room = usize::try_from(window.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.ring.write_at(offset, &bytes[..bytes.len().min(room)])
    }

    /// Lets the application read up to `end`, which the caller knows to be written without holes.
    /// The in-order end never moves back nor past the window.
    pub fn make_readable(&mut self, end: u64) {
        let window = self.window();
        self.readable_end = end.clamp(window.start, window.end);
    }

    /// Takes the oldest readable bytes out and returns how many there were.
    pub fn read(&mut self, into: &mut [u8]) -> usize {
        let count = self.peek(into);
        self.start += count as u64;
        count
    }

    /// Copies the oldest readable bytes and leaves them where they are.
    pub fn peek(&self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.readable());
        self.ring.read_at(self.start, &mut into[..count])
    }

    /// All readable bytes in place, in two pieces.
    pub fn readable_slices(&self) -> (&[u8], &[u8]) {
        self.ring.slices(self.start, self.readable())
    }

    /// Drops up to `count` readable bytes, as though they had been read; returns how many.
    pub fn consume(&mut self, count: usize) -> usize {
        let count = count.min(self.readable());
        self.start += count as u64;
        count
    }

    /// How many bytes can be read now.
    pub const fn readable(&self) -> usize {
        (self.readable_end - self.start) as usize
    }

    /// Offset of the next byte that the application reads.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Offset just past the last readable byte.
    pub const fn readable_end(&self) -> u64 {
        self.readable_end
    }

    /// How many bytes fit from the in-order end on: the receive window.
    pub const fn free(&self) -> usize {
        self.capacity.saturating_sub(self.readable())
    }

    /// How many bytes the buffer holds.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Enlarges the buffer. It never becomes smaller: the right edge of a window that a peer was
    /// told must not move left (RFC 9293 section 3.8.6.2.1).
    pub fn set_capacity(&mut self, capacity: usize) {
        let capacity = capacity.min(ByteRing::MAX_CAPACITY);
        if capacity > self.capacity {
            // Bytes ahead of order may lie anywhere in the old window: all of it is live.
            self.ring
                .grow(capacity, self.start..self.start + self.capacity as u64);
            self.capacity = capacity;
        }
    }
}
