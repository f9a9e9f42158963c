//! Bytes of a stream in a ring, addressed by their absolute offset in that stream.

use super::copy::copy;
use super::prefetch::Prefetch;

/// How much of a ring is asked for ahead.
const AHEAD: usize = 128;

/// The least memory that a ring takes, if it may be as large.
const SMALLEST: usize = 4 << 10;

/// A ring of bytes, of which any may be written and read that lie within `capacity` of the oldest one.
///
/// The ring does not know which bytes are live: its owner does, and says where they begin. Memory is
/// taken as it is needed, in powers of two: an idle ring costs nothing, and one whose bytes leave as fast
/// as they come little. Offset `n` of the stream lies at `n` less the base, modulo the memory.
#[derive(Debug)]
pub struct ByteRing {
    memory: Box<[u8]>,
    capacity: usize,
    /// The offset that lies at the beginning of the memory.
    base: u64,
}

impl ByteRing {
    /// The largest ring; more than a TCP window can ever cover (RFC 7323 section 2.3).
    pub const MAX_CAPACITY: usize = 1 << 30;

    /// A ring of at least `capacity` bytes, rounded up to a power of two and cut off at
    /// [`Self::MAX_CAPACITY`].
    pub fn new(capacity: usize) -> Self {
        Self {
            memory: Box::default(),
            capacity: Self::round_up(capacity),
            base: 0,
        }
    }

    fn round_up(capacity: usize) -> usize {
        capacity.min(Self::MAX_CAPACITY).next_power_of_two()
    }

    /// How many bytes the ring holds.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// True when memory has been taken.
    pub const fn is_allocated(&self) -> bool {
        !self.memory.is_empty()
    }

    /// Copies `bytes` to `offset` on, of a stream of which what lies before `oldest` is wanted no more. What
    /// would lie a capacity or more beyond that is left out; how many bytes were copied is returned.
    pub fn write_at(&mut self, oldest: u64, offset: u64, bytes: &[u8]) -> usize {
        self.write_with(oldest, offset, bytes.len(), |head, tail| {
            let (of_head, rest) = bytes.split_at(head.len());
            copy(head, of_head);
            copy(tail, rest);
        })
    }

    /// As [`Self::write_at`], with `length` bytes that `fill` writes in place: as two pieces because the
    /// ring may end in the middle.
    pub fn write_with(
        &mut self,
        oldest: u64,
        offset: u64,
        length: usize,
        fill: impl FnOnce(&mut [u8], &mut [u8]),
    ) -> usize {
        let before = usize::try_from(offset.wrapping_sub(oldest)).unwrap_or(usize::MAX);
        let length = length.min(self.capacity.saturating_sub(before));
        if length == 0 {
            return 0;
        }
        self.take_memory(oldest, before + length);
        let position = self.position(offset);
        let head = length.min(self.memory.len() - position);
        let (before, from_position) = self.memory.split_at_mut(position);
        fill(&mut from_position[..head], &mut before[..length - head]);
        length
    }

    /// Takes memory for so many bytes from `oldest` on, and moves there what there is.
    fn take_memory(&mut self, oldest: u64, needed: usize) {
        if needed <= self.memory.len() {
            return;
        }
        let length = needed.max(SMALLEST).next_power_of_two().min(self.capacity);
        let mut larger = vec![0; length].into_boxed_slice();
        // Whatever is live lies within the memory's length of the oldest.
        let (head, tail) = self.slices(oldest, self.memory.len());
        larger[..head.len()].copy_from_slice(head);
        larger[head.len()..head.len() + tail.len()].copy_from_slice(tail);
        self.memory = larger;
        self.base = oldest;
    }

    /// Copies the bytes from `offset` on to `into`. At most the ring's capacity is copied; the
    /// number is returned. It is zero when nothing was ever written.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> usize {
        let (head, tail) = self.slices(offset, into.len());
        let (into_head, rest) = into.split_at_mut(head.len());
        into_head.copy_from_slice(head);
        rest[..tail.len()].copy_from_slice(tail);
        head.len() + tail.len()
    }

    /// The `length` bytes from `offset` on in place, as two pieces because the ring may end in
    /// the middle; no more than there is memory for, so nothing when nothing was ever written.
    pub fn slices(&self, offset: u64, length: usize) -> (&[u8], &[u8]) {
        if self.memory.is_empty() {
            return (&[], &[]);
        }
        let length = length.min(self.memory.len());
        let position = self.position(offset);
        let head = length.min(self.memory.len() - position);
        (
            &self.memory[position..position + head],
            &self.memory[..length - head],
        )
    }

    /// Asks for the beginning of the memory, where the bytes of a ring lie that leave as fast as they come.
    pub fn prefetch(&self, prefetch: Prefetch) {
        prefetch.value(&self.memory[..self.memory.len().min(AHEAD)]);
    }

    /// Lets the ring hold at least `capacity` bytes; it never holds fewer than before.
    pub fn grow(&mut self, capacity: usize) {
        self.capacity = self.capacity.max(Self::round_up(capacity));
    }

    /// No byte is live: the next is the one at `offset`, and lies at the beginning. A stream that is read
    /// as fast as it comes so stays within a few bytes of memory, which the processor has at hand.
    pub const fn restart_at(&mut self, offset: u64) {
        self.base = offset;
    }

    /// Gives the memory back; the bytes are gone. The next write takes memory again.
    pub fn release_memory(&mut self) {
        self.memory = Box::default();
    }

    /// Where `offset` lies. The mask keeps the result below the memory's length, so the cast is exact.
    const fn position(&self, offset: u64) -> usize {
        (offset.wrapping_sub(self.base) & (self.memory.len() as u64 - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ring: &ByteRing, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let count = ring.read_at(offset, &mut bytes);
        bytes.truncate(count);
        bytes
    }

    #[test]
    fn bytes_come_back_wherever_the_ring_ends() {
        for offset in [0, 5, 12, 15, u64::from(u32::MAX) - 3, u64::MAX - 40] {
            let mut ring = ByteRing::new(16);
            assert_eq!(ring.write_at(offset, offset, b"across the"), 10);
            assert_eq!(read(&ring, offset, 10), b"across the", "offset {offset}");
            assert_eq!(read(&ring, offset + 7, 3), b"the");
        }
    }

    #[test]
    fn an_idle_ring_has_no_memory() {
        let mut ring = ByteRing::new(1 << 20);
        ring.write_at(3, 3, b"");
        assert!(!ring.is_allocated());
        assert_eq!(ring.slices(0, 10), (&[][..], &[][..]));
        ring.write_at(3, 3, b"x");
        assert!(ring.is_allocated());
        ring.release_memory();
        assert!(!ring.is_allocated());
    }

    #[test]
    fn no_more_than_the_capacity_is_copied() {
        let mut ring = ByteRing::new(5);
        assert_eq!(ring.capacity(), 8);
        assert_eq!(ring.write_at(6, 6, b"0123456789"), 8);
        assert_eq!(read(&ring, 6, 100), b"01234567");
        assert_eq!(ByteRing::new(usize::MAX).capacity(), ByteRing::MAX_CAPACITY);
        assert_eq!(ByteRing::new(0).capacity(), 1);
    }

    #[test]
    fn a_ring_that_restarts_begins_at_the_beginning() {
        let mut ring = ByteRing::new(16);
        ring.write_at(13, 13, b"live");
        ring.restart_at(17);
        ring.write_at(17, 17, b"whole in one piece");
        assert_eq!(ring.slices(17, 16), (&b"whole in one pie"[..], &[][..]));
        ring.grow(32);
        ring.write_at(22, 33, b"ce");
        assert_eq!(read(&ring, 22, 13), b" in one piece");
    }

    #[test]
    fn a_larger_capacity_keeps_what_is_live() {
        let mut ring = ByteRing::new(8);
        ring.write_at(0, 0, b"old");
        ring.write_at(5, 5, b"wrapped!");
        ring.grow(20);
        assert_eq!(ring.capacity(), 32);
        ring.write_at(5, 13, b" and more");
        assert_eq!(read(&ring, 5, 17), b"wrapped! and more");
        ring.grow(4);
        assert_eq!(ring.capacity(), 32);
    }

    #[test]
    fn memory_is_taken_as_it_is_needed() {
        let mut ring = ByteRing::new(1 << 20);
        let mut oldest = 0;
        for round in 0..100_u64 {
            // What leaves as fast as it comes stays within the least memory.
            let offset = oldest + 1_000;
            ring.write_at(oldest, offset, &[round as u8; 3_000]);
            assert_eq!(ring.memory.len(), SMALLEST);
            assert_eq!(read(&ring, offset, 3_000), [round as u8; 3_000]);
            oldest = offset + 1_000;
        }
        let last = oldest + 2_000;
        ring.write_at(oldest, last, &[7; 10_000]);
        assert_eq!(ring.memory.len(), 16 << 10);
        assert_eq!(read(&ring, oldest, 1_000), [99; 1_000]);
        assert_eq!(read(&ring, last, 10_000), [7; 10_000]);
        assert_eq!(
            ring.write_at(oldest, last, &[7; 2 << 20]),
            (1 << 20) - 2_000
        );
        assert_eq!(read(&ring, oldest, 1_000), [99; 1_000]);
    }
}
