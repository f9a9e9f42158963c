//! What `src/sync.rs` offers, made of loom's parts.

use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// An atomic of loom's, every access of which loom tries to put before and after every other.
///
/// Loom remembers the last access to an object alone. Where a thread loads a word and then changes
/// it, its load hides an earlier load of another thread, and loom does not try the change before that
/// one. So each access touches `touched` first, by an operation that depends on all others of its kind and
/// orders nothing.
macro_rules! atomics {
    ($($name:ident of $integer:ty)*) => {$(
        #[derive(Debug, Default)]
        pub(crate) struct $name {
            touched: loom::sync::atomic::AtomicU32,
            value: loom::sync::atomic::$name,
        }

        impl $name {
            pub(crate) fn new(value: $integer) -> Self {
                Self { touched: Default::default(), value: loom::sync::atomic::$name::new(value) }
            }

            fn touch(&self) -> &loom::sync::atomic::$name {
                self.touched.fetch_add(0, Ordering::Relaxed);
                &self.value
            }

            pub(crate) fn load(&self, order: Ordering) -> $integer {
                self.touch().load(order)
            }

            pub(crate) fn store(&self, value: $integer, order: Ordering) {
                self.touch().store(value, order);
            }

            pub(crate) fn swap(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().swap(value, order)
            }

            pub(crate) fn fetch_add(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().fetch_add(value, order)
            }

            pub(crate) fn fetch_sub(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().fetch_sub(value, order)
            }

            pub(crate) fn fetch_or(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().fetch_or(value, order)
            }

            pub(crate) fn fetch_max(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().fetch_max(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $integer,
                new: $integer,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$integer, $integer> {
                self.touch().compare_exchange(current, new, success, failure)
            }

            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                change: impl FnMut($integer) -> Option<$integer>,
            ) -> Result<$integer, $integer> {
                self.touch().fetch_update(success, failure, change)
            }
        }
    )*};
}

atomics!(AtomicU32 of u32 AtomicU64 of u64);

pub(crate) const LOCK_PATIENCE: Duration = Duration::ZERO;
/// No spinning: what matters are the orders of the accesses, not their number.
pub(crate) const LOCK_SPINS: u32 = 1;
pub(crate) const STEADY_ATTEMPTS: u32 = 3;
/// The thread that died inside a lock.
pub(crate) const DEAD_THREAD: u32 = 99;

/// A model's handlers are calls in its threads.
pub(crate) fn handler_fence() {}

pub(crate) fn pause() {
    loom::thread::yield_now();
}

pub(crate) fn futex_wait(_word: &AtomicU32, _expected: u32, _patience: Duration) {
    loom::thread::yield_now();
}

pub(crate) fn futex_wake(_word: &AtomicU32, _count: u32) {}

pub(crate) fn thread_is_dead(id: u32) -> bool {
    id == DEAD_THREAD
}

pub(crate) fn current_thread() -> u32 {
    unreachable!("the models name their threads")
}

/// Bytes whose every access loom checks for races.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedBytes {
    cells: &'static [UnsafeCell<u8>],
}

impl SharedBytes {
    /// Of the length of `content`. Leaked: a model's worth of cells an execution.
    pub(crate) fn holding(content: &[u8]) -> Self {
        let cells: Vec<_> = content.iter().map(|byte| UnsafeCell::new(*byte)).collect();
        Self {
            cells: Box::leak(cells.into_boxed_slice()),
        }
    }

    pub(crate) fn length(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        for (cell, byte) in self.cells[offset..].iter().zip(from) {
            // SAFETY: loom ends the model if anybody else accesses the cell meanwhile.
            cell.with_mut(|cell| unsafe { *cell = *byte });
        }
    }

    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) {
        for (byte, cell) in into.iter_mut().zip(&self.cells[offset..]) {
            // SAFETY: loom ends the model if anybody writes the cell meanwhile.
            *byte = cell.with(|cell| unsafe { *cell });
        }
    }
}
