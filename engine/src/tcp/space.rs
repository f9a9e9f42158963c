//! One direction's sequence numbers, unwrapped to 64 bits (RFC 9293 section 3.4).
//!
//! A *position* counts from the SYN, which has position 0; the byte at offset k of the stream has
//! position k + 1. Positions never wrap, so streams may be longer than 4 GiB and order is plain.

use crate::sequence::SequenceNumber;

/// The mapping between positions and sequence numbers.
#[derive(Copy, Clone, Debug)]
pub(super) struct SequenceSpace {
    initial: SequenceNumber,
}

impl SequenceSpace {
    pub(super) const fn new(initial: SequenceNumber) -> Self {
        Self { initial }
    }

    pub(super) const fn initial(self) -> SequenceNumber {
        self.initial
    }

    /// The sequence number of a position.
    pub(super) fn sequence(self, position: u64) -> SequenceNumber {
        self.initial + position as u32
    }

    /// The position nearest to `near` that has this sequence number; `None` before the SYN.
    pub(super) fn position(self, near: u64, sequence: SequenceNumber) -> Option<u64> {
        near.checked_add_signed(i64::from(sequence - self.sequence(near)))
    }
}

/// The offset in the stream of a position past the SYN.
pub(super) const fn offset_of(position: u64) -> u64 {
    position.saturating_sub(1)
}

/// The position of an offset in the stream.
pub(super) const fn position_of(offset: u64) -> u64 {
    offset.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_continue_across_every_wrap() {
        let space = SequenceSpace::new(SequenceNumber(u32::MAX - 2));
        for near in [3_u64, 1 << 31, 1 << 32, (1 << 32) + 5, 1 << 33, 1 << 40] {
            for ahead in [0_u64, 1, 1000, (1 << 31) - 1] {
                let there = near + ahead;
                assert_eq!(space.position(near, space.sequence(there)), Some(there));
                assert_eq!(space.position(there, space.sequence(near)), Some(near));
            }
        }
        assert_eq!(space.position(0, SequenceNumber(u32::MAX - 3)), None);
    }
}
