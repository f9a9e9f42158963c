//! From results to what C expects: -1 and errno(3). A call that succeeds leaves errno as it was,
//! whatever was tried inside.

use braid_socket::Errno;
use libc::{c_int, ssize_t};

/// Sets errno.
pub(crate) fn set_errno(number: c_int) {
    // SAFETY: the location is the calling thread's own.
    unsafe { *libc::__errno_location() = number };
}

fn errno() -> c_int {
    // SAFETY: the location is the calling thread's own.
    unsafe { *libc::__errno_location() }
}

/// Something that a C function returns.
pub(crate) trait Answer {
    /// Its form in C.
    type C;
    /// What says that it failed.
    const FAILED: Self::C;

    /// The value in that form.
    fn into_c(self) -> Self::C;
}

impl Answer for () {
    type C = c_int;
    const FAILED: c_int = -1;

    fn into_c(self) -> c_int {
        0
    }
}

impl Answer for c_int {
    type C = c_int;
    const FAILED: c_int = -1;

    fn into_c(self) -> c_int {
        self
    }
}

impl Answer for usize {
    type C = ssize_t;
    const FAILED: ssize_t = -1;

    fn into_c(self) -> ssize_t {
        ssize_t::try_from(self).unwrap_or(ssize_t::MAX)
    }
}

/// Does `work` and gives C its outcome.
pub(crate) fn answer<T: Answer>(work: impl FnOnce() -> Result<T, Errno>) -> T::C {
    let before = errno();
    match work() {
        Ok(value) => {
            set_errno(before);
            value.into_c()
        }
        Err(failure) => {
            set_errno(failure.get());
            T::FAILED
        }
    }
}

/// Does `work` beside a call of the program's, whose errno it must not touch.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    let before = errno();
    let value = work();
    set_errno(before);
    value
}

/// The result of a function of the C library.
pub(crate) fn check(result: c_int) -> Result<c_int, Errno> {
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// The same for those that count bytes.
pub(crate) fn check_length(result: ssize_t) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::last())
}
