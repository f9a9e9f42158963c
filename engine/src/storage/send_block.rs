//! A part of a send buffer: memory that a segment may be sent from as it is.

use core::ops::Range;
use std::sync::Arc;

/// Bytes before the payload of a block that is to be lent, for the headers of a segment: Ethernet's 14, the 40
/// of IPv6 and the 60 of TCP with all options are fewer.
const HEADROOM: usize = 128;

/// Such payloads begin with a line of cache, as copies across lines cost twice.
const LINE: usize = 64;

/// Whether blocks are lent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Use {
    Copied,
    Lent,
}

impl Use {
    /// Bytes of memory that a block takes beside its payload.
    const fn overhead(self) -> usize {
        match self {
            Self::Copied => 0,
            Self::Lent => HEADROOM + LINE - 1,
        }
    }

    /// Memory for `payload` bytes.
    pub(super) fn memory_for(self, payload: usize) -> Arc<[u8]> {
        core::iter::repeat_n(0, payload + self.overhead()).collect()
    }

    /// How many bytes of payload such memory takes.
    pub(super) const fn payload_of(self, memory: &[u8]) -> usize {
        memory.len().saturating_sub(self.overhead())
    }
}

/// Successive bytes. They are filled in once, from the beginning to the end; then the memory may be shown to
/// others, and is not written to while they look.
#[derive(Debug)]
pub(super) struct Block {
    memory: Arc<[u8]>,
    /// Where the payload begins in the memory.
    payload: u32,
    length: u32,
    room: u32,
}

impl Block {
    /// An empty block, with room for all that the memory takes.
    pub(super) fn new(memory: Arc<[u8]>, of: Use) -> Self {
        let payload = match of {
            Use::Copied => 0,
            Use::Lent => {
                let first = memory.as_ptr().wrapping_add(HEADROOM);
                HEADROOM + first.align_offset(LINE).min(LINE - 1)
            }
        };
        Self {
            payload: payload as u32,
            length: 0,
            room: of.payload_of(&memory) as u32,
            memory,
        }
    }

    /// How many bytes there are.
    pub(super) const fn len(&self) -> usize {
        self.length as usize
    }

    /// How many bytes there may be.
    pub(super) const fn capacity(&self) -> usize {
        self.room as usize
    }

    /// True when there is no room left.
    pub(super) const fn is_full(&self) -> bool {
        self.length == self.room
    }

    /// The same memory without bytes, unless somebody still looks at it.
    pub(super) fn clear(&mut self) -> bool {
        let alone = Arc::get_mut(&mut self.memory).is_some();
        if alone {
            self.length = 0;
        }
        alone
    }

    /// The memory, when the block is not needed any more.
    pub(super) fn into_memory(self) -> Arc<[u8]> {
        self.memory
    }

    /// Appends up to `length` bytes by having `fill` write them in place, and returns how many there was room
    /// for.
    pub(super) fn append(&mut self, length: usize, fill: &mut impl FnMut(&mut [u8])) -> usize {
        let count = length.min((self.room - self.length) as usize);
        let at = (self.payload + self.length) as usize;
        let memory = Arc::get_mut(&mut self.memory).filter(|_| count > 0);
        let Some(piece) = memory.and_then(|memory| memory.get_mut(at..at + count)) else {
            return 0;
        };
        fill(piece);
        self.length += count as u32;
        count
    }

    /// Those in `range` of its bytes.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        let at = self.payload as usize;
        let end = range.end.min(self.len());
        &self.memory[at + range.start.min(end)..at + end]
    }

    /// Where the next byte goes, as far as one line of cache.
    pub(super) fn next_line(&self) -> &[u8] {
        let at = (self.payload + self.length) as usize;
        let end = self.memory.len().min(at + LINE);
        &self.memory[at.min(end)..end]
    }

    /// Has `write` fill in the `length` bytes before the payload, and shows both together. `None` where
    /// somebody still looks at them, or there is no room for so many.
    pub(super) fn lend<T>(
        &mut self,
        length: usize,
        write: impl FnOnce(&mut [u8]) -> T,
    ) -> Option<(Loan, T)> {
        let payload = self.payload as usize;
        let start = payload.checked_sub(length)?;
        let memory = Arc::get_mut(&mut self.memory)?;
        let written = write(memory.get_mut(start..payload)?);
        let loan = Loan {
            memory: Arc::clone(&self.memory),
            filled: start..payload + self.len(),
        };
        Some((loan, written))
    }
}

/// A frame in memory that others may hold too.
#[derive(Debug)]
pub struct Loan {
    /// What is lent.
    pub memory: Arc<[u8]>,
    /// Where the frame lies in it.
    pub filled: Range<usize>,
}
