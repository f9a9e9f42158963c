//! One direction's data sequence space (RFC 8684 section 3.3).
//!
//! Within a connection a byte is known by its offset from the first data byte, which never wraps.
//! Data sequence numbers are what offsets are called in messages and on the wire.

use crate::sequence::DataSequenceNumber;
use crate::wire::mptcp_option::DataNumber;

/// The place of a stream in the circle of data sequence numbers.
#[derive(Copy, Clone, Debug)]
pub(super) struct DataSpace {
    /// The number of the first data byte.
    first: DataSequenceNumber,
}

impl DataSpace {
    /// The space whose SYN took `initial`: data starts one after.
    pub(super) fn after(initial: DataSequenceNumber) -> Self {
        Self { first: initial + 1 }
    }

    /// What the byte at `offset` is called.
    pub(super) fn number(self, offset: u64) -> DataSequenceNumber {
        self.first + offset
    }

    /// The signed distance of `number` from the byte at `offset`.
    pub(super) fn distance(self, number: DataSequenceNumber, offset: u64) -> i64 {
        number - self.number(offset)
    }

    /// Where the byte called `number` lies; `near` is an offset within half the circle of it.
    /// `None` when that is before the first byte.
    pub(super) fn offset(self, number: DataSequenceNumber, near: u64) -> Option<u64> {
        near.checked_add_signed(self.distance(number, near))
    }

    /// A number off the wire in full: a short one is the nearest to the byte at `near`.
    pub(super) fn widen(self, number: DataNumber, near: u64) -> DataSequenceNumber {
        match number {
            DataNumber::Short(low) => self.number(near).expand(low),
            DataNumber::Long(number) => number,
        }
    }
}
