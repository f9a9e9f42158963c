//! Sleeping until descriptors are ready (poll(2)).

use super::check;
use crate::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

/// Bytes of the kernel's signal set.
const KERNEL_SIGSET: usize = 8;

/// ppoll(2): at most for `timeout`, with `mask` as the signal mask meanwhile; how many are ready.
pub(crate) fn poll(
    entries: &mut [libc::pollfd],
    timeout: Option<Duration>,
    mask: Option<&libc::sigset_t>,
) -> Result<usize, Errno> {
    let mut timeout = timeout.map(|time| libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
    });
    // The kernel writes the rest of the time there.
    let timeout = timeout.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    let mask = mask.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the entries, the time and the mask are live for the call, or null.
    let ready = unsafe {
        libc::syscall(
            libc::SYS_ppoll,
            entries.as_mut_ptr(),
            entries.len(),
            timeout,
            mask,
            KERNEL_SIGSET,
        )
    };
    check(ready as libc::c_int).map(|ready| usize::try_from(ready).unwrap_or(0))
}

unsafe extern "C-unwind" {
    /// poll(2) by the C library's own name for it, which no preloaded library stands before.
    fn __poll(entries: *mut libc::pollfd, count: libc::nfds_t, timeout: libc::c_int)
    -> libc::c_int;
}

/// Sleeps shorter than this are exact, and not ended by pthread_cancel(3).
const COARSE: Duration = Duration::from_millis(20);

/// As [`poll`], for calls in which a thread may be cancelled (pthreads(7), cancellation points): the
/// thread then ends from within, and what the callers hold is dropped.
pub(crate) fn sleep(
    entries: &mut [libc::pollfd],
    timeout: Option<Duration>,
    mask: Option<&libc::sigset_t>,
) -> Result<usize, Errno> {
    if mask.is_some() || timeout.is_some_and(|time| time < COARSE) {
        return poll(entries, timeout, mask);
    }
    let timeout = timeout.map_or(-1, |time| {
        let whole = time.as_nanos().div_ceil(1_000_000);
        libc::c_int::try_from(whole).unwrap_or(libc::c_int::MAX)
    });
    let count = libc::nfds_t::try_from(entries.len()).map_err(|_| Errno::new(libc::EINVAL))?;
    // SAFETY: the entries are live for the call.
    let ready = unsafe { __poll(entries.as_mut_ptr(), count, timeout) };
    check(ready).map(|ready| usize::try_from(ready).unwrap_or(0))
}

/// As [`poll_one`], in which the thread may be cancelled, as in [`sleep`].
pub(crate) fn sleep_on(
    fd: BorrowedFd<'_>,
    events: libc::c_short,
    timeout: Option<Duration>,
) -> Result<libc::c_short, Errno> {
    one(fd, events, |entries| sleep(entries, timeout, None))
}

/// Waits for `events` of one descriptor; what it has of them, 0 when the time is over.
pub(crate) fn poll_one(
    fd: BorrowedFd<'_>,
    events: libc::c_short,
    timeout: Option<Duration>,
) -> Result<libc::c_short, Errno> {
    one(fd, events, |entries| poll(entries, timeout, None))
}

fn one(
    fd: BorrowedFd<'_>,
    events: libc::c_short,
    wait: impl FnOnce(&mut [libc::pollfd]) -> Result<usize, Errno>,
) -> Result<libc::c_short, Errno> {
    let mut entries = [libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    }];
    wait(&mut entries)?;
    let [entry] = entries;
    if entry.revents & libc::POLLNVAL != 0 {
        return Err(Errno::new(libc::EBADF));
    }
    Ok(entry.revents)
}

/// Whether the other end is closed, in all processes.
pub(crate) fn has_hung_up(fd: BorrowedFd<'_>) -> bool {
    poll_one(fd, 0, Some(Duration::ZERO)).is_ok_and(|events| events & libc::POLLHUP != 0)
}
