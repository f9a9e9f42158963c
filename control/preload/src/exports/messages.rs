//! recvmsg(2), sendmsg(2), recvmmsg(2), sendmmsg(2). A stream has neither addresses nor control
//! data; descriptors that come by a socket of the kernel's may be the engine's (SCM_RIGHTS).

use super::is_ours;
use crate::arguments::{sources, targets, total, vector};
use crate::outcome::{answer, aside};
use crate::real;
use braid_socket::{Errno, calls, descriptor};
use libc::{c_int, c_uint, mmsghdr, msghdr, ssize_t, timespec};
use std::slice;
use std::time::{Duration, Instant};

/// Most messages of one call, as the kernel has it.
const MOST_MESSAGES: usize = 1024;

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
    // SAFETY: the kernel wrote whole control messages and their length; the macros stay within.
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
                    let fd = data.add(n).read_unaligned();
                    // The number was somebody else's before.
                    descriptor::forget(fd);
                    let _ = descriptor::recognise(fd);
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
    unsafe { real::sendmsg(fd, message, flags) }
}

/// # Safety
///
/// There are `count` of them.
unsafe fn messages<'a>(start: *mut mmsghdr, count: c_uint) -> Result<&'a mut [mmsghdr], Errno> {
    if count == 0 {
        return Ok(&mut []);
    }
    if start.is_null() {
        return Err(Errno::new(libc::EFAULT));
    }
    // SAFETY: not null, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts_mut(start, (count as usize).min(MOST_MESSAGES)) })
}

/// One after the other until one fails; how many succeeded.
fn each(
    messages: &mut [mmsghdr],
    mut one: impl FnMut(&mut msghdr, usize) -> Result<Option<usize>, Errno>,
) -> Result<c_int, Errno> {
    let mut done = 0;
    for message in messages {
        match one(&mut message.msg_hdr, done as usize) {
            Ok(Some(length)) => {
                message.msg_len = c_uint::try_from(length).unwrap_or(c_uint::MAX);
                done += 1;
            }
            Ok(None) => break,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done)
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
    answer(|| {
        // SAFETY: the caller's promise.
        let (messages, timeout) = unsafe { (messages(start, count)?, timeout.as_ref()) };
        let end = timeout.and_then(|time| {
            let seconds = u64::try_from(time.tv_sec).ok()?;
            let time = Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?);
            Instant::now().checked_add(time)
        });
        each(messages, |message, done| {
            // As the kernel does it: the time is looked at behind each message.
            if done > 0 && end.is_some_and(|end| Instant::now() >= end) {
                return Ok(None);
            }
            let wait_for_one = done > 0 && flags & libc::MSG_WAITFORONE != 0;
            let flags = if wait_for_one {
                flags | libc::MSG_DONTWAIT
            } else {
                flags
            };
            // SAFETY: the caller's promise.
            let received = unsafe { receive_message(fd, message, flags & !libc::MSG_WAITFORONE) }?;
            // A stream that has ended gives no second message.
            Ok((received > 0 || done == 0).then_some(received))
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sendmmsg(
    fd: c_int,
    start: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    if is_ours(fd) {
        return answer(|| {
            // SAFETY: the caller's promise.
            let messages = unsafe { messages(start, count) }?;
            each(messages, |message, _| {
                // SAFETY: the caller's promise.
                unsafe { send_message(fd, message, flags) }.map(Some)
            })
        });
    }
    // SAFETY: the caller's promise.
    unsafe { real::sendmmsg(fd, start, count, flags) }
}
