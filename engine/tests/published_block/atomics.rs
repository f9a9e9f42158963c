//! What `src/stack/published_block/atomics.rs` offers, of loom's.

pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
