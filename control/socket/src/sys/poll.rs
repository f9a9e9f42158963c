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

/// Waits for `events` of one descriptor; what it has of them, 0 when the time is over.
pub(crate) fn poll_one(
    fd: BorrowedFd<'_>,
    events: libc::c_short,
    timeout: Option<Duration>,
) -> Result<libc::c_short, Errno> {
    let mut entries = [libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    }];
    poll(&mut entries, timeout, None)?;
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
