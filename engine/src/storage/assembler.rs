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
    /// What the last insertion added; kept so that its memory is used again.
    added: Vec<Range<u64>>,
}

impl Assembler {
    /// Nothing arrived; at most `max_ranges` separate runs of bytes will be kept track of.
    pub const fn new(max_ranges: usize) -> Self {
        Self {
            held: RangeSet::new(max_ranges),
            added: Vec::new(),
        }
    }

    /// Notes that `start..end` has arrived and returns the parts of it that had not arrived
    /// before, in ascending order: those are to be stored, the rest is duplicate.
    ///
    /// The caller cuts off what lies before its in-order end and past its window.
    ///
    /// # Errors
    ///
    /// [`TooManyHoles`] when the bytes touch nothing held and the bound is reached.
    pub fn insert(&mut self, start: u64, end: u64) -> Result<&[Range<u64>], TooManyHoles> {
        self.added.clear();
        self.added.extend(self.held.gaps(start..end));
        if let Err(full) = self.held.insert(start..end) {
            self.added.clear();
            return Err(full.into());
        }
        Ok(&self.added)
    }

    /// The end of what is contiguous with `from`, the in-order end so far. Everything below the
    /// returned offset is in order now and is forgotten here.
    pub fn take_front(&mut self, from: u64) -> u64 {
        let end = self.held.first_missing(from);
        self.held.remove_below(end);
        end
    }

    /// The runs that wait for a hole before them to be filled, in ascending order.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + ExactSizeIterator + '_ {
        self.held.iter()
    }

    /// How many bytes have been noted and not yet taken.
    pub fn held_bytes(&self) -> u64 {
        self.held.total()
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
