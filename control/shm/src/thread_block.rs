//! What a thread asks of the control thread: a ring of commands, a ring of completions, a word to
//! sleep on, and room for what does not fit into an entry.
//!
//! A block is claimed for one call and let go after it, so 64 blocks bear 64 threads that are inside
//! such a call at once, and a signal handler that interrupts a call just claims another block. The
//! block of a dead thread is claimed by the next one, once the engine has answered all that it asked
//! for: until then the engine may still write into its argument area.

use crate::ring::entry::EntryRing;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Bytes for option values and snapshots that go with a command or come with a completion.
pub const ARGUMENT_BYTES: usize = 32 << 10;

/// Who has the block.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct BlockOwner {
    /// The thread's id; 0: nobody.
    pub(crate) thread: AtomicU32,
    /// Commands pushed so far; under `thread`.
    pub(crate) commands: AtomicU64,
    /// Completions taken so far; under `thread`.
    pub(crate) completions: AtomicU64,
}

/// One block.
#[repr(C, align(4096))]
#[derive(Debug)]
pub(crate) struct ThreadBlockWords {
    pub(crate) owner: BlockOwner,
    /// The thread's doorbell: one more with every completion; the thread sleeps on it.
    pub(crate) doorbell: crate::layout::Line<AtomicU32>,
    pub(crate) commands: EntryRing,
    pub(crate) completions: EntryRing,
    pub(crate) argument: [AtomicU64; ARGUMENT_BYTES / 8],
}

impl BlockOwner {
    /// Whether the engine has answered every command.
    pub(crate) fn is_quiet(&self, block: &ThreadBlockWords) -> bool {
        let answered = block.completions.tail.0.load(Ordering::Acquire);
        self.commands.load(Ordering::Relaxed) == answered
    }
}
