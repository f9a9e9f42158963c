//! What `src/reassembly_ring/sync.rs` offers, made of loom's parts.

#[path = "../../../engine/tests/interleavings/atomics.rs"]
mod atomics;

pub(crate) use atomics::{AtomicU32, AtomicUsize};
pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::Arc;
pub(crate) use loom::sync::atomic::{Ordering, fence};
