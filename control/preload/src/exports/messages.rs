//! recvmsg(2), sendmsg(2), recvmmsg(2), sendmmsg(2). A stream has neither addresses nor control
//! data; descriptors that come by a socket of the kernel's may be the engine's (SCM_RIGHTS).

use super::is_ours;
use crate::arguments::{sources, targets, total, vector};
use crate::outcome::{answer, aside};
use crate::{epoll_sets, real};
use braid_socket::{Errno, calls, descriptor, ffi};
use libc::{c_int, c_uint, mmsghdr, msghdr, ssize_t, timespec};

/// # Safety
///
/// The header is valid, and its buffers are writable as it says.
unsafe fn receive_message(fd: c_int, message: *mut msghdr, flags: c_int) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    let message = unsafe { message.as_mut() }.ok_or(Errno::new(libc::EFAULT))?;
    // SAFETY: the caller's promise.
    let vector = unsafe { vector(message.msg_iov, message.msg_iovlen) }?;
    let length = total(vector)?;
    // SAFETY: the caller's promise.
    let received = calls::receive(fd, unsafe { targets(vector) }, length, flags)?;
    message.msg_namelen = 0;
    message.msg_controllen = 0;
    message.msg_flags = flags & libc::MSG_CMSG_CLOEXEC;
    Ok(received)
}

/// # Safety
///
/// The header is valid, and its buffers are readable as it says.
unsafe fn send_message(fd: c_int, message: *const msghdr, flags: c_int) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    let message = unsafe { message.as_ref() }.ok_or(Errno::new(libc::EFAULT))?;
    // SAFETY: the caller's promise.
    let vector = unsafe { vector(message.msg_iov, message.msg_iovlen) }?;
    total(vector)?;
    // SAFETY: the caller's promise.
    calls::send(fd, unsafe { sources(vector) }, flags)
}

/// Recognises sockets of the engine among descriptors that have just come.
///
/// # Safety
///
/// The kernel has filled the header.
unsafe fn recognise_passed(message: *const msghdr) {
    if crate::process::borrows_memory() {
        return;
    }
    // SAFETY: the kernel wrote whole control messages and their length.
    unsafe {
        for_each_passed(message, |fd| {
            // The number was somebody else's before; a set is another process's, too.
            epoll_sets::share([fd]);
            descriptor::forget(fd);
            let _ = descriptor::recognise(fd);
        });
    }
}

/// Tells the kernel all of epoll sets that are about to go to another process.
///
/// # Safety
///
/// The header is null or valid.
unsafe fn share_passed(message: *const msghdr) {
    if !message.is_null() {
        // SAFETY: the caller's promise.
        unsafe { for_each_passed(message, |fd| epoll_sets::share([fd])) };
    }
}

/// Hands the descriptors in a message's control data (SCM_RIGHTS) to `visit`.
///
/// # Safety
///
/// The header is valid, and its control data are whole control messages.
unsafe fn for_each_passed(message: *const msghdr, mut visit: impl FnMut(c_int)) {
    // SAFETY: the caller's promise; the macros stay within.
    unsafe {
        if (*message).msg_control.is_null() || (*message).msg_controllen == 0 {
            return;
        }
        let mut next = libc::CMSG_FIRSTHDR(message);
        while !next.is_null() {
            if (*next).cmsg_level == libc::SOL_SOCKET && (*next).cmsg_type == libc::SCM_RIGHTS {
                let bytes = ((*next).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                let data = libc::CMSG_DATA(next).cast::<c_int>();
                for n in 0..bytes / size_of::<c_int>() {
                    visit(data.add(n).read_unaligned());
                }
            }
            next = libc::CMSG_NXTHDR(message, next);
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    if is_ours(fd) {
        // SAFETY: the caller's promise.
        return answer(|| unsafe { receive_message(fd, message, flags) });
    }
    // SAFETY: the caller's promise; after success the kernel has filled the header.
    unsafe {
        let received = real::recvmsg(fd, message, flags);
        if received >= 0 {
            aside(|| recognise_passed(message));
        }
        received
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    if is_ours(fd) {
        // SAFETY: the caller's promise.
        return answer(|| unsafe { send_message(fd, message, flags) });
    }
    // SAFETY: the caller's promise.
    unsafe {
        aside(|| share_passed(message));
        real::sendmsg(fd, message, flags)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn recvmmsg(
    fd: c_int,
    start: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    if !is_ours(fd) {
        // SAFETY: the caller's promise; the kernel has filled as many headers as it says.
        unsafe {
            let received = real::recvmmsg(fd, start, count, flags, timeout);
            for n in 0..usize::try_from(received).unwrap_or(0) {
                aside(|| recognise_passed(&raw const (*start.add(n)).msg_hdr));
            }
            return received;
        }
    }
    // SAFETY: the caller's promise.
    answer(|| unsafe { ffi::receive_many(fd, start, count, flags, timeout) })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendmmsg(
    fd: c_int,
    start: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    if is_ours(fd) {
        // SAFETY: the caller's promise.
        return answer(|| unsafe { ffi::send_many(fd, start, count, flags) });
    }
    // What the kernel refuses, or does not look at, is not looked at here either.
    let looked_at = if start.is_null() {
        0
    } else {
        count.min(libc::UIO_MAXIOV as c_uint)
    };
    // SAFETY: the caller's promise.
    unsafe {
        for n in 0..looked_at as usize {
            aside(|| share_passed(&raw const (*start.add(n)).msg_hdr));
        }
        real::sendmmsg(fd, start, count, flags)
    }
}
