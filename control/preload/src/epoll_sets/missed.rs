//! What a signal handler has told the kernel of a set while its thread looked into the sets: that look may
//! tell the kernel something older afterwards, so it is done again once the look is over.

use super::Interest;
use crate::real;
use libc::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, c_int, epoll_event};
use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Changes of one look that are noted; handlers make one or two.
const MOST: usize = 16;

/// One call of epoll_ctl(2), which has succeeded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missed {
    pub(super) set: RawFd,
    pub(super) fd: RawFd,
    /// `None`: it was taken out.
    pub(super) interest: Option<Interest>,
}

thread_local! {
    // Handlers interrupt each other, so a place is taken in one step.
    static COUNT: AtomicUsize = const { AtomicUsize::new(0) };
    static PLACES: [Cell<Option<Missed>>; MOST] = const { [const { Cell::new(None) }; MOST] };
}

/// Notes one, in a handler.
pub(super) fn add(missed: Missed) {
    let at = COUNT.with(|count| count.fetch_add(1, Ordering::Relaxed));
    PLACES.with(|places| {
        if let Some(place) = places.get(at) {
            place.set(Some(missed));
        }
    });
}

/// Whether there are any.
pub(super) fn is_any() -> bool {
    COUNT.with(|count| count.load(Ordering::Relaxed)) > 0
}

/// Takes the next, in order, with no handler adding any meanwhile.
pub(super) fn take() -> Option<Missed> {
    let next = PLACES.with(|places| places.iter().find_map(Cell::take));
    if next.is_none() {
        COUNT.with(|count| count.store(0, Ordering::Relaxed));
    }
    next
}

impl Missed {
    /// Tells the kernel once more; whether it holds.
    pub(super) fn tell_again(self) -> bool {
        let event = self
            .interest
            .map(|interest| super::for_kernel(self.fd, interest.into()));
        let call = |operation: c_int, mut event: epoll_event| {
            // SAFETY: the event is live.
            unsafe { real::epoll_ctl(self.set, operation, self.fd, &raw mut event) == 0 }
        };
        match event {
            Some(event) => call(EPOLL_CTL_MOD, event) || call(EPOLL_CTL_ADD, event),
            None => {
                call(EPOLL_CTL_DEL, epoll_event { events: 0, u64: 0 });
                true
            }
        }
    }
}
