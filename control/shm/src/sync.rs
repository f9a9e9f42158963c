//! The atomics, the shared bytes and the sleeps that the protocols are written with.
//!
//! `tests/loom` compiles the protocol modules a second time against loom's versions of what stands
//! here, so that every interleaving is tried.

use std::sync::atomic::compiler_fence;
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

pub(crate) use crate::sys::{current_thread, futex_wait, futex_wake, thread_is_dead};
use std::ptr::{self, NonNull};
use std::time::Duration;

/// How long a thread that waits for a lock sleeps before it asks whether the owner still lives.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_millis(20);
/// How often a thread looks at a lock before it sleeps.
pub(crate) const LOCK_SPINS: u32 = 200;

/// How often two indices are read until the first has not moved meanwhile.
pub(crate) const STEADY_ATTEMPTS: u32 = 64;

/// Keeps the compiler from moving memory accesses across: a signal handler on this thread sees those
/// before, and none of those behind.
pub(crate) fn handler_fence() {
    compiler_fence(Ordering::SeqCst);
}

/// Tells the processor that this is a busy wait.
pub(crate) fn pause() {
    std::hint::spin_loop();
}

/// A range of bytes in shared memory, which another process may write at any moment.
///
/// There is never a reference to them: they are copied by raw pointer, in or out. What a copy that
/// races with a writer yields is some bytes, which is all that a stream of bytes is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedBytes {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the bytes may be touched from any thread and process; every access is a raw copy.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    /// # Safety
    ///
    /// `start..start + length` is mapped readable and writable for as long as this value is used.
    pub(crate) unsafe fn new(start: NonNull<u8>, length: usize) -> Self {
        Self { start, length }
    }

    /// Bytes in the range.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Copies as much of `from` to `offset` as the range holds behind it.
    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        let count = from.len().min(self.length.saturating_sub(offset));
        if count == 0 {
            return;
        }
        // SAFETY: `offset + count <= length`, which is mapped (`new`); `from` is private memory, so
        // the two do not overlap.
        unsafe {
            ptr::copy_nonoverlapping(from.as_ptr(), self.start.as_ptr().add(offset), count);
        }
    }

    /// Fills `into` from `offset`, as far as the range goes.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) {
        let count = into.len().min(self.length.saturating_sub(offset));
        if count == 0 {
            return;
        }
        // SAFETY: as in `write`, with the roles changed.
        unsafe {
            ptr::copy_nonoverlapping(self.start.as_ptr().add(offset), into.as_mut_ptr(), count);
        }
    }
}
