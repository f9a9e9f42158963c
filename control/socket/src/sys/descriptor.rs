//! Names and flags of descriptors.

use super::check;
use crate::errno::Errno;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Borrows a descriptor by its number. `None`: a negative one.
pub(crate) fn borrow<'a>(fd: RawFd) -> Option<BorrowedFd<'a>> {
    // SAFETY: the number is not -1. Should it be closed meanwhile, calls on it fail with EBADF, as
    // those of a program that closes what another thread uses do; nothing else depends on it.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Whether the descriptor is an `AF_UNIX` socket whose peer is at `path`.
pub(crate) fn is_connected_to(fd: BorrowedFd<'_>, path: &Path) -> bool {
    // SAFETY: all-zero is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    let mut length = mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the address is live and of the length it is said to have.
    let named = unsafe {
        libc::syscall(
            libc::SYS_getpeername,
            fd.as_raw_fd(),
            &raw mut address,
            &raw mut length,
        )
    };
    let header = mem::offset_of!(libc::sockaddr_un, sun_path);
    let length = (length as usize).saturating_sub(header);
    named == 0
        && i32::from(address.sun_family) == libc::AF_UNIX
        && address
            .sun_path
            .iter()
            .take(length)
            .map(|byte| *byte as u8)
            .take_while(|byte| *byte != 0)
            .eq(path.as_os_str().as_bytes().iter().copied())
}

/// Whether the number names a descriptor.
pub(crate) fn is_open(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: no pointer is passed.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) }).is_ok()
}

/// Sets or clears FD_CLOEXEC.
pub(crate) fn set_close_on_exec(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let flags = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: no pointer is passed.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flags) }).map(drop)
}

/// Whether the process may have one descriptor more than now, by making and closing one. Errors: EMFILE, EBADF.
pub(crate) fn ensure_free_number(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointer is passed.
    let new = unsafe { libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) };
    close(check(new as libc::c_int)?)
}

/// close(2).
pub(crate) fn close(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: no pointer is passed; the caller gives the number up.
    check(unsafe { libc::syscall(libc::SYS_close, fd) as libc::c_int }).map(drop)
}
