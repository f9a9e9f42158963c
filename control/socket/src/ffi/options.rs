//! Options, flags and questions.

use super::{bytes, bytes_mut, done, told};
use crate::errno::Errno;
use crate::sys::check;
use crate::{calls, descriptor};
use libc::{c_int, c_long, c_ulong, c_void, socklen_t};

/// setsockopt(2).
///
/// # Safety
///
/// `value` is null or good for reading `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    // SAFETY: by the caller's word.
    let value = unsafe { bytes(value, length as usize) };
    done(value.and_then(|value| calls::set_option(fd, level, name, value)))
}

/// getsockopt(2).
///
/// # Safety
///
/// `length` is null or good for reading and writing, and `value` for both as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    // SAFETY: null, or good for both by the caller's word.
    let length = unsafe { length.as_mut() }.ok_or(Errno::new(libc::EFAULT));
    done(length.and_then(|length| {
        // SAFETY: by the caller's word.
        let value = unsafe { bytes_mut(value, *length as usize) }?;
        let count = calls::get_option(fd, level, name, value)?;
        *length = socklen_t::try_from(count).unwrap_or(socklen_t::MAX);
        Ok(())
    }))
}

/// ioctl(2): FIONREAD, FIONBIO, SIOCOUTQ (TIOCOUTQ), SIOCOUTQNSD and SIOCATMARK. Fails with ENOTTY for
/// others.
///
/// # Safety
///
/// `argument` is null or good for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn braid_ioctl(
    fd: c_int,
    request: c_ulong,
    argument: *mut c_int,
) -> c_int {
    /// Linux's numbers; libc has them for no target.
    const SIOCATMARK: c_ulong = 0x8905;
    const SIOCOUTQNSD: c_ulong = 0x894b;
    // SAFETY: null, or good for both by the caller's word.
    let argument = unsafe { argument.as_mut() }.ok_or(Errno::new(libc::EFAULT));
    let number = |count: usize| c_int::try_from(count).unwrap_or(c_int::MAX);
    done(argument.and_then(|argument| {
        match request {
            libc::FIONREAD => *argument = number(calls::unread_bytes(fd)?),
            libc::TIOCOUTQ => *argument = number(calls::send_queue_bytes(fd)?),
            SIOCOUTQNSD => *argument = number(calls::not_sent_bytes(fd)?),
            libc::FIONBIO => calls::set_nonblocking(fd, *argument != 0)?,
            // There is no urgent data.
            SIOCATMARK => *argument = 0,
            _ => return Err(Errno::new(libc::ENOTTY)),
        }
        Ok(())
    }))
}

/// fcntl(2): F_GETFL and F_SETFL, of which O_NONBLOCK is the socket's; F_DUPFD and F_DUPFD_CLOEXEC;
/// F_GETFD and F_SETFD.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn braid_fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
    told(control(fd, command, argument), |value| value)
}

fn control(fd: c_int, command: c_int, argument: c_long) -> Result<c_int, Errno> {
    // SAFETY: none of the commands that get here takes a pointer.
    let kernel = |argument: c_long| check(unsafe { libc::fcntl(fd, command, argument) });
    match command {
        libc::F_GETFL => {
            let flags = kernel(0)? & !libc::O_NONBLOCK;
            let own = if calls::is_nonblocking(fd)? {
                libc::O_NONBLOCK
            } else {
                0
            };
            Ok(flags | own)
        }
        libc::F_SETFL => {
            calls::set_nonblocking(fd, argument & c_long::from(libc::O_NONBLOCK) != 0)?;
            Ok(0)
        }
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => {
            let copy = kernel(argument)?;
            descriptor::duplicate(fd, copy)?;
            Ok(copy)
        }
        libc::F_GETFD | libc::F_SETFD => kernel(argument),
        _ => Err(Errno::new(libc::EINVAL)),
    }
}
