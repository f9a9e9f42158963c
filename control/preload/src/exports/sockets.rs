//! socket(2), bind(2), listen(2), accept(2), connect(2), shutdown(2), getsockname(2), getpeername(2).

use super::is_ours;
use crate::arguments::{address, store_address};
use crate::outcome::{answer, aside};
use crate::policy::{Mode, policy};
use crate::takeover::{self, Owner, Use};
use crate::{candidate, epoll_sets, real, report};
use braid_shm::abi::{AF_MULTIPATH, IPPROTO_MPTCP};
use braid_socket::{Errno, calls};
use libc::{c_int, sockaddr, socklen_t};

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    if domain == c_int::from(AF_MULTIPATH) && policy().mode != Mode::KernelMultipath {
        return answer(|| {
            calls::socket(domain, kind, protocol).inspect_err(|errno| report::no_engine(*errno))
        });
    }
    let may_take = takeover::may_take(domain, kind, protocol);
    if may_take && policy().mode == Mode::KernelMultipath {
        // SAFETY: no pointer is passed.
        let fd = unsafe { real::socket(domain, kind, IPPROTO_MPTCP) };
        if fd >= 0 {
            return fd;
        }
    }
    // SAFETY: no pointer is passed.
    let mut fd = unsafe { real::socket(domain, kind, protocol) };
    if may_take && policy().mode != Mode::KernelMultipath {
        if fd < 0 && protocol == IPPROTO_MPTCP {
            // A kernel without Multipath TCP: until the engine takes it, TCP holds its place.
            // SAFETY: no pointer is passed.
            fd = unsafe { real::socket(domain, kind, libc::IPPROTO_TCP) };
        }
        if fd >= 0 && !crate::process::borrows_memory() {
            aside(|| candidate::lock().insert(fd, domain, protocol));
        }
    }
    fd
}

/// Lets `ours` have the descriptor if it is the engine's, or becomes it by this address; `None`: it is
/// the kernel's.
fn by_owner(
    fd: c_int,
    owner: impl FnOnce() -> Result<Owner, Errno>,
    ours: impl FnOnce() -> Result<(), Errno>,
) -> Option<Result<(), Errno>> {
    if is_ours(fd) {
        return Some(ours());
    }
    if !candidate::may_be(fd) || candidate::lock().get_mut(fd).is_none() {
        return None;
    }
    match owner() {
        Ok(Owner::Kernel) => None,
        Ok(Owner::Engine) => Some(takeover::take_over(fd).and_then(|()| ours())),
        Err(errno) => Some(Err(errno)),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn bind(fd: c_int, start: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the caller's promise.
    if let Ok(bytes) = unsafe { address(start, length) } {
        let taken = aside(|| {
            by_owner(
                fd,
                || takeover::owner(bytes, Use::Local),
                || calls::bind(fd, bytes),
            )
        });
        if let Some(outcome) = taken {
            return answer(|| outcome);
        }
    }
    // SAFETY: the caller's promise.
    let result = unsafe { real::bind(fd, start, length) };
    if result == 0 && candidate::may_be(fd) {
        aside(|| candidate::lock().remove(fd));
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn listen(fd: c_int, backlog: c_int) -> c_int {
    let taken = aside(|| {
        by_owner(
            fd,
            || takeover::owner_of_any(fd),
            || {
                calls::listen(fd, backlog)?;
                report::listens(&calls::local_name(fd).unwrap_or_default());
                Ok(())
            },
        )
    });
    if let Some(outcome) = taken {
        return answer(|| outcome);
    }
    // SAFETY: no pointer is passed.
    let result = unsafe { real::listen(fd, backlog) };
    if result == 0 && candidate::may_be(fd) {
        aside(|| candidate::lock().remove(fd));
    }
    result
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn connect(
    fd: c_int,
    start: *const sockaddr,
    length: socklen_t,
) -> c_int {
    // SAFETY: the caller's promise.
    if let Ok(bytes) = unsafe { address(start, length) } {
        let taken = aside(|| {
            by_owner(
                fd,
                || takeover::owner(bytes, Use::Remote),
                || {
                    report::connects(bytes);
                    calls::connect(fd, bytes)
                },
            )
        });
        if let Some(outcome) = taken {
            return answer(|| outcome);
        }
    }
    // SAFETY: the caller's promise.
    let result = unsafe { real::connect(fd, start, length) };
    // After a failure a program may try another address with the same socket.
    if candidate::may_be(fd) && (result == 0 || Errno::last().get() == libc::EINPROGRESS) {
        aside(|| candidate::lock().remove(fd));
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn accept4(
    fd: c_int,
    into: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    if is_ours(fd) {
        return answer(|| {
            let accepted = calls::accept(fd, flags)?;
            // SAFETY: the caller's promise.
            if let Err(errno) = unsafe { store_address(&accepted.peer, into, length) } {
                let _ = calls::close(accepted.fd);
                return Err(errno);
            }
            Ok(accepted.fd)
        });
    }
    // SAFETY: the caller's promise.
    unsafe { real::accept4(fd, into, length, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn accept(
    fd: c_int,
    into: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { accept4(fd, into, length, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn shutdown(fd: c_int, how: c_int) -> c_int {
    if is_ours(fd) {
        return answer(|| {
            calls::shutdown(fd, how)?;
            epoll_sets::look_for_end(fd);
            Ok(())
        });
    }
    // SAFETY: no pointer is passed.
    unsafe { real::shutdown(fd, how) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getsockname(
    fd: c_int,
    into: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    if is_ours(fd) {
        // SAFETY: the caller's promise.
        return answer(|| unsafe { store_name(&calls::local_name(fd)?, into, length) });
    }
    // SAFETY: the caller's promise.
    unsafe { real::getsockname(fd, into, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getpeername(
    fd: c_int,
    into: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    if is_ours(fd) {
        // SAFETY: the caller's promise.
        return answer(|| unsafe { store_name(&calls::peer_name(fd)?, into, length) });
    }
    // SAFETY: the caller's promise.
    unsafe { real::getpeername(fd, into, length) }
}

/// As [`store_address`], but there must be somewhere to store it.
///
/// # Safety
///
/// As [`store_address`].
unsafe fn store_name(
    name: &[u8],
    into: *mut sockaddr,
    length: *mut socklen_t,
) -> Result<(), Errno> {
    if into.is_null() || length.is_null() {
        return Err(Errno::new(libc::EFAULT));
    }
    // SAFETY: the caller's promise.
    unsafe { store_address(name, into, length) }
}
