//! A bounded ring from one thread to one other.
//!
//! The producer owns `tail`, the consumer `head`; both count items since the start and wrap. A slot
//! belongs to the consumer from `head` up to `tail`, and to the producer from `tail` up to one round
//! beyond `head`. Each side works on a copy of its own index and shows it to the other once a batch,
//! and remembers the other's index until it runs out of slots by it: a batch moves two lines of
//! cache beside those of its items.
//!
//! A slot begins with a line of cache, and both sides ask for the lines of a few slots before they come to
//! them, as otherwise each waits for one line after the other.
//!
//! An index is stored with release after the slots it passes on were written or emptied, and loaded
//! with acquire before they are touched. That is all the order there is, and all it needs.

use std::fmt;
use std::mem::MaybeUninit;

use super::prefetch::{prefetch_to_read, prefetch_to_write};
use super::sync::{Arc, AtomicUsize, Ordering, UnsafeCell};

/// Where both indices start: they wrap at once rather than in a few centuries, so that whatever runs
/// at all has run across it.
const START: usize = usize::MAX - 1;

/// After how many items the consumer passes their slots back at the latest.
const RELEASE_AFTER: usize = 32;

/// How many slots before it comes to one a side asks for its lines.
const AHEAD: usize = 8;

/// The place of an item, on lines of its own.
#[repr(align(64))]
struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

/// A value that shares no line of cache with another, nor the line that is fetched beside it.
#[repr(align(128))]
struct Apart<T>(T);

struct Ring<T> {
    /// A power of two of them.
    slots: Box<[Slot<T>]>,
    /// Items taken, as far as the consumer has shown.
    head: Apart<AtomicUsize>,
    /// Items put in, as far as the producer has shown.
    tail: Apart<AtomicUsize>,
}

// SAFETY: a slot is reached through `Producer` and `Consumer` alone, of which there is one each, and
// only while it belongs to that side; it changes sides by release and acquire. So no two threads
// touch it at once. Items go from one thread to another, for which they are `Send`.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above; nobody gets a shared reference to an item.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    fn slot(&self, index: usize) -> &Slot<T> {
        &self.slots[index & (self.slots.len() - 1)]
    }

    /// # Safety
    ///
    /// The slot at `index` belongs to the caller's side, holds an item, and is taken to be empty
    /// from now on.
    unsafe fn take(&self, index: usize) -> T {
        self.slot(index)
            .0
            // SAFETY: by the above nobody else touches the slot, and it is initialised.
            .with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let mut head = self.head.0.load(Ordering::Relaxed);
        let tail = self.tail.0.load(Ordering::Relaxed);
        while head != tail {
            // SAFETY: both sides are gone, and showed their indices as they went, so the slots
            // between the two are those that hold an item; each is visited once.
            drop(unsafe { self.take(head) });
            head = head.wrapping_add(1);
        }
    }
}

/// A ring that holds `capacity` items, rounded up to a power of two, and at least one.
pub(crate) fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let capacity = capacity.max(1).next_power_of_two();
    let ring = Arc::new(Ring {
        slots: (0..capacity)
            .map(|_| Slot(UnsafeCell::new(MaybeUninit::uninit())))
            .collect(),
        head: Apart(AtomicUsize::new(START)),
        tail: Apart(AtomicUsize::new(START)),
    });
    let producer = Producer {
        ring: Arc::clone(&ring),
        tail: START,
        shown: START,
        head: START,
    };
    let consumer = Consumer {
        ring,
        head: START,
        shown: START,
        tail: START,
        release_after: RELEASE_AFTER.min(capacity / 2).max(1),
    };
    (producer, consumer)
}

/// The end of a ring that items are put into.
pub(crate) struct Producer<T> {
    ring: Arc<Ring<T>>,
    /// Where the next item goes.
    tail: usize,
    /// The tail that the consumer may see.
    shown: usize,
    /// The consumer's head when last looked at; it may have moved on.
    head: usize,
}

impl<T> Producer<T> {
    /// Puts `item` in. The consumer sees it after the next [`Self::publish`].
    ///
    /// # Errors
    ///
    /// Gives `item` back when the ring is full.
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        if !self.has_room() {
            return Err(item);
        }
        // A line that the consumer may still want is left to it.
        let ahead = self.tail.wrapping_add(AHEAD);
        if ahead.wrapping_sub(self.head) < self.ring.slots.len() {
            prefetch_to_write(self.ring.slot(ahead));
        }
        self.ring.slot(self.tail).0.with_mut(|slot| {
            // SAFETY: `tail` is less than a round beyond a head that was loaded with acquire, so
            // the consumer has emptied the slot and does not touch it until the tail is shown
            // beyond it. There is one producer, and it is borrowed mutably.
            unsafe { (*slot).write(item) };
        });
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    /// Whether [`Self::push`] would take an item now.
    pub(crate) fn has_room(&mut self) -> bool {
        let capacity = self.ring.slots.len();
        if self.tail.wrapping_sub(self.head) < capacity {
            return true;
        }
        self.head = self.ring.head.0.load(Ordering::Acquire);
        self.tail.wrapping_sub(self.head) < capacity
    }

    /// How many items [`Self::push`] would take now.
    pub(crate) fn free(&self) -> usize {
        let head = self.ring.head.0.load(Ordering::Acquire);
        self.ring.slots.len() - self.tail.wrapping_sub(head)
    }

    /// Lets the consumer see all that was put in; whether it had not seen some of it.
    pub(crate) fn publish(&mut self) -> bool {
        let news = self.shown != self.tail;
        if news {
            self.ring.tail.0.store(self.tail, Ordering::Release);
            self.shown = self.tail;
        }
        news
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.publish();
    }
}

/// The end of a ring that items are taken from.
pub(crate) struct Consumer<T> {
    ring: Arc<Ring<T>>,
    /// Where the next item is.
    head: usize,
    /// The head that the producer may see.
    shown: usize,
    /// The producer's tail when last looked at; it may have moved on.
    tail: usize,
    release_after: usize,
}

impl<T> Consumer<T> {
    /// Takes the item that was put in first.
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.head == self.tail {
            self.release();
            self.tail = self.ring.tail.0.load(Ordering::Acquire);
            let waiting = self.tail.wrapping_sub(self.head);
            if waiting == 0 {
                return None;
            }
            for ahead in 1..waiting.min(AHEAD) {
                prefetch_to_read(self.ring.slot(self.head.wrapping_add(ahead)));
            }
        }
        if self.tail.wrapping_sub(self.head) > AHEAD {
            prefetch_to_read(self.ring.slot(self.head.wrapping_add(AHEAD)));
        }
        // SAFETY: `head` has not reached a tail that was loaded with acquire, so the producer has
        // filled the slot and does not touch it until the head is shown beyond it. There is one
        // consumer, it is borrowed mutably, and its head moves on before anything else happens.
        let item = unsafe { self.ring.take(self.head) };
        self.head = self.head.wrapping_add(1);
        if self.head.wrapping_sub(self.shown) >= self.release_after {
            self.release();
        }
        Some(item)
    }

    /// Passes the slots of the items taken back to the producer.
    pub(crate) fn release(&mut self) {
        if self.shown != self.head {
            self.ring.head.0.store(self.head, Ordering::Release);
            self.shown = self.head;
        }
    }

    /// Whether there is nothing to take at this moment.
    pub(crate) fn is_empty(&self) -> bool {
        self.ring.tail.0.load(Ordering::Acquire) == self.head
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("tail", &self.tail)
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("head", &self.head)
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}
