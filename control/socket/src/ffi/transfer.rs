//! Sending and receiving.

use super::{bytes, bytes_mut, counted, vectors};
use crate::calls;
use crate::errno::Errno;
use libc::{c_int, c_void, iovec, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use std::slice;

/// What a checked vector lets be read.
///
/// # Safety
///
/// The vector was checked, and is good for reading its length.
unsafe fn readable<'a>(vector: &iovec) -> &'a [u8] {
    if vector.iov_len == 0 {
        return &[];
    }
    // SAFETY: not null, as checked, and good for that length by the caller's word.
    unsafe { slice::from_raw_parts(vector.iov_base.cast(), vector.iov_len) }
}

/// What a checked vector lets be written.
///
/// # Safety
///
/// The vector was checked, is good for writing its length, and nobody else uses that meanwhile.
unsafe fn writable<'a>(vector: &iovec) -> &'a mut [u8] {
    if vector.iov_len == 0 {
        return &mut [];
    }
    // SAFETY: as in `readable`.
    unsafe { slice::from_raw_parts_mut(vector.iov_base.cast(), vector.iov_len) }
}

/// # Safety
///
/// As [`vectors`].
pub(super) unsafe fn send_vectors(
    fd: c_int,
    first: *const iovec,
    count: usize,
    flags: c_int,
) -> Result<usize, Errno> {
    // SAFETY: by the caller's word.
    let vectors = unsafe { vectors(first, count) }?;
    // SAFETY: they were checked just now.
    calls::send(
        fd,
        vectors.iter().map(|vector| unsafe { readable(vector) }),
        flags,
    )
}

/// # Safety
///
/// As [`vectors`], for writing.
pub(super) unsafe fn receive_vectors(
    fd: c_int,
    first: *const iovec,
    count: usize,
    flags: c_int,
) -> Result<usize, Errno> {
    // SAFETY: by the caller's word.
    let vectors = unsafe { vectors(first, count) }?;
    let length = vectors.iter().fold(0usize, |length, vector| {
        length.saturating_add(vector.iov_len)
    });
    // SAFETY: they were checked just now.
    let buffers = vectors.iter().map(|vector| unsafe { writable(vector) });
    calls::receive(fd, buffers, length, flags)
}

/// send(2), with MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE.
///
/// # Safety
///
/// `from` is null or good for reading `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_send(
    fd: c_int,
    from: *const c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: by the caller's word.
    let from = unsafe { bytes(from, length) };
    counted(from.and_then(|from| calls::send_one(fd, from, flags)))
}

/// sendto(2). The address is not looked at, as with any connected stream.
///
/// # Safety
///
/// As [`braid_send`].
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_sendto(
    fd: c_int,
    from: *const c_void,
    length: size_t,
    flags: c_int,
    _address: *const sockaddr,
    _address_length: socklen_t,
) -> ssize_t {
    // SAFETY: by the caller's word.
    unsafe { braid_send(fd, from, length, flags) }
}

/// sendmsg(2). Address and control data are not looked at.
///
/// # Safety
///
/// `message` is null or good for reading, and so are its buffers.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_sendmsg(
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: null, or good for reading by the caller's word.
    let message = unsafe { message.as_ref() }.ok_or(Errno::new(libc::EFAULT));
    // SAFETY: by the caller's word.
    counted(message.and_then(|message| unsafe {
        send_vectors(fd, message.msg_iov, message.msg_iovlen, flags)
    }))
}

/// write(2).
///
/// # Safety
///
/// As [`braid_send`].
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_write(
    fd: c_int,
    from: *const c_void,
    length: size_t,
) -> ssize_t {
    // SAFETY: by the caller's word.
    unsafe { braid_send(fd, from, length, 0) }
}

/// writev(2).
///
/// # Safety
///
/// `first` is null or good for reading `count` vectors, and their buffers are good for reading.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_writev(
    fd: c_int,
    first: *const iovec,
    count: c_int,
) -> ssize_t {
    let count = usize::try_from(count).map_err(|_| Errno::new(libc::EINVAL));
    // SAFETY: by the caller's word.
    counted(count.and_then(|count| unsafe { send_vectors(fd, first, count, 0) }))
}

/// recv(2), with MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_TRUNC.
///
/// # Safety
///
/// `into` is null or good for writing `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_recv(
    fd: c_int,
    into: *mut c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    if flags & libc::MSG_TRUNC != 0 {
        // Nothing is written, so nothing need be there.
        let drops = calls::discard(fd, length, flags);
        return counted(drops);
    }
    // SAFETY: by the caller's word.
    let into = unsafe { bytes_mut(into, length) };
    counted(into.and_then(|into| calls::receive_one(fd, into, flags)))
}

/// recvfrom(2). There is no address, as with any connected stream: its length becomes 0.
///
/// # Safety
///
/// As [`braid_recv`]; `address_length` is null or good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_recvfrom(
    fd: c_int,
    into: *mut c_void,
    length: size_t,
    flags: c_int,
    _address: *mut sockaddr,
    address_length: *mut socklen_t,
) -> ssize_t {
    // SAFETY: by the caller's word.
    let received = unsafe { braid_recv(fd, into, length, flags) };
    if received >= 0 && !address_length.is_null() {
        // SAFETY: not null, and good for writing by the caller's word.
        unsafe { *address_length = 0 };
    }
    received
}

/// recvmsg(2). There is neither address nor control data.
///
/// # Safety
///
/// `message` is null or good for reading and writing, and its buffers are good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_recvmsg(
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: null, or good for both by the caller's word.
    let message = unsafe { message.as_mut() }.ok_or(Errno::new(libc::EFAULT));
    counted(message.and_then(|message| {
        // SAFETY: by the caller's word.
        let received = unsafe { receive_vectors(fd, message.msg_iov, message.msg_iovlen, flags) }?;
        message.msg_namelen = 0;
        message.msg_controllen = 0;
        message.msg_flags = 0;
        Ok(received)
    }))
}

/// read(2).
///
/// # Safety
///
/// As [`braid_recv`].
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_read(
    fd: c_int,
    into: *mut c_void,
    length: size_t,
) -> ssize_t {
    // SAFETY: by the caller's word.
    unsafe { braid_recv(fd, into, length, 0) }
}

/// readv(2).
///
/// # Safety
///
/// `first` is null or good for reading `count` vectors, and their buffers are good for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_readv(
    fd: c_int,
    first: *const iovec,
    count: c_int,
) -> ssize_t {
    let count = usize::try_from(count).map_err(|_| Errno::new(libc::EINVAL));
    // SAFETY: by the caller's word.
    counted(count.and_then(|count| unsafe { receive_vectors(fd, first, count, 0) }))
}
