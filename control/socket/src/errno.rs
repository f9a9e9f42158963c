//! What a call fails with: the numbers of errno(3), and EMULTIPATH.

use braid_shm::abi::EMULTIPATH;
use braid_shm::{CallError, Violation};
use std::error::Error;
use std::fmt;
use std::io;

/// An errno, always above zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(i32);

impl Errno {
    /// The error of that number; one that is none counts as EIO.
    pub const fn new(number: i32) -> Self {
        Self(if number > 0 { number } else { libc::EIO })
    }

    /// The error of the last system call of this thread.
    pub fn last() -> Self {
        Self::new(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == EMULTIPATH {
            return f.write_str(
                "the socket may have several addresses: ask TCP_MP_SUBFLOWS for them (EMULTIPATH)",
            );
        }
        io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl Error for Errno {}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self::new(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// Words that make no sense: the engine is not to be trusted with this socket any more.
impl From<Violation> for Errno {
    fn from(_: Violation) -> Self {
        Self(libc::ECONNRESET)
    }
}

impl From<CallError> for Errno {
    fn from(error: CallError) -> Self {
        Self(match error {
            CallError::TooLong => libc::EINVAL,
            CallError::EngineGone | CallError::Violation(_) => libc::ECONNRESET,
        })
    }
}
