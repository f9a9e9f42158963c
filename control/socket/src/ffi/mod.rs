//! The C ABI of `braid.h`: the calls of the C library with `braid_` before their names, the same
//! arguments, the same results, and errno.
//!
//! Pointers are the caller's word. Null where bytes are wanted fails with EFAULT; otherwise a pointer
//! must be good for the length that goes with it, as for the calls of the C library.

mod lifecycle;
mod many;
mod options;
mod ready;
mod transfer;
pub mod types;

pub use lifecycle::*;
pub use many::*;
pub use options::*;
pub use ready::*;
pub use transfer::*;

use crate::errno::Errno;
use std::ptr;
use std::slice;

/// The most buffers of one call, as the kernel has it.
const MAX_BUFFERS: usize = 1024;

/// A result as C has it: `number` of the value, or -1 and errno.
fn told<T, N: From<i8>>(result: Result<T, Errno>, number: impl FnOnce(T) -> N) -> N {
    match result {
        Ok(value) => number(value),
        Err(errno) => {
            // SAFETY: the location is this thread's own errno.
            unsafe { *libc::__errno_location() = errno.get() };
            N::from(-1)
        }
    }
}

fn done(result: Result<(), Errno>) -> libc::c_int {
    told(result, |()| 0)
}

fn counted(result: Result<usize, Errno>) -> libc::ssize_t {
    told(result, |count| {
        libc::ssize_t::try_from(count).unwrap_or(libc::ssize_t::MAX)
    })
}

fn checked(pointer: *const libc::c_void, length: usize) -> Result<(), Errno> {
    if (pointer.is_null() && length > 0) || isize::try_from(length).is_err() {
        return Err(Errno::new(libc::EFAULT));
    }
    Ok(())
}

/// Bytes that the caller lets be read.
///
/// # Safety
///
/// `pointer` is null or good for reading `length` bytes for `'a`.
unsafe fn bytes<'a>(pointer: *const libc::c_void, length: usize) -> Result<&'a [u8], Errno> {
    checked(pointer, length)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: not null, and good for that length by the caller's word.
    Ok(unsafe { slice::from_raw_parts(pointer.cast(), length) })
}

/// Bytes that the caller lets be written. They are only ever written, so that it does not matter if
/// they were never before.
///
/// # Safety
///
/// `pointer` is null or good for writing `length` bytes for `'a`, and nobody else uses them meanwhile.
unsafe fn bytes_mut<'a>(pointer: *mut libc::c_void, length: usize) -> Result<&'a mut [u8], Errno> {
    checked(pointer, length)?;
    if length == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not null, and good for that length by the caller's word.
    Ok(unsafe { slice::from_raw_parts_mut(pointer.cast(), length) })
}

/// The buffers of a vectored call, each checked.
///
/// # Safety
///
/// `vectors` is null or good for reading `count` of them for `'a`, and each is good for its length.
unsafe fn vectors<'a>(
    vectors: *const libc::iovec,
    count: usize,
) -> Result<&'a [libc::iovec], Errno> {
    if count > MAX_BUFFERS {
        return Err(Errno::new(libc::EINVAL));
    }
    if count == 0 {
        return Ok(&[]);
    }
    checked(vectors.cast(), count)?;
    // SAFETY: not null, and good for that many by the caller's word.
    let vectors = unsafe { slice::from_raw_parts(vectors, count) };
    for vector in vectors {
        checked(vector.iov_base, vector.iov_len)?;
    }
    Ok(vectors)
}

/// Gives the caller an address: as much as its buffer takes, and the whole length.
///
/// # Safety
///
/// Both are null, or `length` is good for reading and writing and `address` for writing as many bytes
/// as it says.
unsafe fn give_address(
    name: &[u8],
    address: *mut libc::sockaddr,
    length: *mut libc::socklen_t,
) -> Result<(), Errno> {
    if address.is_null() {
        return Ok(());
    }
    // SAFETY: null, or good for reading by the caller's word.
    let room = unsafe { length.as_ref() }.ok_or(Errno::new(libc::EFAULT))?;
    let count = name.len().min(*room as usize);
    // SAFETY: `address` is not null and good for `room` bytes; `length` is not null.
    unsafe {
        ptr::copy_nonoverlapping(name.as_ptr(), address.cast(), count);
        *length = name.len() as libc::socklen_t;
    }
    Ok(())
}
