//! Waiting for descriptors to become ready (ppoll(2)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use arrayvec::ArrayVec;

/// How many descriptors one call waits for at most.
pub(crate) const MAX_DESCRIPTORS: usize = 130;

/// Waits until one of `descriptors` is readable or in error, or `timeout` has passed (`None`:
/// without end). Says whether one is; an interruption by a signal counts as readable.
///
/// Descriptors past [`MAX_DESCRIPTORS`] are not waited for.
pub(crate) fn readable<'a>(
    descriptors: impl IntoIterator<Item = BorrowedFd<'a>>,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut polled: ArrayVec<libc::pollfd, MAX_DESCRIPTORS> = descriptors
        .into_iter()
        .take(MAX_DESCRIPTORS)
        .map(|fd| entry(fd, libc::POLLIN))
        .collect();
    wait(&mut polled, timeout)
}

/// Whether the kernel would take something that is written to the descriptor now.
pub(crate) fn is_writable(descriptor: BorrowedFd<'_>) -> bool {
    let mut polled = [entry(descriptor, libc::POLLOUT)];
    matches!(wait(&mut polled, Some(Duration::ZERO)), Ok(true))
}

fn entry(descriptor: BorrowedFd<'_>, events: libc::c_short) -> libc::pollfd {
    libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events,
        revents: 0,
    }
}

/// The descriptors of `polled` are open until this returns.
fn wait(polled: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<bool> {
    let timeout = timeout.map(|duration| libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos()),
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the slice holds `len` initialised entries, the callers borrow the descriptors until
    // the call returns, the timeout is null or points to a live value, and no signal mask is given.
    let ready = unsafe {
        libc::ppoll(
            polled.as_mut_ptr(),
            polled.len() as libc::nfds_t,
            timeout,
            std::ptr::null(),
        )
    };
    match ready {
        -1 => {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                Ok(true)
            } else {
                Err(error)
            }
        }
        ready => Ok(ready > 0),
    }
}
