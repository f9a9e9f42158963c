//! The rings of one consumer together, and its sleep.
//!
//! **No sleep is entered past an item.** The consumer says that it sleeps, fences, looks into each
//! ring once more, and only then sleeps. A producer shows its items, fences, and looks whether the
//! consumer sleeps. Of two sequentially consistent fences one is first: either the consumer sees the
//! items, or the producer sees the sleep and rings. Of several producers the one that takes the
//! consumer's word back rings; the others need not.

use super::ring::{Consumer, Producer, ring};
use super::sync::{Arc, AtomicU32, Ordering, fence};

/// How many items of one producer are taken in a row while others may wait.
const TURN: usize = 32;

/// What wakes the thread of a consumer that sleeps.
pub trait Bell {
    /// Ends its sleep, or keeps it from the next.
    fn ring(&self);
}

/// Whether a consumer sleeps, and its bell. Alone on its lines of cache: producers look at it with
/// every batch, and it changes only around a sleep.
#[derive(Debug)]
#[repr(align(128))]
struct Sleep<B> {
    sleeping: AtomicU32,
    bell: B,
}

impl<B: Bell> Sleep<B> {
    /// After items were shown.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) != 0
            && self.sleeping.swap(0, Ordering::AcqRel) != 0
        {
            self.bell.ring();
        }
    }
}

/// Where one producer puts items for one consumer.
#[derive(Debug)]
pub struct Outbox<T, B: Bell> {
    ring: Producer<T>,
    consumer: Arc<Sleep<B>>,
}

impl<T: Send, B: Bell> Outbox<T, B> {
    /// Puts `item` in, behind those before it. The consumer gets it after the next
    /// [`Self::flush`].
    ///
    /// # Errors
    ///
    /// Gives `item` back when the ring is full. All that is in it has been flushed then, so that
    /// there is room again once the consumer has taken some.
    pub fn send(&mut self, item: T) -> Result<(), T> {
        let refused = self.ring.push(item);
        if refused.is_err() {
            self.flush();
        }
        refused
    }

    /// Lets the consumer have all that was sent, and wakes it if it sleeps.
    pub fn flush(&mut self) {
        if self.ring.publish() {
            self.consumer.wake();
        }
    }
}

/// Where one consumer takes the items of all its producers from.
#[derive(Debug)]
pub struct Inbox<T, B: Bell> {
    rings: Vec<Consumer<T>>,
    /// Whose turn it is, and how many items it has had of it.
    next: usize,
    taken: usize,
    sleep: Arc<Sleep<B>>,
}

impl<T: Send, B: Bell> Inbox<T, B> {
    /// The next item. Those of one producer come in its order; between producers turns are taken.
    pub fn receive(&mut self) -> Option<T> {
        // The first ring again at the end: its turn may have been over rather than it empty.
        for _ in 0..=self.rings.len() {
            if self.taken < TURN
                && let Some(item) = self.rings.get_mut(self.next)?.pop()
            {
                self.taken += 1;
                return Some(item);
            }
            self.taken = 0;
            self.next = (self.next + 1) % self.rings.len();
        }
        None
    }

    /// Announces that the consumer is about to sleep: from now on the first producer to flush
    /// rings. `false`: there are items, and it must not sleep.
    #[must_use = "sleep only if this says so"]
    pub fn prepare_to_sleep(&self) -> bool {
        self.sleep.sleeping.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.rings.iter().all(Consumer::is_empty) {
            return true;
        }
        self.awake();
        false
    }

    /// Says that the consumer looks by itself again, and nobody needs to ring.
    pub fn awake(&self) {
        self.sleep.sleeping.store(0, Ordering::Relaxed);
    }
}

/// A mailbox of one consumer, whom `bell` wakes, and of `producers` producers, each of whom may have
/// `capacity` items under way (rounded up to a power of two). Nothing is allocated from then on.
pub fn mailbox<T: Send, B: Bell>(
    bell: B,
    producers: usize,
    capacity: usize,
) -> (Inbox<T, B>, Vec<Outbox<T, B>>) {
    let sleep = Arc::new(Sleep {
        sleeping: AtomicU32::new(0),
        bell,
    });
    let (rings, outboxes) = (0..producers)
        .map(|_| {
            let (producer, consumer) = ring(capacity);
            let outbox = Outbox {
                ring: producer,
                consumer: Arc::clone(&sleep),
            };
            (consumer, outbox)
        })
        .unzip();
    let inbox = Inbox {
        rings,
        next: 0,
        taken: 0,
        sleep,
    };
    (inbox, outboxes)
}
