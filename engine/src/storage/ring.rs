//! Bytes of a stream in a ring, addressed by their absolute offset in that stream.

use core::ops::Range;

/// A ring whose size is a power of two. Offset `n` of the stream lies at `n` less the base, modulo the
/// size, so bytes may be written in any order within a window of that size.
///
/// The ring does not know which bytes are live: its owner does. Memory is taken with the first
/// write, so an idle ring costs nothing.
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

    /// Copies `bytes` to `offset` on. At most the ring's capacity is copied; the number is
    /// returned.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> usize {
        self.write_with(offset, bytes.len(), |head, tail| {
            let (of_head, rest) = bytes.split_at(head.len());
            head.copy_from_slice(of_head);
            tail.copy_from_slice(&rest[..tail.len()]);
        })
    }

    /// Has `fill` write the `length` bytes from `offset` on in place, as two pieces because the
    /// ring may end in the middle. At most the ring's capacity is written; the number is returned.
    pub fn write_with(
        &mut self,
        offset: u64,
        length: usize,
        fill: impl FnOnce(&mut [u8], &mut [u8]),
    ) -> usize {
        if length == 0 {
            return 0;
        }
        if self.memory.is_empty() {
            self.memory = vec![0; self.capacity].into_boxed_slice();
        }
        let length = length.min(self.capacity);
        let position = self.position(offset);
        let head = length.min(self.capacity - position);
        let (before, from_position) = self.memory.split_at_mut(position);
        fill(&mut from_position[..head], &mut before[..length - head]);
        length
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
    /// the middle. Both are empty when nothing was ever written; no more than the ring's
    /// capacity is returned.
    pub fn slices(&self, offset: u64, length: usize) -> (&[u8], &[u8]) {
        if self.memory.is_empty() {
            return (&[], &[]);
        }
        let length = length.min(self.capacity);
        let position = self.position(offset);
        let head = length.min(self.capacity - position);
        (
            &self.memory[position..position + head],
            &self.memory[..length - head],
        )
    }

    /// Enlarges the ring to at least `capacity` bytes, keeping the bytes of `live`. A ring that is
    /// as large already stays as it is.
    pub fn grow(&mut self, capacity: usize, live: Range<u64>) {
        let capacity = Self::round_up(capacity);
        if capacity <= self.capacity {
            return;
        }
        let mut larger = Self {
            memory: Box::default(),
            capacity,
            base: self.base,
        };
        let length = live.end.saturating_sub(live.start);
        let (head, tail) = self.slices(live.start, usize::try_from(length).unwrap_or(usize::MAX));
        larger.write_at(live.start, head);
        larger.write_at(live.start.wrapping_add(head.len() as u64), tail);
        *self = larger;
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

    /// Where `offset` lies. The mask keeps the result below the capacity, so the cast is exact.
    const fn position(&self, offset: u64) -> usize {
        (offset.wrapping_sub(self.base) & (self.capacity as u64 - 1)) as usize
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
            assert_eq!(ring.write_at(offset, b"across the"), 10);
            assert_eq!(read(&ring, offset, 10), b"across the", "offset {offset}");
            assert_eq!(read(&ring, offset + 7, 3), b"the");
        }
    }

    #[test]
    fn an_idle_ring_has_no_memory() {
        let mut ring = ByteRing::new(1 << 20);
        ring.write_at(3, b"");
        assert!(!ring.is_allocated());
        assert_eq!(ring.slices(0, 10), (&[][..], &[][..]));
        ring.write_at(3, b"x");
        assert!(ring.is_allocated());
        ring.release_memory();
        assert!(!ring.is_allocated());
    }

    #[test]
    fn no_more_than_the_capacity_is_copied() {
        let mut ring = ByteRing::new(5);
        assert_eq!(ring.capacity(), 8);
        assert_eq!(ring.write_at(6, b"0123456789"), 8);
        assert_eq!(read(&ring, 6, 100), b"01234567");
        assert_eq!(ByteRing::new(usize::MAX).capacity(), ByteRing::MAX_CAPACITY);
        assert_eq!(ByteRing::new(0).capacity(), 1);
    }

    #[test]
    fn a_ring_that_restarts_begins_at_the_beginning() {
        let mut ring = ByteRing::new(16);
        ring.write_at(13, b"live");
        ring.restart_at(17);
        ring.write_at(17, b"whole in one piece");
        assert_eq!(ring.slices(17, 16), (&b"whole in one pie"[..], &[][..]));
        ring.grow(32, 17..33);
        assert_eq!(read(&ring, 22, 11), b" in one pie");
    }

    #[test]
    fn growing_keeps_what_is_live() {
        let mut ring = ByteRing::new(8);
        ring.write_at(5, b"wrapped!");
        ring.grow(20, 5..13);
        assert_eq!(ring.capacity(), 32);
        assert_eq!(read(&ring, 5, 8), b"wrapped!");
        ring.grow(4, 5..13);
        assert_eq!(ring.capacity(), 32);
    }
}
