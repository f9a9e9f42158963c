//! A counter of the kernel that wakes whoever polls it (eventfd(2)).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};

/// Wakes a poller of its file descriptor.
#[derive(Debug)]
pub(crate) struct EventFd(File);

impl EventFd {
    /// A silent one.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above made this descriptor and nothing else owns it.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// Makes it readable. Ringing a bell that rings already changes nothing.
    pub(crate) fn ring(&self) {
        // The write fails only when the counter is at its end, and then it is readable.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Makes it unreadable.
    pub(crate) fn silence(&self) {
        // The read fails only when the bell did not ring.
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
