//! When the engine waits for the application to read.
//!
//! The engine that has bytes for an application and no room for them sets `stalled`, fences, and
//! looks at the application's index once more. The application stores its index, fences, and looks
//! at `stalled`: one of the two sees the other. It kicks once there is room for a while's work; it
//! will read on before that, for the ring still holds bytes.

use crate::sync::{AtomicU32, Ordering, fence};

/// The word of the protocol.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Stall {
    stalled: AtomicU32,
}

impl Stall {
    /// Engine: before it looks at the ring for the last time and turns to something else.
    pub(crate) fn announce(&self) {
        self.stalled.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Engine: it goes on by itself.
    pub(crate) fn withdraw(&self) {
        self.stalled.store(0, Ordering::Relaxed);
    }

    /// Application: after its index was published, and a sequentially consistent fence. `true`: kick
    /// the engine.
    pub(crate) fn end(&self, enough_room: impl FnOnce() -> bool) -> bool {
        self.stalled.load(Ordering::Relaxed) != 0
            && enough_room()
            && self.stalled.swap(0, Ordering::AcqRel) != 0
    }

    /// Sets the word back, for a new socket.
    pub(crate) fn reset(&self) {
        self.stalled.store(0, Ordering::Relaxed);
    }
}
