//! A ring of bytes between one producer and one consumer.
//!
//! The engine's sides ([`Consumer`] of what applications send, [`Producer`] of what they receive)
//! keep their own index in private memory and believe nothing: the application's index is read once,
//! checked to have moved forwards and to stay within the ring, and the checked copy is used. The
//! application's sides work through a [`crate::lock::ReservationLock`], because threads and signal
//! handlers share them.

use crate::sync::{AtomicU64, Ordering, SharedBytes};
use crate::violation::Violation;

/// The part of a ring that starts at index `at`, cut where the ring wraps: offset and lengths of
/// the two pieces.
fn pieces(capacity: usize, at: u64, length: usize) -> (usize, usize, usize) {
    let length = length.min(capacity);
    let offset = (at & (capacity as u64).wrapping_sub(1)) as usize;
    let first = length.min(capacity.saturating_sub(offset));
    (offset, first, length - first)
}

/// Copies into the ring from index `at` on. `from` is no longer than the ring.
pub(crate) fn copy_in(bytes: &SharedBytes, at: u64, from: &[u8]) {
    let (offset, first, second) = pieces(bytes.length(), at, from.len());
    let (head, tail) = from.split_at(first);
    bytes.write(offset, head);
    bytes.write(0, tail.get(..second).unwrap_or_default());
}

/// Copies out of the ring from index `at` on. `into` is no longer than the ring.
pub(crate) fn copy_out(bytes: &SharedBytes, at: u64, into: &mut [u8]) {
    let (offset, first, second) = pieces(bytes.length(), at, into.len());
    let (head, tail) = into.split_at_mut(first);
    bytes.read(offset, head);
    bytes.read(0, tail.get_mut(..second).unwrap_or_default());
}

/// How far `ahead` is before `behind`, if that is within `capacity`.
pub(crate) fn distance(
    what: &'static str,
    ahead: u64,
    behind: u64,
    capacity: usize,
) -> Result<usize, Violation> {
    let distance = ahead.wrapping_sub(behind);
    if distance > capacity as u64 {
        return Err(Violation::new(what, ahead, behind));
    }
    Ok(distance as usize)
}

/// The engine's side of a transmit ring.
#[derive(Debug)]
pub(crate) struct Consumer {
    bytes: SharedBytes,
    /// Next byte to take. Private; the shared head is written from it and never read.
    head: u64,
    /// The last tail that passed the check.
    tail: u64,
}

impl Consumer {
    pub(crate) fn new(bytes: SharedBytes) -> Self {
        Self {
            bytes,
            head: 0,
            tail: 0,
        }
    }

    /// Reads the application's index, once; bytes that wait.
    pub(crate) fn refresh(&mut self, tail: &AtomicU64) -> Result<usize, Violation> {
        // Acquire: the bytes before the index were written before it was.
        let found = tail.load(Ordering::Acquire);
        let available = distance(
            "transmit tail out of the ring",
            found,
            self.head,
            self.bytes.length(),
        )?;
        distance(
            "transmit tail moved backwards",
            found,
            self.tail,
            self.bytes.length(),
        )?;
        self.tail = found;
        Ok(available)
    }

    /// Bytes that wait, as of the last look.
    pub(crate) fn available(&self) -> usize {
        self.tail.wrapping_sub(self.head) as usize
    }

    /// Room that the application has, as of the last look.
    pub(crate) fn room(&self) -> usize {
        self.bytes.length().saturating_sub(self.available())
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.length()
    }

    /// The index of the next byte to take.
    pub(crate) fn index(&self) -> u64 {
        self.head
    }

    /// Copies bytes that wait `skip` behind the next, without taking them; how many.
    pub(crate) fn peek(&self, skip: usize, into: &mut [u8]) -> usize {
        let count = into.len().min(self.available().saturating_sub(skip));
        let into = into.get_mut(..count).unwrap_or_default();
        copy_out(&self.bytes, self.head.wrapping_add(skip as u64), into);
        count
    }

    /// Takes bytes that were copied; at most those that wait.
    pub(crate) fn advance(&mut self, count: usize) {
        self.head = self.head.wrapping_add(count.min(self.available()) as u64);
    }

    /// Tells the application what was taken.
    pub(crate) fn publish(&self, head: &AtomicU64) {
        // Release: the bytes were copied out before their room is given away.
        head.store(self.head, Ordering::Release);
    }
}

/// The engine's side of a receive ring.
#[derive(Debug)]
pub(crate) struct Producer {
    bytes: SharedBytes,
    /// Where the next byte goes. Private; the shared tail is written from it and never read.
    tail: u64,
    /// The last head that passed the check.
    head: u64,
}

impl Producer {
    pub(crate) fn new(bytes: SharedBytes) -> Self {
        Self {
            bytes,
            tail: 0,
            head: 0,
        }
    }

    /// Reads the application's index, once; bytes of room.
    pub(crate) fn refresh(&mut self, head: &AtomicU64) -> Result<usize, Violation> {
        // Acquire: the application has copied out what is overwritten from here on.
        let found = head.load(Ordering::Acquire);
        let unread = distance(
            "receive head out of the ring",
            self.tail,
            found,
            self.bytes.length(),
        )?;
        distance(
            "receive head moved backwards",
            found,
            self.head,
            self.bytes.length(),
        )?;
        self.head = found;
        Ok(self.bytes.length() - unread)
    }

    /// Bytes of room, as of the last look.
    pub(crate) fn room(&self) -> usize {
        self.bytes.length().saturating_sub(self.unread())
    }

    /// Bytes that the application has not read, as of the last look.
    pub(crate) fn unread(&self) -> usize {
        self.tail.wrapping_sub(self.head) as usize
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.length()
    }

    /// Copies as much of `from` as there is room for; how much.
    pub(crate) fn write(&mut self, from: &[u8]) -> usize {
        let count = from.len().min(self.room());
        copy_in(
            &self.bytes,
            self.tail,
            from.get(..count).unwrap_or_default(),
        );
        self.tail = self.tail.wrapping_add(count as u64);
        count
    }

    /// Shows the application what was written.
    pub(crate) fn publish(&self, tail: &AtomicU64) {
        // Release: the bytes are there before the index says so.
        tail.store(self.tail, Ordering::Release);
    }
}
