//! What `src/sync.rs` offers, made of loom's parts.

#[path = "../../../../engine/tests/interleavings/atomics.rs"]
mod atomics;

pub(crate) use atomics::{AtomicU32, AtomicU64};
use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::{Ordering, fence};
use std::time::Duration;

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
