//! The system calls of the crate: packets with descriptors (`message`), sleeping (`poll`), signals
//! and forks (`process`), names and flags of descriptors (`descriptor`),
//! and where those of our own stand (`numbers`).
//!
//! What is done to a socket's descriptor, and would mean something else when done to the socket, is
//! the system call itself (syscall(2)): in the preload library the names of the C library are those of
//! the sockets. So it is in `braid_shm::sys`.

pub(crate) mod descriptor;
pub(crate) mod message;
pub(crate) mod numbers;
pub(crate) mod poll;
pub(crate) mod process;

use crate::errno::Errno;

/// A result of the C library as a `Result`.
pub(crate) fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// The same for calls that count bytes.
pub(crate) fn check_length(result: libc::ssize_t) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::last())
}
