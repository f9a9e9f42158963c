//! What an application wrote and the peer has not yet acknowledged (RFC 8684 section 3.3.5 for
//! when it may be released).

use super::prefetch::Prefetch;
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
        self.restart_if_empty();
        let count = bytes.len().min(self.free());
        let written = self.ring.write_at(self.start, self.end, &bytes[..count]);
        self.end += written as u64;
        written
    }

    /// Appends up to `length` bytes, as many as there is room for, by having `fill` write them in
    /// place, in two pieces; returns how many.
    pub fn push_with(&mut self, length: usize, fill: impl FnOnce(&mut [u8], &mut [u8])) -> usize {
        self.restart_if_empty();
        let count = length.min(self.free());
        let written = self.ring.write_with(self.start, self.end, count, fill);
        self.end += written as u64;
        written
    }

    fn restart_if_empty(&mut self) {
        if self.start == self.end {
            self.ring.restart_at(self.end);
        }
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

    /// Asks for the memory that the next bytes go to.
    pub fn prefetch(&self, prefetch: Prefetch) {
        self.ring.prefetch(prefetch);
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
        self.ring.grow(self.capacity);
    }

    /// Gives the memory back if the buffer is empty, for a connection that has gone quiet.
    pub fn release_memory(&mut self) {
        if self.is_empty() {
            self.ring.release_memory();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(buffer: &SendBuffer, range: Range<u64>) -> Vec<u8> {
        let (head, tail) = buffer.slices(range);
        [head, tail].concat()
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
        assert_eq!(buffer.push(b"abcdef"), 6);
        buffer.release(4);
        let fill = |head: &mut [u8], tail: &mut [u8]| {
            assert_eq!((head.len(), tail.len()), (2, 3), "the ring ends at 8");
            head.copy_from_slice(b"gh");
            tail.copy_from_slice(b"ijk");
        };
        assert_eq!(buffer.push_with(5, fill), 5);
        assert_eq!(bytes(&buffer, 4..11), b"efghijk");
        assert_eq!(buffer.push_with(5, |head, _| head.fill(b'l')), 1);
        assert_eq!(bytes(&buffer, 4..12), b"efghijkl");
        assert_eq!(buffer.push_with(5, |_, _| unreachable!("it is full")), 0);
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
