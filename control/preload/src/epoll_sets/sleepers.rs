//! Who is inside the kernel with a set, whether the kernel does not know all of it, and whether others may
//! see it through the kernel alone: words of a set, for waits that take no lock.
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
    /// This process has made it, and nobody has seen it since but by its one number.
    alone: AtomicBool,
}

static WORDS: [Words; SETS] = [const {
    Words {
        sleepers: AtomicU32::new(0),
        changed: AtomicBool::new(false),
        alone: AtomicBool::new(false),
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

/// A set was made by this number.
pub(super) fn note_made(set: RawFd) {
    if let Some(words) = words(set) {
        words.alone.store(true, Ordering::Relaxed);
    }
}

/// From now on others see it, if it is a set. Before the caller asks whether there are sockets in sets,
/// so that one that is put into this one meanwhile is seen, or sees this ([`is_alone`]).
pub(super) fn note_seen(set: RawFd) {
    if let Some(words) = words(set).filter(|words| words.alone.load(Ordering::Relaxed)) {
        words.alone.store(false, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

/// The same for all sets.
pub(super) fn note_all_seen() {
    for words in &WORDS {
        words.alone.store(false, Ordering::Relaxed);
    }
}

/// Whether nobody sees it but by its number and in this process. After the caller has said that there
/// are sockets in sets.
pub(super) fn is_alone(set: RawFd) -> bool {
    fence(Ordering::SeqCst);
    words(set).is_some_and(|words| words.alone.load(Ordering::Relaxed))
}

/// Whether anybody sleeps, or may without being counted.
pub(super) fn any(set: RawFd) -> bool {
    words(set).is_none_or(|words| words.sleepers.load(Ordering::Relaxed) > 0)
}

/// Whether more than one thread sleeps, or is about to.
pub(super) fn several(set: RawFd) -> bool {
    words(set).is_some_and(|words| words.sleepers.load(Ordering::Relaxed) > 1)
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
