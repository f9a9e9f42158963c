//! Who is inside the kernel with a set, and whether the kernel does not know all of it: two words a set,
//! for waits that take no lock.
//!
//! A sleeper counts itself, fences, and looks whether something was changed; who changes something
//! says so, fences, and looks for sleepers. One of the two sees the other: either the sleeper tells the
//! kernel first, or the kernel is told at once.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

/// Sets with numbers below have words; of others the kernel is always told at once.
const SETS: usize = 1024;

struct Words {
    sleepers: AtomicU32,
    changed: AtomicBool,
}

static WORDS: [Words; SETS] = [const {
    Words {
        sleepers: AtomicU32::new(0),
        changed: AtomicBool::new(false),
    }
}; SETS];

fn words(set: RawFd) -> Option<&'static Words> {
    WORDS.get(usize::try_from(set).ok()?)
}

/// Says that something is about to be changed, before [`any`].
pub(super) fn note_change(set: RawFd) {
    set_changed(set, true);
    fence(Ordering::SeqCst);
}

/// Says whether the kernel does not know all.
pub(super) fn set_changed(set: RawFd, changed: bool) {
    if let Some(words) = words(set) {
        words.changed.store(changed, Ordering::Relaxed);
    }
}

/// Whether the kernel may not know all.
pub(super) fn has_changed(set: RawFd) -> bool {
    words(set).is_some_and(|words| words.changed.load(Ordering::Relaxed))
}

/// Whether anybody sleeps, or may without being counted.
pub(super) fn any(set: RawFd) -> bool {
    words(set).is_none_or(|words| words.sleepers.load(Ordering::Relaxed) > 0)
}

/// A thread that is about to sleep in the kernel, or does. One that leaves its sleep by longjmp(3)
/// counts for ever, and then the kernel is always told at once.
#[derive(Debug)]
pub(crate) struct Asleep(RawFd);

impl Asleep {
    /// Counts the caller, who looks for changes ([`super::turn`]) afterwards.
    pub(crate) fn new(set: RawFd) -> Self {
        if let Some(words) = words(set) {
            words.sleepers.fetch_add(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
        Self(set)
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        if let Some(words) = words(self.0) {
            words.sleepers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
