//! Which bytes of a stream have arrived ahead of order: holes by offset, without the bytes.
//!
//! Data-level reassembly (RFC 8684 section 3.3.1) uses it with the offset of a data sequence
//! number from the connection's first one. The bytes themselves go to a
//! [`ReceiveBuffer`](super::receive_buffer::ReceiveBuffer) at the same offset.

use super::range_set::{RangeSet, RangeSetFull};
use core::ops::Range;
use thiserror::Error;

/// The data would open one hole more than is kept track of; nothing was noted.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
#[error("too many holes in the stream: drop the data, its sender repeats it")]
pub struct TooManyHoles;

impl From<RangeSetFull> for TooManyHoles {
    fn from(_: RangeSetFull) -> Self {
        Self
    }
}

/// What has arrived beyond the in-order end of a stream.
#[derive(Clone, Debug)]
pub struct Assembler {
    held: RangeSet,
    max_ranges: usize,
    /// Everything below has been taken.
    in_order: u64,
    /// What the last insertion added; kept so that its memory is used again.
    added: Vec<Range<u64>>,
}

impl Assembler {
    /// Nothing arrived; at most `max_ranges` separate runs of bytes will be kept track of.
    pub const fn new(max_ranges: usize) -> Self {
        // One more than asked for: what arrives in order must never be refused, or a stream full
        // of holes could not go on.
        let held = RangeSet::new(max_ranges.saturating_add(1));
        Self {
            held,
            max_ranges,
            in_order: 0,
            added: Vec::new(),
        }
    }

    /// Notes that `start..end` has arrived and returns the parts of it that had not arrived
    /// before, in ascending order: those are to be stored, the rest is duplicate. What lies past
    /// its window the caller cuts off.
    ///
    /// # Errors
    ///
    /// [`TooManyHoles`] when the bytes touch nothing held and the bound is reached. Bytes that
    /// are next in order are always taken.
    pub fn insert(&mut self, start: u64, end: u64) -> Result<&[Range<u64>], TooManyHoles> {
        self.added.clear();
        let range = start.max(self.in_order)..end;
        let opens_hole = range.start > self.in_order && !self.held.touches(&range);
        if opens_hole && !range.is_empty() && self.held.len() >= self.max_ranges {
            return Err(TooManyHoles);
        }
        self.added.extend(self.held.gaps(range.clone()));
        self.held.insert(range)?;
        Ok(&self.added)
    }

    /// The end of what is contiguous with `from`, the in-order end so far. Everything below the
    /// returned offset is in order now and is forgotten here.
    pub fn take_front(&mut self, from: u64) -> u64 {
        self.in_order = self.held.first_missing(from.max(self.in_order));
        self.held.remove_below(self.in_order);
        self.in_order
    }

    /// The runs that wait for a hole before them to be filled, in ascending order.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + ExactSizeIterator + '_ {
        self.held.iter()
    }

    /// How many bytes have been noted and not yet taken.
    pub fn held_bytes(&self) -> u64 {
        self.held.total()
    }

    /// Gives back memory that no range is in.
    pub fn release_spare(&mut self) {
        self.held.release_spare();
        self.added = Vec::new();
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "a list of one range is meant"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_new_is_reported() {
        let mut assembler = Assembler::new(8);
        assert_eq!(assembler.insert(10, 20).unwrap(), [10..20]);
        assert_eq!(assembler.insert(30, 40).unwrap(), [30..40]);
        assert_eq!(assembler.insert(5, 45).unwrap(), [5..10, 20..30, 40..45]);
        assert!(assembler.insert(12, 33).unwrap().is_empty());
        assert_eq!(assembler.held_bytes(), 40);
    }

    #[test]
    fn the_front_is_taken_only_when_it_is_contiguous() {
        let mut assembler = Assembler::new(8);
        assembler.insert(10, 20).unwrap();
        assert_eq!(assembler.take_front(0), 0);
        assembler.insert(0, 10).unwrap();
        assembler.insert(25, 30).unwrap();
        assert_eq!(assembler.take_front(0), 20);
        assert_eq!(assembler.ranges().collect::<Vec<_>>(), vec![25..30]);
    }

    #[test]
    fn a_hole_too_many_is_refused_and_nothing_noted() {
        let mut assembler = Assembler::new(1);
        assembler.insert(10, 20).unwrap();
        assert_eq!(assembler.insert(30, 40), Err(TooManyHoles));
        assert_eq!(assembler.held_bytes(), 10);
    }

    #[test]
    fn what_is_next_in_order_gets_through_a_full_assembler() {
        let mut assembler = Assembler::new(1);
        assembler.insert(10, 20).unwrap();
        assert_eq!(assembler.insert(0, 5).unwrap(), [0..5]);
        assert_eq!(assembler.insert(30, 40), Err(TooManyHoles));
        assert_eq!(assembler.take_front(0), 5);
        assert_eq!(assembler.insert(0, 8).unwrap(), [5..8]);
        assert_eq!(assembler.insert(8, 10).unwrap(), [8..10]);
        assert_eq!(assembler.take_front(5), 20);
        assert!(assembler.is_empty());
    }

    proptest! {
        #[test]
        fn every_byte_is_new_exactly_once_in_any_order(
            mut pieces in Just((0..40_u64).map(|n| (n * 3, n * 3 + 3)).collect::<Vec<_>>())
                .prop_shuffle(),
            extra in prop::collection::vec((0..120_u64, 0..20_u64), 0..40),
        ) {
            for (at, (start, length)) in extra.into_iter().enumerate() {
                pieces.insert(at, (start, (start + length).min(120)));
            }
            let mut assembler = Assembler::new(64);
            let mut seen = [0_u8; 120];
            let mut edge = 0;
            for (start, end) in pieces {
                for new in assembler.insert(start, end).unwrap() {
                    for offset in new.clone() {
                        seen[offset as usize] += 1;
                    }
                }
                edge = assembler.take_front(edge);
                prop_assert!(seen[..edge as usize].iter().all(|count| *count == 1));
            }
            prop_assert_eq!(edge, 120);
            prop_assert!(assembler.is_empty());
        }
    }
}
