//! The atomics and the cells that the ring is written with.
//!
//! `tests/interleavings` compiles the ring a second time against loom's versions of what stands
//! here, so that every interleaving is tried.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

/// A place that threads take turns at writing.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Hands `access` a pointer to the place. What may be done with it is for the caller to argue.
    pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.0.get())
    }
}
