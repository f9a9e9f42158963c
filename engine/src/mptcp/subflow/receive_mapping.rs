//! Which data sequence numbers the bytes of the subflow's receive stream have, as the peer declares
//! them (RFC 8684 section 3.3.1).

use crate::sequence::DataSequenceNumber;
use crate::storage::prefetch::Prefetch;
use core::ops::Range;
use std::collections::VecDeque;

/// With this many mappings held, a segment ahead of order that brings one more is treated as lost. The
/// mapping of the next byte is always taken, and each is taken whole, though others cut it to parts:
/// no more than twice as many are ever held.
pub(super) const LIMIT: usize = 4096;

/// A mapping as the peer declared it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct ReceiveMapping {
    /// Offset of the first byte in the receive stream of the subflow.
    pub(super) offset: u64,
    /// Data sequence number of the first byte.
    pub(super) data_sequence: DataSequenceNumber,
    /// Bytes of data, without a DATA_FIN.
    pub(super) length: u32,
    /// A DATA_FIN follows the data.
    pub(super) data_fin: bool,
    /// What must be verified before the data is passed on.
    pub(super) checksum: Option<DeclaredChecksum>,
    /// The data sequence number came with all 64 bits.
    pub(super) long: bool,
}

/// A checksum with the length that it covers.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct DeclaredChecksum {
    /// The checksum.
    pub(super) value: u16,
    /// The length field beside it, which counts a DATA_FIN.
    pub(super) length: u16,
}

impl ReceiveMapping {
    /// Offset just past the last byte.
    pub(super) const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length as u64)
    }

    /// The data sequence number of the byte at `offset`, which lies in the mapping or at its end.
    pub(super) fn data_sequence_at(&self, offset: u64) -> DataSequenceNumber {
        self.data_sequence + offset.saturating_sub(self.offset)
    }

    /// Both give the bytes they share the same data sequence numbers.
    fn agrees_with(&self, other: &Self) -> bool {
        self.data_sequence.0.wrapping_sub(self.offset)
            == other.data_sequence.0.wrapping_sub(other.offset)
    }

    /// The part from `start` to `end`.
    fn part(&self, start: u64, end: u64) -> Self {
        Self {
            offset: start,
            data_sequence: self.data_sequence_at(start),
            length: (end - start) as u32,
            data_fin: self.data_fin && end == self.end(),
            ..*self
        }
    }
}

/// What declaring a mapping came to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Declared {
    /// It is held, or was before.
    Held,
    /// All its data was passed on before.
    Past,
    /// It gives other data sequence numbers to bytes that have some, or another checksum.
    Contradiction,
}

/// The mappings of bytes not yet passed on, in the order of the stream and without overlap.
#[derive(Debug, Default)]
pub(super) struct ReceiveMappings {
    mappings: VecDeque<ReceiveMapping>,
}

impl ReceiveMappings {
    /// Asks for the memory of the mappings.
    pub(super) fn prefetch(&self, prefetch: Prefetch) {
        prefetch.queue(&self.mappings);
    }

    /// None is held.
    pub(super) fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    /// Takes in a mapping; `passed_on` is the offset of the first byte not yet passed on.
    ///
    /// A repeated mapping is no error, nor is one that says again for a part what is known.
    /// With checksums a mapping is one whole, so an overlap must be exact.
    pub(super) fn declare(&mut self, mapping: ReceiveMapping, passed_on: u64) -> Declared {
        let end = mapping.end();
        if end <= passed_on {
            return Declared::Past;
        }
        let first = self.mappings.partition_point(|m| m.end() <= mapping.offset);
        if mapping.checksum.is_some() {
            return self.declare_whole(mapping, first, passed_on);
        }
        let mut index = first;
        let mut start = mapping.offset.max(passed_on);
        while start < end {
            match self.mappings.get_mut(index) {
                Some(held) if held.offset <= start => {
                    if !held.agrees_with(&mapping) {
                        return Declared::Contradiction;
                    }
                    held.data_fin |= mapping.data_fin && held.end() == end;
                    start = held.end();
                    index += 1;
                }
                next => {
                    let until = next.map_or(end, |held| held.offset.min(end));
                    self.mappings.insert(index, mapping.part(start, until));
                    start = until;
                    index += 1;
                }
            }
        }
        Declared::Held
    }

    fn declare_whole(&mut self, mapping: ReceiveMapping, at: usize, passed_on: u64) -> Declared {
        match self.mappings.get_mut(at) {
            Some(held) if held.offset < mapping.end() => {
                let same = held.offset == mapping.offset
                    && held.length == mapping.length
                    && held.agrees_with(&mapping);
                // A DATA_FIN that joins a repeated mapping changes length field and checksum;
                // the data is the same, and so the first checksum still proves it.
                let same_checksum =
                    held.checksum == mapping.checksum || held.data_fin != mapping.data_fin;
                if !same || !same_checksum {
                    return Declared::Contradiction;
                }
                held.data_fin |= mapping.data_fin;
                Declared::Held
            }
            _ if mapping.offset < passed_on => Declared::Contradiction,
            _ => {
                self.mappings.insert(at, mapping);
                Declared::Held
            }
        }
    }

    /// The mapping of the byte at `offset`, the first not yet passed on.
    pub(super) fn at(&self, offset: u64) -> Option<&ReceiveMapping> {
        self.mappings
            .front()
            .filter(|m| m.offset <= offset && offset < m.end())
    }

    /// Where the first mapping begins.
    pub(super) fn next_start(&self) -> Option<u64> {
        self.mappings.front().map(|mapping| mapping.offset)
    }

    /// True when the mapping at `offset` exists or lies before it.
    pub(super) fn knows(&self, offset: u64) -> bool {
        let index = self.mappings.partition_point(|m| m.end() <= offset);
        self.mappings.get(index).is_some_and(|m| m.offset <= offset)
    }

    /// How far the bytes of `range` go by the mapping of the first and by those after it that
    /// continue it in both streams; a DATA_FIN or a checksum closes a mapping against the next.
    pub(super) fn run_end(&self, range: Range<u64>) -> Option<u64> {
        let mut run = *self.at(range.start)?;
        for next in self.mappings.iter().skip(1) {
            let continues = next.offset == run.end() && next.agrees_with(&run);
            let closed = run.data_fin || run.checksum.is_some() || next.checksum.is_some();
            if run.end() >= range.end || !continues || closed {
                break;
            }
            run = *next;
        }
        Some(run.end().min(range.end))
    }

    /// Takes the next mapping that lies wholly before `passed_on`.
    pub(super) fn take_past(&mut self, passed_on: u64) -> Option<ReceiveMapping> {
        self.mappings.pop_front_if(|m| m.end() <= passed_on)
    }

    /// The mapping at the front has proved its checksum.
    pub(super) fn set_verified(&mut self) {
        if let Some(front) = self.mappings.front_mut() {
            front.checksum = None;
        }
    }

    /// No further mapping ahead of order is to be taken.
    pub(super) fn is_full(&self) -> bool {
        self.mappings.len() >= LIMIT
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.mappings.clear();
    }
}

/// The offset in the stream that a relative subflow sequence number of 32 bits means: the one nearest
/// to `near`. `None` when that lies before the stream.
pub(super) fn widen(subflow_offset: u32, near: u64) -> Option<u64> {
    // The first byte has the relative number 1.
    let near = near.wrapping_add(1);
    let distance = subflow_offset.wrapping_sub(near as u32) as i32;
    near.checked_add_signed(distance.into())?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(offset: u64, data_sequence: u64, length: u32) -> ReceiveMapping {
        ReceiveMapping {
            offset,
            data_sequence: DataSequenceNumber(data_sequence),
            length,
            data_fin: false,
            checksum: None,
            long: true,
        }
    }

    fn with_checksum(offset: u64, data_sequence: u64, length: u32, value: u16) -> ReceiveMapping {
        let checksum = Some(DeclaredChecksum {
            value,
            length: length as u16,
        });
        ReceiveMapping {
            checksum,
            ..mapping(offset, data_sequence, length)
        }
    }

    #[test]
    fn relative_numbers_widen_around_every_wrap() {
        assert_eq!(widen(1, 0), Some(0));
        assert_eq!(widen(0, 0), None);
        assert_eq!(widen(u32::MAX, 0), None);
        let wrap = 1_u64 << 32;
        assert_eq!(widen(0, wrap - 1), Some(wrap - 1));
        assert_eq!(widen(1, wrap - 1), Some(wrap));
        assert_eq!(widen(u32::MAX, wrap + 5), Some(wrap - 2));
        assert_eq!(widen(5, 7 * wrap), Some(7 * wrap + 4));
    }

    #[test]
    fn a_repeated_mapping_is_known_and_a_part_of_it_too() {
        let mut mappings = ReceiveMappings::default();
        assert_eq!(mappings.declare(mapping(0, 1000, 100), 0), Declared::Held);
        assert_eq!(mappings.declare(mapping(0, 1000, 100), 0), Declared::Held);
        assert_eq!(mappings.declare(mapping(20, 1020, 30), 0), Declared::Held);
        assert_eq!(mappings.declare(mapping(0, 1000, 100), 100), Declared::Past);
        assert_eq!(mappings.take_past(100), Some(mapping(0, 1000, 100)));
        assert_eq!(mappings.take_past(u64::MAX), None);
    }

    #[test]
    fn an_overlap_must_agree_on_every_byte() {
        let mut mappings = ReceiveMappings::default();
        mappings.declare(mapping(50, 1050, 50), 0);
        assert_eq!(
            mappings.declare(mapping(0, 1001, 100), 0),
            Declared::Contradiction
        );
        let mut mappings = ReceiveMappings::default();
        mappings.declare(mapping(50, 1050, 50), 0);
        assert_eq!(mappings.declare(mapping(0, 1000, 200), 0), Declared::Held);
        assert_eq!(mappings.run_end(0..500), Some(200));
    }

    #[test]
    fn with_checksums_an_overlap_must_be_exact() {
        let mut mappings = ReceiveMappings::default();
        mappings.declare(with_checksum(0, 1000, 100, 7), 0);
        let repeated = mappings.declare(with_checksum(0, 1000, 100, 7), 0);
        assert_eq!(repeated, Declared::Held);
        let part = mappings.declare(with_checksum(0, 1000, 50, 7), 0);
        assert_eq!(part, Declared::Contradiction);
        let other = mappings.declare(with_checksum(0, 1000, 100, 8), 0);
        assert_eq!(other, Declared::Contradiction);
    }

    #[test]
    fn a_data_fin_may_join_a_repeated_mapping() {
        let mut mappings = ReceiveMappings::default();
        mappings.declare(with_checksum(0, 1000, 100, 7), 0);
        let with_fin = ReceiveMapping {
            data_fin: true,
            checksum: Some(DeclaredChecksum {
                value: 6,
                length: 101,
            }),
            ..mapping(0, 1000, 100)
        };
        assert_eq!(mappings.declare(with_fin, 0), Declared::Held);
        assert_eq!(mappings.take_past(100).map(|m| m.data_fin), Some(true));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut mappings = ReceiveMappings::default();
        let limit = LIMIT as u64;
        for index in 0..limit {
            assert!(!mappings.is_full());
            mappings.declare(mapping(2 * index + 1, 2 * index + 1, 1), 0);
        }
        assert!(mappings.is_full());
        // That of the next byte is taken, with all its parts between the others.
        mappings.declare(mapping(0, 0, 2 * LIMIT as u32), 0);
        assert!((0..2 * limit).all(|offset| mappings.knows(offset)));
        assert_eq!(mappings.mappings.len(), 2 * LIMIT);
    }
}
