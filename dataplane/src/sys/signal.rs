//! Signals that a library takes, kept from threads whose system calls they would interrupt.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

const TERMINATION: [libc::c_int; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM];

/// Keeps SIGHUP, SIGINT and SIGTERM from this thread and those it makes.
pub(crate) fn block_termination() {
    change_mask(libc::SIG_BLOCK, TERMINATION);
}

/// Keeps the real-time signals from this thread and those it makes.
pub(crate) fn block_real_time() {
    change_mask(libc::SIG_BLOCK, libc::SIGRTMIN()..=libc::SIGRTMAX());
}

/// Lets this thread take the real-time signals; the first call of a thread is a system call.
pub(crate) fn take_real_time_from_now() {
    thread_local! {
        static TAKES: Cell<bool> = const { Cell::new(false) };
    }
    if !TAKES.replace(true) {
        change_mask(libc::SIG_UNBLOCK, libc::SIGRTMIN()..=libc::SIGRTMAX());
    }
}

fn change_mask(how: libc::c_int, signals: impl IntoIterator<Item = libc::c_int>) {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: makes the set, then changes it and the mask of this thread; no pointer is kept.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(how, set.as_ptr(), ptr::null_mut());
    }
}

/// Whether SIGTERM ends this process by itself, as it does where nothing else is set.
pub(crate) fn ended_by_termination() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only reads what is set, into a structure that is zeroed before.
    let action = unsafe {
        libc::sigaction(libc::SIGTERM, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_DFL
}

/// Ends the process as SIGTERM does that nobody handles.
pub(crate) fn end_process() {
    // SAFETY: no pointers; handlers that are set back are not called any more.
    unsafe {
        libc::signal(libc::SIGTERM, libc::SIG_DFL);
        libc::kill(libc::getpid(), libc::SIGTERM);
    }
}
