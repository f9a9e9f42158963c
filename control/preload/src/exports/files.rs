//! sendfile(2) and splice(2). fstat(2) needs nothing: the descriptor is a socket to it, too.

use super::is_ours;
use crate::copy::{self, Offset};
use crate::outcome::answer;
use crate::real;
use braid_socket::Errno;
use libc::{SPLICE_F_NONBLOCK, c_int, c_uint, off_t, size_t, ssize_t};

/// sendfile(2), under both of its names.
///
/// # Safety
///
/// Its own.
unsafe fn send_file(out: c_int, from: c_int, offset: *mut off_t, count: size_t) -> ssize_t {
    if is_ours(from) {
        // A socket cannot be its source.
        return answer(|| Err::<usize, _>(Errno::new(libc::EINVAL)));
    }
    if is_ours(out) {
        return answer(|| {
            // SAFETY: the caller's promise.
            let offset = match unsafe { offset.as_mut() } {
                Some(offset) => Offset::Given(offset),
                None => Offset::Position,
            };
            copy::send_file(out, from, offset, count)
        });
    }
    // SAFETY: the caller's promise.
    unsafe { real::sendfile(out, from, offset, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendfile(
    out: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: the caller's promise.
    unsafe { send_file(out, from, offset, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendfile64(
    out: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: the caller's promise; off_t has 64 bits.
    unsafe { send_file(out, from, offset, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn splice(
    from: c_int,
    from_offset: *mut off_t,
    to: c_int,
    to_offset: *mut off_t,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    let (reads, writes) = (is_ours(from), is_ours(to));
    if !reads && !writes {
        // SAFETY: the caller's promise.
        return unsafe { real::splice(from, from_offset, to, to_offset, count, flags) };
    }
    answer(|| {
        // One side must be a pipe, and neither it nor a socket has an offset.
        if reads && writes {
            return Err(Errno::new(libc::EINVAL));
        }
        let (of_socket, of_pipe) = if reads {
            (from_offset, to_offset)
        } else {
            (to_offset, from_offset)
        };
        if !of_pipe.is_null() {
            return Err(Errno::new(libc::ESPIPE));
        }
        if !of_socket.is_null() {
            return Err(Errno::new(libc::EINVAL));
        }
        if count == 0 {
            return Ok(0);
        }
        let wait = flags & SPLICE_F_NONBLOCK == 0;
        if writes {
            copy::splice_in(to, from, count, wait)
        } else {
            copy::splice_out(to, from, count, wait)
        }
    })
}
