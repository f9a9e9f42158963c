//! What has arrived for an application, in order and ahead of order (RFC 9293 section 3.8.6,
//! RFC 8684 section 3.3.4).

use super::frame::{Frame, FramePool};
use super::landing::Landing;
use super::prefetch::Prefetch;
use super::ring::ByteRing;
use core::ops::Range;

/// A window of `capacity` bytes over a stream. Bytes are written anywhere in the window, become
/// readable in order, and leave when the application reads them, which moves the window on.
///
/// What comes in order stays in its frames for a while, so that a reader who comes soon finds it there. The
/// ring has what lies before that; nothing lies behind it.
#[derive(Debug)]
pub struct ReceiveBuffer {
    ring: ByteRing,
    landing: Landing,
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
            landing: Landing::default(),
            capacity,
            start: 0,
            readable_end: 0,
        }
    }

    /// The offsets at which bytes can be written: from the in-order end to the end of the room.
    pub const fn window(&self) -> Range<u64> {
        self.readable_end..self.start + self.capacity as u64
    }

    /// Takes the bytes in `range` of those of `frame`, which follow the in-order end where nothing was written
    /// ahead of order. They are readable at once; what lies past the window is left out.
    pub fn land(&mut self, frame: Frame, range: Range<usize>, pool: &mut FramePool) {
        let end = range.end.min(frame.bytes().len());
        let end = end.min(range.start.saturating_add(self.free()));
        let range = range.start.min(end)..end;
        if self.landing.is_full() {
            self.settle(pool);
        }
        self.readable_end += range.len() as u64;
        self.landing.push(frame, range);
    }

    /// True when frames wait for the reader.
    pub fn holds_frames(&self) -> bool {
        !self.landing.is_empty()
    }

    /// Copies what is in frames into the ring and gives the frames back.
    pub fn settle(&mut self, pool: &mut FramePool) {
        if self.landing.is_empty() {
            return;
        }
        let mut offset = self.landed_from();
        if offset == self.start {
            self.ring.restart_at(offset);
        }
        let (ring, start) = (&mut self.ring, self.start);
        self.landing.take(self.landing.len(), pool, |bytes| {
            offset += ring.write_at(start, offset, bytes) as u64;
        });
    }

    /// Offset of the first byte that is in a frame; the in-order end where none is.
    fn landed_from(&self) -> u64 {
        self.readable_end - self.landing.len() as u64
    }

    /// Writes the part of `bytes` that lies within the window when its first byte is at `offset`,
    /// and returns the length of that part. What is in frames is to be settled before.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> usize {
        debug_assert!(self.landing.is_empty());
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

    /// Takes up to `length` of the oldest readable bytes out by showing them to `take` in place, piece by
    /// piece; returns how many. Frames that were read return to `pool`.
    pub fn read_with(
        &mut self,
        length: usize,
        pool: &mut FramePool,
        mut take: impl FnMut(&[u8]),
    ) -> usize {
        let count = length.min(self.readable());
        let of_ring = count.min(self.readable() - self.landing.len());
        if of_ring > 0 {
            let (head, tail) = self.ring.slices(self.start, of_ring);
            take(head);
            if !tail.is_empty() {
                take(tail);
            }
        }
        self.landing.take(count - of_ring, pool, take);
        self.start += count as u64;
        count
    }

    /// Asks for the memory in which it keeps account of what comes next.
    pub fn prefetch(&self, prefetch: Prefetch) {
        self.landing.prefetch(prefetch);
    }

    /// Asks for what that leads to.
    pub fn prefetch_pieces(&self, prefetch: Prefetch) {
        self.landing.prefetch_pieces(prefetch);
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
        self.landing.release_spare();
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
        let mut bytes = Vec::new();
        let take = |piece: &[u8]| bytes.extend_from_slice(piece);
        let count = buffer.read_with(length, &mut FramePool::new(16, 4), take);
        assert_eq!(count, bytes.len());
        bytes
    }

    #[test]
    fn nothing_is_read_before_it_is_readable() {
        let mut buffer = ReceiveBuffer::new(16);
        assert_eq!(buffer.write_at(5, b"world"), 5);
        assert_eq!(read(&mut buffer, 16), b"");
        assert_eq!(buffer.write_at(0, b"hello"), 5);
        buffer.make_readable(10);
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
        /// Segments in any order, overlapping, with reads in between: the stream comes out, whatever waits in
        /// frames for how long.
        #[test]
        fn the_application_reads_the_stream(
            segments in prop::collection::vec((0..200_u64, 1..40_usize, 0..30_usize), 1..80),
            settling: u8,
        ) {
            let stream: Vec<u8> = (0..=255).collect();
            let mut buffer = ReceiveBuffer::new(50);
            let mut assembler = Assembler::new(16);
            let mut pool = FramePool::new(16, 4);
            let mut received = Vec::new();
            let in_order = (0..6_u64).map(|n| (n * 40, 40, 50));
            for (start, length, reading) in segments.into_iter().chain(in_order) {
                let end = start + length as u64;
                let window = buffer.window();
                let (from, to) = (start.max(window.start), end.min(window.end));
                if assembler.is_empty() && from == window.start && from < to {
                    let frame = Frame::from(&stream[..to as usize]);
                    buffer.land(frame, from as usize..to as usize, &mut pool);
                    if length % 8 == usize::from(settling % 8) {
                        buffer.settle(&mut pool);
                        prop_assert!(!buffer.holds_frames());
                    }
                    received.extend(read(&mut buffer, reading));
                    continue;
                }
                let Ok(new) = assembler.insert(from, to) else { continue };
                buffer.settle(&mut pool);
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
