//! A ring of entries of 64 bytes between one producer and one consumer: commands one way,
//! completions the other.
//!
//! An entry is eight atomic words, copied one by one: whatever the other side does meanwhile, a copy
//! is some 64 bytes, which are then parsed. As with bytes, each side believes its private index and
//! checks the other's.

use crate::sync::{AtomicU64, Ordering};
use crate::violation::Violation;

/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: usize = 64;
/// Entries of a ring.
pub(crate) const RING_ENTRIES: usize = 8;

/// One entry.
pub(crate) type Entry = [u8; ENTRY_BYTES];

/// An index on its own cache line.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Index(pub(crate) AtomicU64);

/// The words of a ring of entries.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct EntryRing {
    /// Written by the producer.
    pub(crate) tail: Index,
    /// Written by the consumer.
    pub(crate) head: Index,
    pub(crate) entries: [[AtomicU64; ENTRY_BYTES / 8]; RING_ENTRIES],
}

impl EntryRing {
    fn entry(&self, at: u64) -> &[AtomicU64; ENTRY_BYTES / 8] {
        &self.entries[(at % RING_ENTRIES as u64) as usize]
    }

    fn distance(what: &'static str, ahead: u64, behind: u64) -> Result<u64, Violation> {
        let distance = ahead.wrapping_sub(behind);
        if distance > RING_ENTRIES as u64 {
            return Err(Violation::new(what, ahead, behind));
        }
        Ok(distance)
    }

    /// Puts an entry in at the producer's private index `tail`. `false`: the ring is full.
    pub(crate) fn push(&self, tail: &mut u64, entry: &Entry) -> Result<bool, Violation> {
        // Acquire: the consumer has copied the entry that is overwritten.
        let head = self.head.0.load(Ordering::Acquire);
        if Self::distance("head of a ring of entries", *tail, head)? == RING_ENTRIES as u64 {
            return Ok(false);
        }
        for (word, bytes) in self.entry(*tail).iter().zip(entry.as_chunks::<8>().0) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        *tail = tail.wrapping_add(1);
        // Release: the entry is whole before the index says so.
        self.tail.0.store(*tail, Ordering::Release);
        Ok(true)
    }

    /// Takes the entry at the consumer's private index `head`, if there is one.
    pub(crate) fn pop(&self, head: &mut u64) -> Result<Option<Entry>, Violation> {
        // Acquire: the entry was written before the index.
        let tail = self.tail.0.load(Ordering::Acquire);
        if Self::distance("tail of a ring of entries", tail, *head)? == 0 {
            return Ok(None);
        }
        let mut entry = [0; ENTRY_BYTES];
        for (bytes, word) in entry
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(self.entry(*head))
        {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        *head = head.wrapping_add(1);
        // Release: the entry was copied before its place is given away.
        self.head.0.store(*head, Ordering::Release);
        Ok(Some(entry))
    }
}
