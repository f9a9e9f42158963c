//! A ring of all producers: each reserves as many places as its batch takes by one exchange of the tail,
//! fills them, and stamps each. It is here to be compared with.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use super::stage::Item;

/// Items that a producer gathers at most.
const BATCH: usize = 32;

/// After how many items the consumer passes their places back.
const RELEASE_AFTER: usize = 32;

#[repr(align(128))]
struct Apart(AtomicUsize);

#[repr(align(64))]
struct Slot {
    item: UnsafeCell<MaybeUninit<Item>>,
    /// One past the index of the item that is in it.
    stamp: AtomicUsize,
}

struct Ring {
    slots: Box<[Slot]>,
    head: Apart,
    tail: Apart,
}

// SAFETY: an item is written by the producer that reserved its place and read by the one consumer after it
// saw the stamp; the place is reserved again only after the consumer's head has passed it.
unsafe impl Sync for Ring {}
// SAFETY: as above.
unsafe impl Send for Ring {}

impl Ring {
    fn slot(&self, index: usize) -> &Slot {
        &self.slots[index & (self.slots.len() - 1)]
    }
}

pub(super) fn ring(producers: usize, capacity: usize) -> (Consumer, Vec<Producer>) {
    let slot = |_| Slot {
        item: UnsafeCell::new(MaybeUninit::uninit()),
        stamp: AtomicUsize::new(0),
    };
    let ring = Arc::new(Ring {
        slots: (0..capacity.next_power_of_two()).map(slot).collect(),
        head: Apart(AtomicUsize::new(0)),
        tail: Apart(AtomicUsize::new(0)),
    });
    let producer = |_| Producer {
        ring: Arc::clone(&ring),
        batch: Vec::with_capacity(BATCH),
        head: 0,
    };
    let producers = (0..producers).map(producer).collect();
    let consumer = Consumer {
        ring,
        head: 0,
        shown: 0,
    };
    (consumer, producers)
}

pub(super) struct Producer {
    ring: Arc<Ring>,
    batch: Vec<Item>,
    /// The consumer's head when last looked at.
    head: usize,
}

impl Producer {
    pub(super) fn push(&mut self, item: Item) -> Result<(), Item> {
        if self.batch.len() == BATCH {
            self.flush();
        }
        if self.batch.len() == BATCH {
            return Err(item);
        }
        self.batch.push(item);
        Ok(())
    }

    /// Sends the batch, if there is room for all of it.
    pub(super) fn flush(&mut self) {
        let Some(start) = self.reserve(self.batch.len()) else {
            return;
        };
        for (index, item) in (start..).zip(self.batch.drain(..)) {
            let slot = self.ring.slot(index);
            // SAFETY: the place was reserved, and nobody else touches it before it is stamped.
            unsafe { (*slot.item.get()).write(item) };
            slot.stamp.store(index + 1, Ordering::Release);
        }
        fence(Ordering::SeqCst);
    }

    fn reserve(&mut self, count: usize) -> Option<usize> {
        let mut tail = self.ring.tail.0.load(Ordering::Relaxed);
        loop {
            if tail + count > self.head + self.ring.slots.len() {
                self.head = self.ring.head.0.load(Ordering::Acquire);
                if tail + count > self.head + self.ring.slots.len() {
                    return None;
                }
            }
            let reserved = self.ring.tail.0.compare_exchange_weak(
                tail,
                tail + count,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match reserved {
                Ok(start) => return Some(start),
                Err(now) => tail = now,
            }
        }
    }
}

pub(super) struct Consumer {
    ring: Arc<Ring>,
    head: usize,
    shown: usize,
}

impl Consumer {
    pub(super) fn pop(&mut self) -> Option<Item> {
        let slot = self.ring.slot(self.head);
        if slot.stamp.load(Ordering::Acquire) != self.head + 1 {
            self.release();
            return None;
        }
        // SAFETY: the stamp says that the item of this turn is in, and there is one consumer.
        let item = unsafe { (*slot.item.get()).assume_init_read() };
        self.head += 1;
        if self.head - self.shown >= RELEASE_AFTER {
            self.release();
        }
        Some(item)
    }

    fn release(&mut self) {
        if self.shown != self.head {
            self.ring.head.0.store(self.head, Ordering::Release);
            self.shown = self.head;
        }
    }
}
