//! Waiting for descriptors to become readable (ppoll(2)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use arrayvec::ArrayVec;

/// How many descriptors one call waits for at most.
pub(crate) const MAX_DESCRIPTORS: usize = 66;

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
        .map(|fd| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let timeout = timeout.map(|duration| libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos()),
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the array holds `len` initialised entries, the descriptors are borrowed until the
    // call returns, the timeout is null or points to a live value, and no signal mask is given.
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
