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
        self.ring
            .write_at(self.start, offset, &bytes[..bytes.len().min(room)])
    }

    /// Where nothing is readable and nothing was written ahead of order, has the next byte lie at the
    /// beginning of the memory.
    pub const fn restart(&mut self) {
        if self.readable() == 0 {
            self.ring.restart_at(self.start);
        }
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

    /// Takes up to `length` of the oldest readable bytes out by showing them to `take` in place, in
    /// two pieces, if there are any; returns how many.
    pub fn read_with(&mut self, length: usize, take: impl FnOnce(&[u8], &[u8])) -> usize {
        let count = length.min(self.readable());
        if count > 0 {
            let (head, tail) = self.ring.slices(self.start, count);
            take(head, tail);
        }
        self.start += count as u64;
        count
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

    /// Gives the memory back, with what was written ahead of order. The next write takes memory again.
    pub fn release_memory(&mut self) {
        self.ring.release_memory();
    }

    /// Enlarges the buffer. It never becomes smaller: the right edge of a window that a peer was
    /// told must not move left (RFC 9293 section 3.8.6.2.1).
    pub fn set_capacity(&mut self, capacity: usize) {
        let capacity = capacity.min(ByteRing::MAX_CAPACITY);
        if capacity > self.capacity {
            self.ring.grow(capacity);
            self.capacity = capacity;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::assembler::Assembler;
    use proptest::prelude::*;

    fn read(buffer: &mut ReceiveBuffer, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let count = buffer.read(&mut bytes);
        bytes.truncate(count);
        bytes
    }

    #[test]
    fn nothing_is_read_before_it_is_readable() {
        let mut buffer = ReceiveBuffer::new(16);
        assert_eq!(buffer.write_at(5, b"world"), 5);
        assert_eq!(read(&mut buffer, 16), b"");
        assert_eq!(buffer.write_at(0, b"hello"), 5);
        buffer.make_readable(10);
        let mut peeked = [0; 4];
        assert_eq!(buffer.peek(&mut peeked), 4);
        assert_eq!(&peeked, b"hell");
        assert_eq!(buffer.free(), 6);
        assert_eq!(read(&mut buffer, 7), b"hellowo");
        assert_eq!(read(&mut buffer, 7), b"rld");
        assert_eq!(buffer.free(), 16);
    }

    #[test]
    fn only_the_part_within_the_window_is_written() {
        let mut buffer = ReceiveBuffer::new(8);
        buffer.write_at(0, b"abcd");
        buffer.make_readable(4);
        assert_eq!(buffer.window(), 4..8);
        assert_eq!(buffer.write_at(2, b"XXefghYY"), 4);
        assert_eq!(buffer.write_at(0, b"XX"), 0);
        assert_eq!(buffer.write_at(8, b"Y"), 0);
        assert_eq!(buffer.write_at(u64::MAX, b"Y"), 0);
        buffer.make_readable(u64::MAX);
        buffer.make_readable(0);
        assert_eq!(read(&mut buffer, 100), b"abcdefgh");
    }

    #[test]
    fn a_window_once_offered_is_kept() {
        let mut buffer = ReceiveBuffer::new(8);
        buffer.write_at(6, b"gh");
        buffer.set_capacity(20);
        buffer.set_capacity(4);
        assert_eq!(buffer.window(), 0..20);
        buffer.write_at(0, b"abcdef");
        buffer.write_at(8, b"ijkl");
        buffer.make_readable(12);
        assert_eq!(read(&mut buffer, 100), b"abcdefghijkl");
    }

    proptest! {
        /// Segments in any order, overlapping, with reads in between: the stream comes out.
        #[test]
        fn the_application_reads_the_stream(
            segments in prop::collection::vec((0..200_u64, 1..40_usize, 0..30_usize), 1..80),
        ) {
            let stream: Vec<u8> = (0..=255).collect();
            let mut buffer = ReceiveBuffer::new(50);
            let mut assembler = Assembler::new(16);
            let mut received = Vec::new();
            let in_order = (0..6_u64).map(|n| (n * 40, 40, 50));
            for (start, length, reading) in segments.into_iter().chain(in_order) {
                let end = start + length as u64;
                let window = buffer.window();
                let (from, to) = (start.max(window.start), end.min(window.end));
                let Ok(new) = assembler.insert(from, to) else { continue };
                for part in new.iter().cloned() {
                    let bytes = &stream[part.start as usize..part.end as usize];
                    prop_assert_eq!(buffer.write_at(part.start, bytes), bytes.len());
                }
                buffer.make_readable(assembler.take_front(buffer.readable_end()));
                received.extend(read(&mut buffer, reading));
            }
            prop_assert_eq!(&received[..], &stream[..received.len()]);
        }
    }
}
