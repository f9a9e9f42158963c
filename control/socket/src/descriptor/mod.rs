//! Which socket of the engine a file descriptor is.
//!
//! A lookup takes no lock and makes no system call, so that it may be made for every read and write,
//! also by a signal handler. A descriptor that is not in the table may still be a socket that came by
//! exec or in a packet: [`recognise`] asks the kernel, then the engine.

mod fruitless;
mod open_socket;
mod table;

pub use open_socket::OpenSocket;
pub use table::Descriptor;
pub(crate) use table::{PoolGuard, lock};

use crate::attachment::{self, Found};
use crate::errno::Errno;
use crate::sys::descriptor::{borrow, is_open};
pub use crate::sys::numbers::{is_own, own, with_spare_numbers};
use std::os::fd::RawFd;

/// The socket that `fd` was last known to be. No system call. `None`: it is not known; it may be a
/// descriptor of the kernel's, or one for [`recognise`].
pub fn find(fd: RawFd) -> Option<Descriptor> {
    table::find(fd)
}

/// The socket that `fd` is, asking the kernel for its peer's name, and the engine if that is the
/// engine's. Errors: ENOTSOCK if it is none, EBADF if it is no descriptor at all, those of
/// [`crate::attachment::attach`].
pub fn recognise(fd: RawFd) -> Result<Descriptor, Errno> {
    if let Some(descriptor) = find(fd) {
        return Ok(descriptor);
    }
    let borrowed = borrow(fd).ok_or(Errno::new(libc::EBADF))?;
    let found = attachment::adopt(borrowed).map_err(|errno| {
        if is_open(borrowed) {
            errno
        } else {
            Errno::new(libc::EBADF)
        }
    })?;
    insert(fd, found)?;
    find(fd).ok_or(Errno::new(libc::EBADF))
}

/// Forgets what `fd` was, because it is closed or becomes something else. The descriptor itself is
/// left alone. Whether it was known.
pub fn forget(fd: RawFd) -> bool {
    table::remove(fd)
}

/// Notes that `copy` was made from `original` by dup(2) or the like; what `copy` was is forgotten.
pub fn duplicate(original: RawFd, copy: RawFd) -> Result<(), Errno> {
    if original != copy {
        table::copy(original, copy)?;
    }
    Ok(())
}

/// All descriptors that are known to be sockets: at exit, to mark them as closed in order.
pub fn for_each(visit: impl FnMut(RawFd, &OpenSocket)) {
    table::for_each(visit);
}

pub(crate) fn insert(fd: RawFd, found: Found) -> Result<(), Errno> {
    table::insert(fd, OpenSocket::new(found))
}

/// The socket that `fd` is, for a call on it.
pub(crate) fn get(fd: RawFd) -> Result<Descriptor, Errno> {
    match find(fd) {
        Some(descriptor) => Ok(descriptor),
        None => recognise(fd),
    }
}
