//! From braid_socket to braid_close.

use super::{bytes, counted, done, give_address, told};
use crate::errno::Errno;
use crate::{attachment, calls, descriptor};
use libc::{c_char, c_int, c_void, size_t, sockaddr, socklen_t, ssize_t};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Takes the engine that listens at this path for all sockets from here on, instead of the one at
/// $BRAID_SOCKET or /run/braid/engine.sock.
///
/// # Safety
///
/// `path` is null or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_use_engine(path: *const c_char) -> c_int {
    if path.is_null() {
        return done(Err(Errno::new(libc::EFAULT)));
    }
    // SAFETY: not null, and a string by the caller's word.
    let path = unsafe { CStr::from_ptr(path) };
    attachment::use_engine(Path::new(OsStr::from_bytes(path.to_bytes())));
    0
}

/// Copies into `text`, as a string, why the engine refused the last request of this process. Returns
/// the length of the whole reason; 0: it has refused none.
///
/// # Safety
///
/// `text` is null, or good for writing `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_refusal(text: *mut c_char, length: size_t) -> ssize_t {
    let reason = attachment::last_refusal().unwrap_or_default();
    // SAFETY: by the caller's word.
    let into = unsafe { super::bytes_mut(text.cast(), length) };
    counted(into.map(|into| {
        if let Some((last, room)) = into.split_last_mut() {
            let count = reason.len().min(room.len());
            for (to, byte) in room.iter_mut().zip(reason.as_bytes()) {
                *to = *byte;
            }
            *room.get_mut(count).unwrap_or(last) = 0;
        }
        reason.len()
    }))
}

/// socket(2): AF_INET, AF_INET6 or AF_MULTIPATH; SOCK_STREAM; 0, IPPROTO_TCP or IPPROTO_MPTCP.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn braid_socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    told(calls::socket(domain, kind, protocol), |fd| fd)
}

/// bind(2); a struct sockaddr_multipath on a socket of AF_MULTIPATH.
///
/// # Safety
///
/// `address` is null or good for reading `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_bind(
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> c_int {
    // SAFETY: by the caller's word.
    let address = unsafe { bytes(address.cast(), length as usize) };
    done(address.and_then(|address| calls::bind(fd, address)))
}

/// listen(2).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn braid_listen(fd: c_int, backlog: c_int) -> c_int {
    done(calls::listen(fd, backlog))
}

/// accept(2); a struct sockaddr_multipath from a listener of AF_MULTIPATH.
///
/// # Safety
///
/// As [`braid_accept4`].
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_accept(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    // SAFETY: by the caller's word.
    unsafe { braid_accept4(fd, address, length, 0) }
}

/// accept4(2), with SOCK_NONBLOCK and SOCK_CLOEXEC.
///
/// # Safety
///
/// `address` is null, or `length` is good for reading and writing and `address` for writing as many
/// bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_accept4(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    if !address.is_null() && length.is_null() {
        return done(Err(Errno::new(libc::EFAULT)));
    }
    let accepted = calls::accept(fd, flags).inspect(|accepted| {
        // SAFETY: by the caller's word. It cannot fail: the pointers were looked at.
        let _ = unsafe { give_address(&accepted.peer, address, length) };
    });
    told(accepted, |accepted| accepted.fd)
}

/// connect(2); a struct sockaddr_multipath on a socket of AF_MULTIPATH.
///
/// # Safety
///
/// `address` is null or good for reading `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_connect(
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> c_int {
    // SAFETY: by the caller's word.
    let address = unsafe { bytes(address.cast::<c_void>(), length as usize) };
    done(address.and_then(|address| calls::connect(fd, address)))
}

/// shutdown(2).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn braid_shutdown(fd: c_int, how: c_int) -> c_int {
    done(calls::shutdown(fd, how))
}

/// close(2), of any descriptor. One of Braid that is closed by close(2) itself is taken for that of a
/// program that died.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn braid_close(fd: c_int) -> c_int {
    done(calls::close(fd))
}

/// dup(2).
#[unsafe(no_mangle)]
pub extern "C-unwind" fn braid_dup(fd: c_int) -> c_int {
    // SAFETY: no pointer is passed.
    let copy = crate::sys::check(unsafe { libc::dup(fd) });
    told(
        copy.inspect(|copy| {
            // A descriptor of the kernel's is none of the table.
            let _ = descriptor::duplicate(fd, *copy);
        }),
        |copy| copy,
    )
}

/// getsockname(2). Fails with EMULTIPATH on a multipath-aware socket.
///
/// # Safety
///
/// `length` is good for reading and writing, and `address` for writing as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_getsockname(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    // SAFETY: by the caller's word.
    done(calls::local_name(fd).and_then(|name| unsafe { give_address(&name, address, length) }))
}

/// getpeername(2). Fails with EMULTIPATH on a multipath-aware socket.
///
/// # Safety
///
/// As [`braid_getsockname`].
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_getpeername(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    // SAFETY: by the caller's word.
    done(calls::peer_name(fd).and_then(|name| unsafe { give_address(&name, address, length) }))
}
