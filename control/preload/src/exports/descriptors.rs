//! close(2), close_range(2), closefrom(3), the family of dup(2): which number is which socket.

use super::is_ours;
use crate::outcome::{aside, set_errno};
use crate::process::borrows_memory;
use crate::{candidate, epoll_sets, real};
use braid_socket::{calls, descriptor};
use libc::{c_int, c_uint};
use std::os::fd::RawFd;

/// What is known of a number ends: it is about to be closed, or to become something else.
fn leave(fd: RawFd) {
    if candidate::may_be(fd) {
        candidate::lock().remove(fd);
    }
    epoll_sets::forget(fd);
    calls::close_marks(fd);
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn close(fd: c_int) -> c_int {
    if (candidate::may_be(fd) || !epoll_sets::is_empty() || is_ours(fd)) && !borrows_memory() {
        aside(|| leave(fd));
    }
    if descriptor::is_own(fd) {
        // The program does not know of it: it closes all numbers that there may be.
        set_errno(libc::EBADF);
        return -1;
    }
    // SAFETY: no pointer is passed.
    unsafe { real::close(fd) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    let closes = flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0;
    if closes && first <= last {
        aside(|| leave_range(first, last));
    }
    // SAFETY: no pointer is passed.
    around_own(first, last, |first, last| unsafe {
        real::close_range(first, last, flags)
    })
}

/// Does `close` to the pieces of a range that our own descriptors leave of it.
fn around_own(first: c_uint, last: c_uint, close: impl Fn(c_uint, c_uint) -> c_int) -> c_int {
    let own: Vec<c_uint> = descriptor::own()
        .filter_map(|fd| c_uint::try_from(fd).ok())
        .filter(|fd| (first..=last).contains(fd))
        .collect();
    if own.is_empty() {
        return close(first, last);
    }
    let mut next = first;
    for fd in own.into_iter().chain([c_uint::MAX]) {
        // Behind the last of them comes the rest of the range.
        let end = fd.saturating_sub(1).min(last);
        if next <= end && close(next, end) < 0 {
            return -1;
        }
        next = fd.saturating_add(1);
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn closefrom(first: c_int) {
    let first = c_uint::try_from(first).unwrap_or(0);
    // SAFETY: no pointer is passed.
    unsafe { close_range(first, c_uint::MAX, 0) };
}

fn leave_range(first: c_uint, last: c_uint) {
    if borrows_memory() {
        return;
    }
    let first = RawFd::try_from(first).unwrap_or(RawFd::MAX);
    let last = RawFd::try_from(last).unwrap_or(RawFd::MAX);
    epoll_sets::forget_range(first, last);
    let mut candidates = candidate::lock();
    for fd in candidates.within(first, last) {
        candidates.remove(fd);
    }
    drop(candidates);
    descriptor::for_each(|fd, _| {
        if (first..=last).contains(&fd) {
            calls::close_marks(fd);
        }
    });
}

/// `copy` has become a copy of `fd`.
pub(super) fn note_copy(fd: RawFd, copy: RawFd) {
    if copy < 0 || copy == fd || borrows_memory() {
        return;
    }
    aside(|| {
        epoll_sets::share([fd, copy]);
        if is_ours(fd) {
            let _ = descriptor::duplicate(fd, copy);
            super::stdio::follow(copy);
        } else if candidate::may_be(fd) {
            candidate::lock().duplicate(fd, copy);
        }
    });
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn dup(fd: c_int) -> c_int {
    // SAFETY: no pointer is passed.
    let copy = unsafe { real::dup(fd) };
    note_copy(fd, copy);
    copy
}

/// dup2(2) and dup3(2): what was at `to` is closed, if the call succeeds.
fn put_over(fd: RawFd, to: RawFd, call: impl FnOnce() -> c_int) -> c_int {
    if fd == to || borrows_memory() {
        return call();
    }
    // Its sets may have it by another number, too, and it cannot be named afterwards.
    aside(epoll_sets::settle);
    let was_ours = is_ours(to);
    if was_ours && let Some(socket) = descriptor::find(to) {
        // A mark that the next use takes back, should the call fail.
        socket.slot().set_orderly(true);
    }
    let result = call();
    if result >= 0 {
        aside(|| leave(to));
        note_copy(fd, to);
    }
    result
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn dup2(fd: c_int, to: c_int) -> c_int {
    // SAFETY: no pointer is passed.
    put_over(fd, to, || unsafe { real::dup2(fd, to) })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
    // SAFETY: no pointer is passed.
    put_over(fd, to, || unsafe { real::dup3(fd, to, flags) })
}
