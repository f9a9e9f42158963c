//! What C passes, as slices. Null pointers are EFAULT, as the kernel has it; other addresses that are
//! not the program's own fault here as they would in any library.

use braid_socket::Errno;
use libc::{c_void, iovec, size_t, sockaddr, socklen_t};
use std::ptr;
use std::slice;

/// Most buffers of a vector (IOV_MAX).
const MOST_BUFFERS: usize = 1024;

const FAULT: Errno = Errno::new(libc::EFAULT);

/// Bytes that the program gives.
///
/// # Safety
///
/// They are readable for `'a`, and nobody writes them.
pub(crate) unsafe fn bytes<'a>(start: *const c_void, length: size_t) -> Result<&'a [u8], Errno> {
    if length == 0 {
        return Ok(&[]);
    }
    if start.is_null() {
        return Err(FAULT);
    }
    // SAFETY: not null, and the caller's promise. More than isize::MAX bytes are no object.
    Ok(unsafe { slice::from_raw_parts(start.cast(), length.min(isize::MAX as usize)) })
}

/// Room that the program gives. What is in it may never have been written; it is only written here,
/// or read where the call reads it by definition.
///
/// # Safety
///
/// It is writable for `'a`, and nobody else's.
pub(crate) unsafe fn room<'a>(start: *mut c_void, length: size_t) -> Result<&'a mut [u8], Errno> {
    if length == 0 {
        return Ok(&mut []);
    }
    if start.is_null() {
        return Err(FAULT);
    }
    // SAFETY: not null, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts_mut(start.cast(), length.min(isize::MAX as usize)) })
}

/// The sockaddr of bind(2) and connect(2).
///
/// # Safety
///
/// As [`bytes`].
pub(crate) unsafe fn address<'a>(
    start: *const sockaddr,
    length: socklen_t,
) -> Result<&'a [u8], Errno> {
    // SAFETY: the caller's promise.
    unsafe { bytes(start.cast(), length as size_t) }
}

/// Stores a sockaddr as accept(2) does: as much as there is room for, and its whole length.
///
/// # Safety
///
/// `length` is null or valid, and if `into` is not null there are as many bytes as it says.
pub(crate) unsafe fn store_address(
    from: &[u8],
    into: *mut sockaddr,
    length: *mut socklen_t,
) -> Result<(), Errno> {
    if into.is_null() {
        return Ok(());
    }
    if length.is_null() {
        return Err(FAULT);
    }
    // SAFETY: the caller's promise.
    unsafe {
        let room = (*length) as usize;
        if room > i32::MAX as usize {
            return Err(Errno::new(libc::EINVAL));
        }
        ptr::copy_nonoverlapping(from.as_ptr(), into.cast(), from.len().min(room));
        *length = socklen_t::try_from(from.len()).unwrap_or(socklen_t::MAX);
    }
    Ok(())
}

/// The buffers of readv(2) and its like.
///
/// # Safety
///
/// `start` points to `count` of them, for `'a`.
pub(crate) unsafe fn vector<'a>(start: *const iovec, count: size_t) -> Result<&'a [iovec], Errno> {
    if count > MOST_BUFFERS {
        return Err(Errno::new(libc::EINVAL));
    }
    if count == 0 {
        return Ok(&[]);
    }
    if start.is_null() {
        return Err(FAULT);
    }
    // SAFETY: not null, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts(start, count) })
}

/// Bytes of all buffers together. Errors: EINVAL if that is no ssize_t; EFAULT.
pub(crate) fn total(vector: &[iovec]) -> Result<usize, Errno> {
    let mut total = 0usize;
    for part in vector {
        if part.iov_base.is_null() && part.iov_len > 0 {
            return Err(FAULT);
        }
        total = total
            .checked_add(part.iov_len)
            .filter(|total| isize::try_from(*total).is_ok())
            .ok_or(Errno::new(libc::EINVAL))?;
    }
    Ok(total)
}

/// The buffers as slices to read from.
///
/// # Safety
///
/// As [`bytes`], for each.
pub(crate) unsafe fn sources(vector: &[iovec]) -> impl Iterator<Item = &[u8]> + Clone {
    vector.iter().map(|part| {
        // SAFETY: the caller's promise.
        unsafe { bytes(part.iov_base, part.iov_len) }.unwrap_or_default()
    })
}

/// The buffers as slices to write to.
///
/// # Safety
///
/// As [`room`], for each.
pub(crate) unsafe fn targets(vector: &[iovec]) -> impl Iterator<Item = &mut [u8]> {
    vector.iter().map(|part| {
        // SAFETY: the caller's promise.
        unsafe { room(part.iov_base, part.iov_len) }.unwrap_or_default()
    })
}
