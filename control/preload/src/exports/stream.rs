//! read(2), write(2), recv(2), send(2), their vectored forms, and the forms that `_FORTIFY_SOURCE`
//! puts in their place.

use super::is_ours;
use crate::arguments::{bytes, room, sources, targets, total, vector};
use crate::outcome::answer;
use crate::real;
use braid_socket::{Errno, calls};
use libc::{c_int, c_void, iovec, off_t, size_t, sockaddr, socklen_t, ssize_t};

/// # Safety
///
/// `buffer` is writable for `count` bytes.
unsafe fn receive_into(fd: c_int, buffer: *mut c_void, count: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(|| calls::receive_one(fd, unsafe { room(buffer, count) }?, flags))
}

/// # Safety
///
/// `buffer` is readable for `count` bytes.
unsafe fn send_from(fd: c_int, buffer: *const c_void, count: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    answer(|| calls::send_one(fd, unsafe { bytes(buffer, count) }?, flags))
}

/// # Safety
///
/// `start` points to `count` buffers, writable as they say.
unsafe fn receive_vector(fd: c_int, start: *const iovec, count: c_int, flags: c_int) -> ssize_t {
    answer(|| {
        let count = size_t::try_from(count).map_err(|_| Errno::new(libc::EINVAL))?;
        // SAFETY: the caller's promise.
        let vector = unsafe { vector(start, count) }?;
        let length = total(vector)?;
        // SAFETY: the caller's promise.
        calls::receive(fd, unsafe { targets(vector) }, length, flags)
    })
}

/// # Safety
///
/// `start` points to `count` buffers, readable as they say.
unsafe fn send_vector(fd: c_int, start: *const iovec, count: c_int, flags: c_int) -> ssize_t {
    answer(|| {
        let count = size_t::try_from(count).map_err(|_| Errno::new(libc::EINVAL))?;
        // SAFETY: the caller's promise.
        let vector = unsafe { vector(start, count) }?;
        total(vector)?;
        // SAFETY: the caller's promise.
        calls::send(fd, unsafe { sources(vector) }, flags)
    })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn read(
    fd: c_int,
    buffer: *mut c_void,
    count: size_t,
) -> ssize_t {
    // SAFETY: the caller's promise, for all that follow as well.
    unsafe {
        if is_ours(fd) {
            return receive_into(fd, buffer, count, 0);
        }
        real::read(fd, buffer, count)
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn write(
    fd: c_int,
    buffer: *const c_void,
    count: size_t,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        if is_ours(fd) {
            return send_from(fd, buffer, count, 0);
        }
        real::write(fd, buffer, count)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn readv(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        if is_ours(fd) {
            return receive_vector(fd, vector, count, 0);
        }
        real::readv(fd, vector, count)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn writev(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        if is_ours(fd) {
            return send_vector(fd, vector, count, 0);
        }
        real::writev(fd, vector, count)
    }
}

/// What preadv2(2) and pwritev2(2) mean on a socket: no offset, and RWF_NOWAIT.
fn stream_flags(offset: off_t, flags: c_int) -> Result<c_int, Errno> {
    if offset != -1 {
        return Err(Errno::new(libc::ESPIPE));
    }
    Ok(if flags & libc::RWF_NOWAIT != 0 {
        libc::MSG_DONTWAIT
    } else {
        0
    })
}

/// preadv2(2), under both of its names.
///
/// # Safety
///
/// Its own.
unsafe fn read_at(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        if !is_ours(fd) {
            return real::preadv2(fd, vector, count, offset, flags);
        }
        match stream_flags(offset, flags) {
            Ok(flags) => receive_vector(fd, vector, count, flags),
            Err(errno) => answer(|| Err::<usize, _>(errno)),
        }
    }
}

/// pwritev2(2), under both of its names.
///
/// # Safety
///
/// Its own.
unsafe fn write_at(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        if !is_ours(fd) {
            return real::pwritev2(fd, vector, count, offset, flags);
        }
        match stream_flags(offset, flags) {
            Ok(flags) => send_vector(fd, vector, count, flags),
            Err(errno) => answer(|| Err::<usize, _>(errno)),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn preadv2(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { read_at(fd, vector, count, offset, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn preadv64v2(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { read_at(fd, vector, count, offset, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pwritev2(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { write_at(fd, vector, count, offset, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pwritev64v2(
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { write_at(fd, vector, count, offset, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn recv(
    fd: c_int,
    buffer: *mut c_void,
    count: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        if is_ours(fd) {
            return receive_into(fd, buffer, count, flags);
        }
        real::recv(fd, buffer, count, flags)
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn send(
    fd: c_int,
    buffer: *const c_void,
    count: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        if is_ours(fd) {
            return send_from(fd, buffer, count, flags);
        }
        real::send(fd, buffer, count, flags)
    }
}

/// A stream has no address to tell with its bytes: its length is 0, as TCP has it.
///
/// # Safety
///
/// `length` is null or valid.
unsafe fn no_address(result: ssize_t, length: *mut socklen_t) -> ssize_t {
    if result >= 0 && !length.is_null() {
        // SAFETY: the caller's promise.
        unsafe { *length = 0 };
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn recvfrom(
    fd: c_int,
    buffer: *mut c_void,
    count: size_t,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        if is_ours(fd) {
            let length = if address.is_null() {
                std::ptr::null_mut()
            } else {
                length
            };
            return no_address(receive_into(fd, buffer, count, flags), length);
        }
        real::recvfrom(fd, buffer, count, flags, address, length)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendto(
    fd: c_int,
    buffer: *const c_void,
    count: size_t,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe {
        if is_ours(fd) {
            return send_from(fd, buffer, count, flags);
        }
        real::sendto(fd, buffer, count, flags, address, length)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __read_chk(
    fd: c_int,
    buffer: *mut c_void,
    count: size_t,
    size: size_t,
) -> ssize_t {
    // SAFETY: the caller's promise; what does not fit is left to the C library, which ends the
    // program, as it does for all of these.
    unsafe {
        if count <= size && is_ours(fd) {
            return receive_into(fd, buffer, count, 0);
        }
        real::__read_chk(fd, buffer, count, size)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __recv_chk(
    fd: c_int,
    buffer: *mut c_void,
    count: size_t,
    size: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as above.
    unsafe {
        if count <= size && is_ours(fd) {
            return receive_into(fd, buffer, count, flags);
        }
        real::__recv_chk(fd, buffer, count, size, flags)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __recvfrom_chk(
    fd: c_int,
    buffer: *mut c_void,
    count: size_t,
    size: size_t,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    // SAFETY: as above.
    unsafe {
        if count <= size && is_ours(fd) {
            return recvfrom(fd, buffer, count, flags, address, length);
        }
        real::__recvfrom_chk(fd, buffer, count, size, flags, address, length)
    }
}
