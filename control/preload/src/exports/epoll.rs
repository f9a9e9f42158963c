//! epoll_ctl(2) and the waits on an epoll set. Sets are the kernel's, with the engine's descriptors in
//! them like any others; so nesting, edges and one-shot are the kernel's, too.

use super::is_ours;
use crate::outcome::aside;
use crate::{candidate, epoll_sets, readiness, real};
use libc::{c_int, epoll_event, sigset_t, timespec};
use std::ptr;
use std::slice;
use std::time::{Duration, Instant};

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_ctl(
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

/// Waits by `wait`, which takes the time that is left, and corrects what it gives. When nothing is left
/// of that it waits again.
///
/// # Safety
///
/// `events` has as many as `wait` gives.
unsafe fn corrected(
    set: c_int,
    events: *mut epoll_event,
    timeout: Option<Duration>,
    mut wait: impl FnMut(Option<Duration>) -> c_int,
) -> c_int {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut left = timeout;
    loop {
        let given = wait(left);
        if given <= 0 || epoll_sets::is_empty() {
            return given;
        }
        // SAFETY: the caller's promise.
        let found = unsafe { slice::from_raw_parts_mut(events, given as usize) };
        let kept = aside(|| epoll_sets::correct(set, found));
        left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if kept > 0 || left.is_some_and(|left| left.is_zero()) {
            return c_int::try_from(kept).unwrap_or(given);
        }
    }
}

/// As epoll_wait(2) takes it; what is less than a millisecond is one.
fn whole_milliseconds(left: Option<Duration>) -> c_int {
    left.map_or(-1, |left| {
        c_int::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_wait(
    set: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: c_int,
) -> c_int {
    if epoll_sets::is_empty() {
        // SAFETY: the caller's promise, here and below.
        return unsafe { real::epoll_wait(set, events, count, timeout) };
    }
    // SAFETY: as above; the kernel gives no more than `count`.
    unsafe {
        corrected(set, events, readiness::milliseconds(timeout), |left| {
            real::epoll_wait(set, events, count, whole_milliseconds(left))
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_pwait(
    set: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        corrected(set, events, readiness::milliseconds(timeout), |left| {
            real::epoll_pwait(set, events, count, whole_milliseconds(left), mask)
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_pwait2(
    set: c_int,
    events: *mut epoll_event,
    count: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        let Ok(time) = timeout.as_ref().map(readiness::time).transpose() else {
            return real::epoll_pwait2(set, events, count, timeout, mask);
        };
        corrected(set, events, time, |left| {
            let left = left.map(|left| timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            });
            let left = left.as_ref().map_or(ptr::null(), ptr::from_ref);
            real::epoll_pwait2(set, events, count, left, mask)
        })
    }
}
