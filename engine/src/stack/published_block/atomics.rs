//! The atomics that the block is written with. `tests/interleavings` compiles the block a second time
//! against loom's, so that every interleaving is tried.

pub(super) use core::sync::atomic::{AtomicU64, Ordering};
