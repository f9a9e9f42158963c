//! sigaction(2), signal(2) and its other names: they only tell `signals` that there are handlers.

use crate::outcome::aside;
use crate::{real, signals};
use libc::{c_int, sigaction as action, sighandler_t};

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sigaction(
    signal: c_int,
    new: *const action,
    old: *mut action,
) -> c_int {
    // SAFETY: the caller's promise.
    if let Some(new) = unsafe { new.as_ref() } {
        aside(|| signals::announce(new.sa_sigaction));
    }
    // SAFETY: the caller's promise.
    unsafe { real::sigaction(signal, new, old) }
}

macro_rules! by_handler {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $name(signal: c_int, handler: sighandler_t) -> sighandler_t {
                aside(|| signals::announce(handler));
                // SAFETY: the caller's promise.
                unsafe { real::$name(signal, handler) }
            }
        )*
    };
}

by_handler! { signal bsd_signal sysv_signal __sysv_signal ssignal sigset }
