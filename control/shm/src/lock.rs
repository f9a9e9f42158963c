//! The lock of one side of a ring on the application's side: for threads, for processes that share
//! a socket, and for signal handlers that interrupt their own thread inside.
//!
//! # Threads
//!
//! `owner` holds the id of the thread inside, 0 for none, and a bit for "somebody waits". Who waits
//! spins a little, then sleeps on the word, and now and then asks the kernel whether the owner still
//! lives. A dead owner's lock is stolen: `depth` and `reserved` go back to what was published.
//!
//! # Signal handlers
//!
//! A handler that runs on the owner's thread may use the same socket. It cannot wait for the code it
//! interrupted. So work is done in three steps, each safe to be interrupted between any two
//! instructions:
//!
//! 1. `depth += 1`: from here on nobody publishes before this work is whole;
//! 2. claim: `reserved` moves on by compare-and-swap, so two pieces of work never overlap;
//! 3. bytes are copied; then `depth -= 1`, and who brings it to 0 publishes all of `reserved`.
//!
//! A handler's bytes stand behind those that it interrupted, and are published with them: in the same
//! instant that the interrupted call, once resumed, ends. As `depth` and `reserved` are only touched
//! under the lock, and an interrupted thread stands still while its handler runs, what is at stake
//! here is program order; publication by `fetch_max` makes a late publisher harmless.

use crate::sync::{
    AtomicU32, AtomicU64, LOCK_PATIENCE, LOCK_SPINS, Ordering, current_thread, futex_wait,
    futex_wake, handler_fence, pause, thread_is_dead,
};
use crate::violation::Violation;

/// Somebody sleeps on the lock. Thread ids end at 2^22.
const WAITED_FOR: u32 = 1 << 31;
/// A claim is tried again when a handler came between; words that never hold still are not honest.
const CLAIM_ATTEMPTS: usize = 64;

/// A thread of the kernel, as the owner of a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadId(u32);

impl ThreadId {
    /// The thread with this id (that of gettid(2)).
    pub const fn new(id: u32) -> Self {
        Self(id & !WAITED_FOR)
    }

    /// The calling thread, by a system call.
    pub fn current() -> Self {
        Self::new(current_thread())
    }

    /// The id.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The words of the lock.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct ReservationLock {
    owner: AtomicU32,
    depth: AtomicU32,
    reserved: AtomicU64,
}

/// How the lock was had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// It was free.
    Free,
    /// The caller interrupted its own thread inside.
    Nested,
    /// The owner had died inside: what it had claimed is void.
    Stolen,
}

impl ReservationLock {
    /// Takes the lock of the index `published`.
    pub(crate) fn enter<'a>(&'a self, thread: ThreadId, published: &'a AtomicU64) -> Guard<'a> {
        let entry = self.acquire(thread, published);
        Guard {
            lock: self,
            published,
            entry,
        }
    }

    fn acquire(&self, thread: ThreadId, published: &AtomicU64) -> Entry {
        let mut looks = 0u32;
        loop {
            // Acquire, against the release of `Guard::drop`: what the owner before did is seen.
            let found =
                match self
                    .owner
                    .compare_exchange(0, thread.0, Ordering::Acquire, Ordering::Relaxed)
                {
                    Ok(_) => return Entry::Free,
                    Err(found) => found,
                };
            let owner = found & !WAITED_FOR;
            if owner == thread.0 {
                return Entry::Nested;
            }
            looks = looks.saturating_add(1);
            if looks < LOCK_SPINS {
                pause();
                continue;
            }
            // The bit stays with whoever owns the lock until it is let go, which wakes all.
            let waited_for = found | WAITED_FOR;
            if found != waited_for
                && self
                    .owner
                    .compare_exchange(found, waited_for, Ordering::Relaxed, Ordering::Relaxed)
                    .is_err()
            {
                continue;
            }
            futex_wait(&self.owner, waited_for, LOCK_PATIENCE);
            if thread_is_dead(owner)
                && self
                    .owner
                    .compare_exchange(
                        waited_for,
                        thread.0 | WAITED_FOR,
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    )
                    .is_ok()
            {
                let claimed = self.reserved.load(Ordering::Relaxed);
                self.depth.store(0, Ordering::Relaxed);
                // Compare-and-swap: a handler that comes in here has done the same.
                let _ = self.reserved.compare_exchange(
                    claimed,
                    published.load(Ordering::Acquire),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                return Entry::Stolen;
            }
        }
    }

    /// Sets the words back, for a new socket.
    pub(crate) fn reset(&self) {
        self.owner.store(0, Ordering::Relaxed);
        self.depth.store(0, Ordering::Relaxed);
        self.reserved.store(0, Ordering::Relaxed);
    }
}

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    lock: &'a ReservationLock,
    published: &'a AtomicU64,
    entry: Entry,
}

impl Guard<'_> {
    /// How the lock was had.
    pub(crate) fn entry(&self) -> Entry {
        self.entry
    }

    /// Where the next claim starts. A handler may move it at any time.
    pub(crate) fn reserved_word(&self) -> &AtomicU64 {
        &self.lock.reserved
    }

    /// Claims what `wanted` makes of the index that the claim would start at, lets `copy` work on
    /// it, and publishes it unless it interrupts somebody; bytes claimed.
    pub(crate) fn claim(
        &self,
        wanted: impl Fn(u64) -> Result<usize, Violation>,
        copy: impl FnOnce(u64, usize),
    ) -> Result<usize, Violation> {
        // Loads and stores, no additions: a handler leaves `depth` as it finds it.
        let depth = self.lock.depth.load(Ordering::Relaxed);
        self.lock
            .depth
            .store(depth.wrapping_add(1), Ordering::Relaxed);
        handler_fence();
        let claimed = self.reserve(wanted);
        if let Ok((start, count)) = claimed {
            copy(start, count);
        }
        handler_fence();
        self.lock.depth.store(depth, Ordering::Relaxed);
        handler_fence();
        if depth == 0 {
            // Release: the other side sees the index after the copies. Max: a handler between the
            // two lines has published further already.
            let all = self.lock.reserved.load(Ordering::Relaxed);
            if all != self.published.load(Ordering::Relaxed) {
                self.published.fetch_max(all, Ordering::Release);
            }
        }
        claimed.map(|(_, count)| count)
    }

    fn reserve(
        &self,
        wanted: impl Fn(u64) -> Result<usize, Violation>,
    ) -> Result<(u64, usize), Violation> {
        let mut start = self.lock.reserved.load(Ordering::Relaxed);
        for _ in 0..CLAIM_ATTEMPTS {
            let count = wanted(start)?;
            match self.lock.reserved.compare_exchange(
                start,
                start.wrapping_add(count as u64),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok((start, count)),
                Err(found) => start = found,
            }
        }
        Err(Violation::new(
            "a reservation that never holds still",
            start,
            0,
        ))
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.entry == Entry::Nested {
            return;
        }
        // Release, against the acquire of the next owner.
        if self.lock.owner.swap(0, Ordering::Release) & WAITED_FOR != 0 {
            futex_wake(&self.lock.owner, u32::MAX >> 1);
        }
    }
}
