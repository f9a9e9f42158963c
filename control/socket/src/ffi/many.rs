//! Several messages by one call. A stream has no messages: each is a piece of it.

use super::told;
use super::transfer::{receive_vectors, send_vectors};
use crate::errno::Errno;
use libc::{c_int, c_uint, mmsghdr, msghdr, timespec};
use std::slice;
use std::time::{Duration, Instant};

/// Most messages of one call, as the kernel has it.
const MOST_MESSAGES: usize = 1024;

/// # Safety
///
/// `start` is null, or there are `count` messages for `'a`, which nobody else uses meanwhile.
unsafe fn messages<'a>(start: *mut mmsghdr, count: c_uint) -> Result<&'a mut [mmsghdr], Errno> {
    if count == 0 {
        return Ok(&mut []);
    }
    if start.is_null() {
        return Err(Errno::new(libc::EFAULT));
    }
    // SAFETY: not null, and the caller's word.
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

/// What recvmmsg(2) does.
///
/// # Errors
///
/// Those of the first message.
///
/// # Safety
///
/// As [`braid_recvmmsg`].
pub unsafe fn receive_many(
    fd: c_int,
    start: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *const timespec,
) -> Result<c_int, Errno> {
    // SAFETY: the caller's word.
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
        let flags = flags & !libc::MSG_WAITFORONE;
        // SAFETY: the caller's word.
        let received = unsafe { receive_vectors(fd, message.msg_iov, message.msg_iovlen, flags) }?;
        message.msg_namelen = 0;
        message.msg_controllen = 0;
        message.msg_flags = flags & libc::MSG_CMSG_CLOEXEC;
        // A stream that has ended gives no second message.
        Ok((received > 0 || done == 0).then_some(received))
    })
}

/// What sendmmsg(2) does.
///
/// # Errors
///
/// Those of the first message.
///
/// # Safety
///
/// As [`braid_sendmmsg`].
pub unsafe fn send_many(
    fd: c_int,
    start: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> Result<c_int, Errno> {
    // SAFETY: the caller's word.
    let messages = unsafe { messages(start, count) }?;
    each(messages, |message, _| {
        // SAFETY: the caller's word.
        unsafe { send_vectors(fd, message.msg_iov, message.msg_iovlen, flags) }.map(Some)
    })
}

/// recvmmsg(2), with MSG_WAITFORONE beside the flags of recv(2).
///
/// # Safety
///
/// `messages` is null, or `count` of them are good for reading and writing, and their buffers for
/// writing. `timeout` is null or good for reading.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *const timespec,
) -> c_int {
    // SAFETY: the caller's word.
    let received = unsafe { receive_many(fd, messages, count, flags, timeout) };
    told(received, |count| count)
}

/// sendmmsg(2).
///
/// # Safety
///
/// `messages` is null, or `count` of them are good for reading and writing, and their buffers for
/// reading.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's word.
    told(unsafe { send_many(fd, messages, count, flags) }, |count| {
        count
    })
}
