//! State that any call may want, also one that a signal handler makes, and that a fork leaves whole.
//!
//! While a thread has it, its signals wait, so no handler of its own wants it meanwhile; in a program
//! that has no handlers they need not ([`crate::signals`]). Before a fork it is taken, and let go on both
//! sides after it (pthread_atfork(3)).

use std::cell::RefCell;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// While it lives, no signal handler runs on this thread.
#[derive(Debug)]
pub(crate) struct SignalsWait(libc::sigset_t);

impl SignalsWait {
    pub(crate) fn new() -> Self {
        // SAFETY: both sets are live; the first is filled before it is used, the second by the call.
        unsafe {
            let mut all: libc::sigset_t = mem::zeroed();
            let mut before: libc::sigset_t = mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
            Self(before)
        }
    }
}

impl Drop for SignalsWait {
    fn drop(&mut self) {
        // SAFETY: the set was filled in `new`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// A value behind a lock.
#[derive(Debug)]
pub(crate) struct Guarded<T>(Mutex<T>);

/// The value, held.
#[derive(Debug)]
pub(crate) struct Held<T: 'static> {
    // Dropped in this order: the signals come last.
    value: MutexGuard<'static, T>,
    _signals: Option<SignalsWait>,
}

impl<T> Guarded<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&'static self) -> Held<T> {
        let signals = crate::signals::has_handlers().then(SignalsWait::new);
        Held {
            value: self.0.lock().unwrap_or_else(PoisonError::into_inner),
            _signals: signals,
        }
    }

    /// The value, with signals on. For a moment's look by functions that keep what a signal handler may
    /// call from taking it.
    pub(crate) fn lock_with_signals(&'static self) -> Held<T> {
        Held {
            value: self.0.lock().unwrap_or_else(PoisonError::into_inner),
            _signals: None,
        }
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// Waits until nobody has it that took it when the program had no handlers.
pub(crate) fn pass() {
    drop(crate::candidate::lock());
    drop(crate::epoll_sets::lock());
}

type All = (
    Held<crate::candidate::Candidates>,
    Option<Held<crate::epoll_sets::EpollSets>>,
);

thread_local! {
    static OVER_FORK: RefCell<Option<All>> = const { RefCell::new(None) };
}

extern "C" fn take() {
    // The order of everybody who wants both.
    let candidates = crate::candidate::lock();
    crate::epoll_sets::note_fork();
    let mut sets = crate::epoll_sets::held();
    if let Some(sets) = &mut sets {
        sets.share_all();
    }
    OVER_FORK.with(|held| held.replace(Some((candidates, sets))));
}

extern "C" fn let_go() {
    OVER_FORK.with(|held| {
        if let Some((candidates, sets)) = held.take() {
            drop(sets);
            drop(candidates);
        }
    });
}

extern "C" fn let_go_in_child() {
    let_go();
    crate::process::note_fork();
}

/// Makes forks leave the state whole. Called once, before main().
pub(crate) fn register() {
    // SAFETY: the functions live as long as this library, which is never unloaded.
    unsafe { libc::pthread_atfork(Some(take), Some(let_go), Some(let_go_in_child)) };
}
