//! A bounded set of disjoint half-open ranges of offsets.
//!
//! SACK scoreboards (RFC 6675), out-of-order queues and reassembly (RFC 8684 section 3.3.1) all
//! ask which bytes of a stream are there. Callers turn their sequence numbers into offsets from a
//! base, so that nothing here wraps.

use core::ops::Range;
use thiserror::Error;

/// The set would have to hold more ranges than its bound allows; it is left as it was.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
#[error("the range set is full: drop the data and let the sender repeat it, or raise the bound")]
pub struct RangeSetFull;

/// Disjoint, non-adjacent ranges in ascending order, at most `max_ranges` of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RangeSet {
    ranges: Vec<Range<u64>>,
    max_ranges: usize,
}

impl RangeSet {
    /// An empty set that holds at most `max_ranges` ranges. It allocates nothing until filled.
    pub const fn new(max_ranges: usize) -> Self {
        Self {
            ranges: Vec::new(),
            max_ranges,
        }
    }

    /// Adds `range`, merging it with what it overlaps or touches. An empty range changes nothing.
    ///
    /// # Errors
    ///
    /// [`RangeSetFull`] when `range` touches nothing and the bound is reached.
    pub fn insert(&mut self, range: Range<u64>) -> Result<(), RangeSetFull> {
        if range.is_empty() {
            return Ok(());
        }
        let first = self.ranges.partition_point(|held| held.end < range.start);
        let last = self.ranges.partition_point(|held| held.start <= range.end);
        if let Some([merged, rest @ ..]) = self.ranges.get_mut(first..last) {
            let end = rest.last().map_or(merged.end, |held| held.end);
            merged.start = merged.start.min(range.start);
            merged.end = end.max(range.end);
            self.ranges.drain(first + 1..last);
            return Ok(());
        }
        if self.is_full() {
            return Err(RangeSetFull);
        }
        self.ranges.insert(first, range);
        Ok(())
    }

    /// Takes every offset of `range` out of the set.
    ///
    /// # Errors
    ///
    /// [`RangeSetFull`] when a held range would have to be split and the bound is reached.
    pub fn remove(&mut self, range: Range<u64>) -> Result<(), RangeSetFull> {
        if range.is_empty() {
            return Ok(());
        }
        let full = self.is_full();
        let mut first = self.ranges.partition_point(|held| held.end <= range.start);
        let last = self.ranges.partition_point(|held| held.start < range.end);
        let mut tail = None;
        if let Some(held) = self.ranges.get_mut(first)
            && held.start < range.start
        {
            tail = (range.end < held.end).then_some(range.end..held.end);
            if tail.is_some() && full {
                return Err(RangeSetFull);
            }
            held.end = range.start.min(held.end);
            first += 1;
        }
        if let Some(tail) = tail {
            self.ranges.insert(first, tail);
            return Ok(());
        }
        // What reaches past the range keeps its end; what lies inside it goes.
        let mut gone = first..last.max(first);
        if let Some(held) = self.ranges.get_mut(gone.clone()).and_then(<[_]>::last_mut)
            && range.end < held.end
        {
            held.start = range.end;
            gone.end -= 1;
        }
        self.ranges.drain(gone);
        Ok(())
    }

    /// Forgets every offset below `offset`. This can never run out of room.
    pub fn remove_below(&mut self, offset: u64) {
        let gone = self.ranges.partition_point(|held| held.end <= offset);
        self.ranges.drain(..gone);
        if let Some(first) = self.ranges.first_mut() {
            first.start = first.start.max(offset);
        }
    }

    /// Gives back memory that no range is in.
    pub fn release_spare(&mut self) {
        self.ranges.shrink_to_fit();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ranges.clear();
    }

    /// The held range that `offset` lies in.
    pub fn range_at(&self, offset: u64) -> Option<Range<u64>> {
        let index = self.ranges.partition_point(|held| held.end <= offset);
        self.ranges
            .get(index)
            .filter(|held| held.start <= offset)
            .cloned()
    }

    /// True when `offset` is in the set.
    pub fn contains(&self, offset: u64) -> bool {
        self.range_at(offset).is_some()
    }

    /// True when every offset of `range` is in the set; an empty range always is.
    pub fn contains_range(&self, range: Range<u64>) -> bool {
        range.is_empty()
            || self
                .range_at(range.start)
                .is_some_and(|held| range.end <= held.end)
    }

    /// The first offset from `from` on that is not in the set.
    pub fn first_missing(&self, from: u64) -> u64 {
        self.range_at(from).map_or(from, |held| held.end)
    }

    /// The first run of offsets within `window` that is not in the set.
    pub fn first_gap(&self, window: Range<u64>) -> Option<Range<u64>> {
        self.gaps(window).next()
    }

    /// The runs of offsets within `window` that are not in the set, in ascending order.
    pub fn gaps(&self, window: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.ranges.partition_point(|held| held.end <= window.start);
        let mut held = self.ranges.get(first..).unwrap_or_default().iter();
        let mut from = window.start;
        core::iter::from_fn(move || {
            while from < window.end {
                let gap = match held.next() {
                    Some(next) => {
                        let gap = from..next.start.min(window.end);
                        from = next.end;
                        gap
                    }
                    None => {
                        let gap = from..window.end;
                        from = window.end;
                        gap
                    }
                };
                if !gap.is_empty() {
                    return Some(gap);
                }
            }
            None
        })
    }

    /// The held ranges in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + ExactSizeIterator + '_ {
        self.ranges.iter().cloned()
    }

    /// The lowest held range.
    pub fn first(&self) -> Option<Range<u64>> {
        self.ranges.first().cloned()
    }

    /// The highest held range.
    pub fn last(&self) -> Option<Range<u64>> {
        self.ranges.last().cloned()
    }

    /// How many ranges are held.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// True when `range` overlaps a held range or lies right beside one.
    pub fn touches(&self, range: &Range<u64>) -> bool {
        let index = self.ranges.partition_point(|held| held.end < range.start);
        self.ranges
            .get(index)
            .is_some_and(|held| held.start <= range.end)
    }

    /// True when a range that touches nothing would be refused.
    pub fn is_full(&self) -> bool {
        self.ranges.len() >= self.max_ranges
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many offsets are in the set.
    pub fn total(&self) -> u64 {
        self.ranges.iter().map(|held| held.end - held.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const BOUND: usize = 4;
    const OFFSETS: u64 = 40;

    /// The definition of the set: one element for each offset.
    fn ranges_of(model: &BTreeSet<u64>) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for offset in model.iter().copied() {
            match ranges.last_mut() {
                Some(last) if last.end == offset => last.end += 1,
                _ => ranges.push(offset..offset + 1),
            }
        }
        ranges
    }

    proptest! {
        #[test]
        fn behaves_as_a_set_of_offsets(
            steps in prop::collection::vec((0..3_u8, 0..OFFSETS, 0..10_u64), 1..60),
        ) {
            let mut set = RangeSet::new(BOUND);
            let mut model = BTreeSet::new();
            for (step, start, length) in steps {
                let range = start..start + length;
                let mut wanted = model.clone();
                let outcome = match step {
                    0 => {
                        wanted.extend(range.clone());
                        set.insert(range)
                    }
                    1 => {
                        wanted.retain(|offset| !range.contains(offset));
                        set.remove(range)
                    }
                    _ => {
                        wanted.retain(|offset| *offset >= start);
                        set.remove_below(start);
                        Ok(())
                    }
                };
                // Refused exactly when the result would be over the bound, and then unchanged.
                prop_assert_eq!(outcome.is_err(), ranges_of(&wanted).len() > BOUND);
                if outcome.is_ok() {
                    model = wanted;
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), ranges_of(&model));
                prop_assert_eq!(set.total(), model.len() as u64);
            }
        }

        #[test]
        fn gaps_and_ranges_cover_the_window_once(
            ranges in prop::collection::vec((0..OFFSETS, 0..6_u64), 0..8),
            start in 0..OFFSETS,
            length in 0..OFFSETS,
        ) {
            let mut set = RangeSet::new(64);
            for (start, length) in ranges {
                set.insert(start..start + length).unwrap();
            }
            let window = start..start + length;
            let missing: Vec<u64> = set.gaps(window.clone()).flatten().collect();
            let wanted: Vec<u64> = window.clone().filter(|offset| !set.contains(*offset)).collect();
            prop_assert_eq!(&missing, &wanted);
            prop_assert_eq!(set.contains_range(window), wanted.is_empty());
            let first = (start..).find(|offset| !set.contains(*offset)).unwrap();
            prop_assert_eq!(set.first_missing(start), first);
        }
    }

    #[test]
    fn a_full_set_still_merges() {
        let mut set = RangeSet::new(2);
        set.insert(0..10).unwrap();
        set.insert(20..30).unwrap();
        assert_eq!(set.insert(40..50), Err(RangeSetFull));
        assert_eq!(set.remove(3..4), Err(RangeSetFull));
        set.insert(10..20).unwrap();
        assert_eq!(set.iter().collect::<Vec<_>>(), vec![0..30]);
    }

    #[test]
    fn the_last_offsets_are_as_good_as_any() {
        let mut set = RangeSet::new(2);
        set.insert(u64::MAX - 2..u64::MAX).unwrap();
        assert!(set.contains(u64::MAX - 1));
        assert_eq!(set.first_gap(0..u64::MAX), Some(0..u64::MAX - 2));
    }
}
