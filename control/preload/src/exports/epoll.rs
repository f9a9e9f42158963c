//! epoll_ctl(2) and the waits on an epoll set. Sets are the kernel's, with the engine's descriptors in
//! them like any others; so nesting, edges and one-shot are the kernel's, too.

use super::is_ours;
use crate::outcome::aside;
use crate::{candidate, epoll_sets, real};
use libc::{c_int, epoll_event, sigset_t, timespec};
use std::slice;

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_ctl(
    set: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: the caller's promise.
    let result = unsafe { real::epoll_ctl(set, operation, fd, event) };
    if result == 0 && !crate::process::borrows_memory() {
        // SAFETY: the kernel has read it, or it is null.
        let event = unsafe { event.as_ref().copied() };
        aside(|| {
            if is_ours(fd) {
                epoll_sets::note(set, operation, fd, event);
            } else if candidate::may_be(fd)
                && let Some(candidate) = candidate::lock().get_mut(fd)
            {
                candidate.note_registration(set, operation, fd, event);
            }
        });
    }
    result
}

/// Adds what the kernel does not know to the events it gave.
///
/// # Safety
///
/// It gave `count`, or failed.
unsafe fn complete(set: c_int, events: *mut epoll_event, count: c_int) -> c_int {
    if count > 0 && !epoll_sets::is_empty() {
        // SAFETY: the caller's promise.
        let events = unsafe { slice::from_raw_parts_mut(events, count as usize) };
        aside(|| epoll_sets::complete(set, events));
    }
    count
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(
    set: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: the caller's promise, here and below.
    unsafe { complete(set, events, real::epoll_wait(set, events, count, timeout)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_pwait(
    set: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        let found = real::epoll_pwait(set, events, count, timeout, mask);
        complete(set, events, found)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_pwait2(
    set: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        let found = real::epoll_pwait2(set, events, count, timeout, mask);
        complete(set, events, found)
    }
}
