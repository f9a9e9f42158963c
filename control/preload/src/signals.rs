//! Whether this program has signal handlers (sigaction(2)): only then must signals wait where a handler
//! would find things half done.

use crate::guarded;
use libc::{SIG_DFL, SIG_ERR, SIG_IGN, sighandler_t};
use std::sync::atomic::{AtomicBool, Ordering};

/// For good: a handler that is taken back may still be running.
static HANDLERS: AtomicBool = AtomicBool::new(false);

/// Whether one was ever installed.
pub(crate) fn has_handlers() -> bool {
    HANDLERS.load(Ordering::Relaxed)
}

/// To be called before a signal's action becomes this one.
pub(crate) fn announce(action: sighandler_t) {
    if ![SIG_DFL, SIG_IGN, SIG_ERR].contains(&action) && !HANDLERS.swap(true, Ordering::SeqCst) {
        // No handler interrupts who took a lock with its signals on.
        guarded::pass();
    }
}
