//! epoll_ctl(2) and the waits on an epoll set. Sets are the kernel's, with the engine's descriptors in
//! them like any others; so nesting, edges and one-shot are the kernel's, too. What a program changes
//! back and forth it is told late, see [`epoll_sets`].

use super::is_ours;
use crate::epoll_sets::{Asleep, Turn};
use crate::outcome::{answer, aside};
use crate::process::borrows_memory;
use crate::{candidate, epoll_sets, readiness, real};
use libc::{EPOLL_CTL_ADD, c_int, epoll_event, sigset_t, timespec};
use std::ptr;
use std::slice;
use std::time::{Duration, Instant};

fn note_made(set: c_int) -> c_int {
    if set >= 0 && !borrows_memory() {
        epoll_sets::note_made(set);
    }
    set
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_create(size: c_int) -> c_int {
    // SAFETY: no pointer is passed.
    note_made(unsafe { real::epoll_create(size) })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_create1(flags: c_int) -> c_int {
    // SAFETY: no pointer is passed.
    note_made(unsafe { real::epoll_create1(flags) })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_ctl(
    set: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    let ours = is_ours(fd);
    let mut told = None;
    if ours {
        // A child that borrows its parent's memory shares the set, too: what it does there holds for
        // both.
        // SAFETY: the caller's promise.
        let asked = unsafe { event.as_ref().copied() };
        if let Some(outcome) = aside(|| epoll_sets::control(set, operation, fd, asked)) {
            return answer(|| outcome);
        }
        told = asked.map(|asked| aside(|| epoll_sets::for_kernel(fd, asked)));
    } else if operation == EPOLL_CTL_ADD {
        // It may be a set, which from now on shows in this one.
        aside(|| epoll_sets::share([fd]));
    }
    // SAFETY: the caller's promise.
    let result = unsafe {
        let told = told.as_mut().map_or(event, ptr::from_mut);
        real::epoll_ctl(set, operation, fd, told)
    };
    if result == 0 && (ours || candidate::may_be(fd)) && !borrows_memory() {
        // SAFETY: the kernel has read it, or it is null.
        let event = unsafe { event.as_ref().copied() };
        aside(|| {
            if ours {
                epoll_sets::note(set, operation, fd, event);
            } else if let Some(candidate) = candidate::lock().get_mut(fd) {
                candidate.note_registration(set, operation, fd, event);
            }
        });
    }
    result
}

/// Where a wait puts its events.
#[derive(Clone, Copy, Debug)]
struct Room {
    start: *mut epoll_event,
    count: c_int,
    /// Whether events may be told that the kernel was not asked for: not to a program that lets its
    /// signals in only there.
    beside_kernel: bool,
}

impl Room {
    /// The first of them.
    ///
    /// # Safety
    ///
    /// There are so many, and nobody else has them.
    unsafe fn first<'a>(self, count: c_int) -> &'a mut [epoll_event] {
        match usize::try_from(count) {
            // SAFETY: the caller's promise.
            Ok(count) if !self.start.is_null() => unsafe {
                slice::from_raw_parts_mut(self.start, count)
            },
            _ => &mut [],
        }
    }
}

/// Waits by `wait`, which takes the time that is left, unless the answer is known without it, and
/// corrects what it gives. When nothing is left of that it waits again.
///
/// # Safety
///
/// The room is there, and `wait` gives no more than fits.
unsafe fn corrected(
    set: c_int,
    room: Room,
    timeout: Option<Duration>,
    mut wait: impl FnMut(Option<Duration>) -> c_int,
) -> c_int {
    let may_sleep = timeout != Some(Duration::ZERO);
    let end = timeout
        .filter(|_| may_sleep)
        .and_then(|timeout| Instant::now().checked_add(timeout));
    let mut left = timeout;
    loop {
        let asleep = Asleep::new(set);
        let places = if room.beside_kernel { room.count } else { 0 };
        // SAFETY: the caller's promise, here and below; the slices are used one after the other.
        let places = unsafe { room.first(places) };
        let found = match aside(|| epoll_sets::turn(set, places, may_sleep || !room.beside_kernel))
        {
            Turn::Answered(found) => found,
            Turn::Ask => {
                let given = wait(Some(Duration::ZERO));
                let Ok(given) = usize::try_from(given) else {
                    return given;
                };
                aside(|| epoll_sets::complete(set, places, given))
            }
            Turn::Sleep => {
                let given = wait(left);
                if given <= 0 || epoll_sets::is_empty() {
                    return given;
                }
                if places.is_empty() {
                    // SAFETY: the kernel has filled so many.
                    let given = unsafe { room.first(given) };
                    aside(|| epoll_sets::correct(set, given))
                } else {
                    let given = usize::try_from(given).unwrap_or(0);
                    aside(|| epoll_sets::complete(set, places, given))
                }
            }
        };
        drop(asleep);
        if found > 0 || !may_sleep {
            return c_int::try_from(found).unwrap_or(c_int::MAX);
        }
        left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return 0;
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
    let room = Room {
        start: events,
        count,
        beside_kernel: true,
    };
    // SAFETY: as above; the kernel gives no more than `count`.
    unsafe {
        corrected(set, room, readiness::milliseconds(timeout), |left| {
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
    let room = Room {
        start: events,
        count,
        beside_kernel: mask.is_null(),
    };
    // SAFETY: as above.
    unsafe {
        corrected(set, room, readiness::milliseconds(timeout), |left| {
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
    let room = Room {
        start: events,
        count,
        beside_kernel: mask.is_null(),
    };
    // SAFETY: as above.
    unsafe {
        let Ok(time) = timeout.as_ref().map(readiness::time).transpose() else {
            return real::epoll_pwait2(set, events, count, timeout, mask);
        };
        corrected(set, room, time, |left| {
            let left = left.map(|left| timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            });
            let left = left.as_ref().map_or(ptr::null(), ptr::from_ref);
            real::epoll_pwait2(set, events, count, left, mask)
        })
    }
}
