//! setsockopt(2), getsockopt(2), ioctl(2), fcntl(2).

use super::is_ours;
use crate::arguments::{bytes, room};
use crate::candidate::{self, SetOption};
use crate::outcome::{answer, aside};
use crate::{real, takeover};
use braid_shm::abi;
use braid_socket::{Errno, calls};
use libc::{c_int, c_long, c_ulong, c_void, socklen_t};

/// Braid's own options, which the kernel does not have: who uses one wants a socket of the engine's.
fn asks_for_engine(level: c_int, name: c_int) -> bool {
    level == abi::IPPROTO_TCP && (abi::TCP_MP_ENABLE..=abi::TCP_MULTIPATH_CONNID).contains(&name)
}

/// Options of which the engine may know values that the kernel refuses: controllers, names of ports.
fn may_ask_for_engine(level: c_int, name: c_int) -> bool {
    matches!(
        (level, name),
        (libc::IPPROTO_TCP, libc::TCP_CONGESTION) | (libc::SOL_SOCKET, libc::SO_BINDTODEVICE)
    )
}

fn is_candidate(fd: c_int) -> bool {
    candidate::may_be(fd) && candidate::lock().get_mut(fd).is_some()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    // SAFETY: the caller's promise.
    let set = || unsafe { bytes(value, length as usize) };
    let wants_engine = asks_for_engine(level, name) && aside(|| is_candidate(fd));
    if wants_engine && let Err(errno) = aside(|| takeover::take_over(fd)) {
        crate::report::no_engine(errno);
    }
    if is_ours(fd) {
        return answer(|| calls::set_option(fd, level, name, set()?));
    }
    // SAFETY: the caller's promise.
    let result = unsafe { real::setsockopt(fd, level, name, value, length) };
    if !candidate::may_be(fd) {
        return result;
    }
    if result == 0 {
        aside(|| {
            if let (Some(candidate), Ok(value)) = (candidate::lock().get_mut(fd), set()) {
                let value = value.to_vec();
                candidate.note_option(SetOption { level, name, value });
            }
        });
    } else if may_ask_for_engine(level, name) {
        let taken = aside(|| is_candidate(fd) && takeover::take_over(fd).is_ok());
        if taken {
            return answer(|| calls::set_option(fd, level, name, set()?));
        }
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    if asks_for_engine(level, name) {
        aside(|| is_candidate(fd) && takeover::take_over(fd).is_ok());
    }
    if is_ours(fd) {
        return answer(|| {
            // SAFETY: the caller's promise.
            let length = unsafe { length.as_mut() }.ok_or(Errno::new(libc::EFAULT))?;
            let capacity =
                usize::try_from(*length as c_int).map_err(|_| Errno::new(libc::EINVAL))?;
            // SAFETY: the caller's promise.
            let value = unsafe { room(value, capacity) }?;
            let found = calls::get_option(fd, level, name, value)?;
            *length = socklen_t::try_from(found).unwrap_or(socklen_t::MAX);
            Ok(())
        });
    }
    // SAFETY: the caller's promise.
    unsafe { real::getsockopt(fd, level, name, value, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    if is_ours(fd) {
        // SAFETY: the requests that are answered here take a pointer to an int.
        let number = || unsafe { argument.cast::<c_int>().as_mut() };
        let number = || number().ok_or(Errno::new(libc::EFAULT));
        let count = |bytes: usize| c_int::try_from(bytes).unwrap_or(c_int::MAX);
        match request {
            libc::FIONREAD => {
                return answer(|| {
                    *number()? = count(calls::unread_bytes(fd)?);
                    Ok(())
                });
            }
            libc::TIOCOUTQ => {
                return answer(|| {
                    *number()? = count(calls::send_queue_bytes(fd)?);
                    Ok(())
                });
            }
            SIOCOUTQNSD => {
                return answer(|| {
                    *number()? = count(calls::not_sent_bytes(fd)?);
                    Ok(())
                });
            }
            libc::FIONBIO => return answer(|| calls::set_nonblocking(fd, *number()? != 0)),
            // No urgent data: never at its mark.
            real::SIOCATMARK => {
                return answer(|| {
                    *number()? = 0;
                    Ok(())
                });
            }
            _ => {}
        }
    }
    // SAFETY: the caller's promise.
    unsafe { real::ioctl(fd, request, argument) }
}

/// sockatmark(3), which asks the kernel behind our back.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sockatmark(fd: c_int) -> c_int {
    if is_ours(fd) {
        return 0;
    }
    // SAFETY: no pointer is passed.
    unsafe { real::sockatmark(fd) }
}

/// ioctl: how many bytes have not gone out yet.
const SIOCOUTQNSD: c_ulong = 0x894b;

/// fcntl(2), under both of its names.
///
/// # Safety
///
/// Its own.
unsafe fn control(fd: c_int, command: c_int, argument: c_long) -> c_int {
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        // SAFETY: no pointer is passed.
        let copy = unsafe { real::fcntl(fd, command, argument) };
        super::descriptors::note_copy(fd, copy);
        return copy;
    }
    if !is_ours(fd) {
        // SAFETY: the caller's promise.
        return unsafe { real::fcntl(fd, command, argument) };
    }
    match command {
        libc::F_GETFL => {
            // SAFETY: no pointer is passed.
            let flags = unsafe { real::fcntl(fd, command, argument) };
            if flags < 0 {
                return flags;
            }
            answer(|| {
                Ok(if calls::is_nonblocking(fd)? {
                    flags | libc::O_NONBLOCK
                } else {
                    flags & !libc::O_NONBLOCK
                })
            })
        }
        libc::F_SETFL => {
            let flags = argument as c_int;
            // The descriptor itself never blocks.
            // SAFETY: no pointer is passed.
            let result =
                unsafe { real::fcntl(fd, command, c_long::from(flags | libc::O_NONBLOCK)) };
            if result < 0 {
                return result;
            }
            answer(|| {
                if flags & libc::O_ASYNC != 0 {
                    calls::watch_for_good(fd, false)?;
                }
                calls::set_nonblocking(fd, flags & libc::O_NONBLOCK != 0)
            })
        }
        // SAFETY: the caller's promise.
        _ => unsafe { real::fcntl(fd, command, argument) },
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
    // SAFETY: the caller's promise. A command without an argument gets whatever is in its place,
    // and looks at none.
    unsafe { control(fd, command, argument) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn fcntl64(fd: c_int, command: c_int, argument: c_long) -> c_int {
    // SAFETY: as above.
    unsafe { control(fd, command, argument) }
}
