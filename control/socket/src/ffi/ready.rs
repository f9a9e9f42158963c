//! Waiting for readiness.

use super::{done, told};
use crate::calls;
use crate::errno::Errno;
use crate::sys::check;
use libc::{c_int, c_ulong, epoll_event, pollfd, sigset_t, timespec};
use std::slice;
use std::time::Duration;

fn poll(
    entries: *mut pollfd,
    count: c_ulong,
    timeout: Option<Duration>,
    mask: Option<&sigset_t>,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > 0 && (entries.is_null() || count > isize::MAX as usize / size_of::<pollfd>()) {
        return done(Err(Errno::new(libc::EFAULT)));
    }
    let entries = if count == 0 {
        &mut []
    } else {
        // SAFETY: not null, and good for that many by the word of the caller of `braid_poll`.
        unsafe { slice::from_raw_parts_mut(entries, count) }
    };
    told(calls::poll(entries, timeout, mask), |ready| {
        c_int::try_from(ready).unwrap_or(c_int::MAX)
    })
}

/// poll(2), over descriptors of Braid and of the kernel.
///
/// # Safety
///
/// `entries` is good for reading and writing `count` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_poll(
    entries: *mut pollfd,
    count: c_ulong,
    timeout: c_int,
) -> c_int {
    // Negative: for ever.
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    poll(entries, count, timeout, None)
}

/// ppoll(2), over descriptors of Braid and of the kernel.
///
/// # Safety
///
/// As [`braid_poll`]; `timeout` and `mask` are null or good for reading.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_ppoll(
    entries: *mut pollfd,
    count: c_ulong,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: null, or good for reading by the caller's word.
    let (timeout, mask) = unsafe { (timeout.as_ref(), mask.as_ref()) };
    let timeout = timeout
        .map(|time| {
            let nanos = u32::try_from(time.tv_nsec)
                .ok()
                .filter(|nanos| *nanos < 1_000_000_000)?;
            Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanos))
        })
        .map(|time| time.ok_or(Errno::new(libc::EINVAL)))
        .transpose();
    match timeout {
        Ok(timeout) => poll(entries, count, timeout, mask),
        Err(errno) => done(Err(errno)),
    }
}

/// epoll_ctl(2): has a descriptor of Braid follow its socket's readiness from here on. epoll_wait(2)
/// is then as usual.
///
/// # Safety
///
/// `event` is null or good for reading.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_epoll_ctl(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: null, or good for reading by the caller's word.
    let events = unsafe { event.as_ref() }.map_or(0, |event| event.events);
    if operation != libc::EPOLL_CTL_DEL {
        let edge = events & (libc::EPOLLET as u32) != 0;
        match calls::watch_for_good(fd, edge) {
            // A descriptor of the kernel's.
            Err(errno) if errno.get() != libc::ENOTSOCK => return done(Err(errno)),
            _ => {}
        }
    }
    // SAFETY: the kernel checks all of it.
    told(
        check(unsafe { libc::epoll_ctl(epoll, operation, fd, event) }),
        |done| done,
    )
}
