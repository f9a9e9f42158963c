//! How a candidate becomes a socket of the engine, under the same number: the engine's descriptor is
//! put over it, options are set again, and epoll sets that had it get it again.

use crate::candidate::{self, Candidate, Registration};
use crate::outcome::check;
use crate::{epoll_sets, policy, real, report};
use braid_shm::abi::SocketAddressStorage;
use braid_socket::{Errno, attachment, calls, descriptor};
use libc::{EPOLL_CTL_ADD, EPOLL_CTL_MOD, c_int, epoll_event};
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// What an address is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// bind(2), listen(2).
    Local,
    /// connect(2).
    Remote,
}

/// Whose a socket is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    Engine,
    Kernel,
}

/// Who owns the address. Errors: the kernel does, and is not to be used.
pub(crate) fn owner(address: &[u8], usage: Use) -> Result<Owner, Errno> {
    let parsed = SocketAddressStorage::from_sockaddr(address).and_then(|storage| storage.address());
    let of_kernel = match (parsed, usage) {
        (Some(address), _) if !is_loopback(address) => {
            match with_numbers(|| attachment::owns(&address_bytes(&address), usage == Use::Remote))
            {
                Ok(true) => return Ok(Owner::Engine),
                Ok(false) => libc::EADDRNOTAVAIL,
                Err(errno) => {
                    report::no_engine(errno);
                    libc::EADDRNOTAVAIL
                }
            }
        }
        _ => libc::EADDRNOTAVAIL,
    };
    match (policy::is_strict(), usage) {
        (false, _) => Ok(Owner::Kernel),
        (true, Use::Local) => Err(Errno::new(of_kernel)),
        (true, Use::Remote) => Err(Errno::new(libc::ENETUNREACH)),
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn address_bytes(address: &SocketAddr) -> Vec<u8> {
    let storage = SocketAddressStorage::new(*address);
    storage
        .0
        .get(..storage.length())
        .unwrap_or_default()
        .to_vec()
}

/// Makes the candidate at `fd`, and all its copies, a socket of the engine. Errors: those of
/// [`calls::socket`]; it then is the candidate it was.
pub(crate) fn take_over(fd: RawFd) -> Result<(), Errno> {
    let Some(mut candidate) = candidate::lock().get_mut(fd).map(|found| found.clone()) else {
        return Err(Errno::new(libc::ENOTSOCK));
    };
    // SAFETY: no pointer is passed.
    let flags = check(unsafe { real::fcntl(fd, libc::F_GETFL, 0) })?;
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | (flags & libc::O_NONBLOCK);
    let new = with_numbers(|| calls::socket(candidate.domain, kind, candidate.protocol))?;
    let Some((copies, _)) = candidate::lock().take(fd) else {
        // Another thread was faster.
        let _ = calls::close(new);
        return Ok(());
    };
    candidate.registrations.retain(is_there);
    let placed = copies.iter().try_for_each(|copy| place(new, *copy));
    // The number is given up; the socket lives on under the others.
    descriptor::forget(new);
    // SAFETY: no pointer is passed, and the descriptor is nobody else's.
    unsafe { real::close(new) };
    placed?;
    set_again(fd, &candidate);
    Ok(())
}

/// Does `work`, again with more numbers if there were too few: a program that has as many descriptors
/// as it may have needs one more for a moment.
fn with_numbers<T>(work: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    match work() {
        // A packet that lost its descriptors on the way is EPROTO.
        Err(errno) if [libc::EMFILE, libc::EPROTO].contains(&errno.get()) => {
            descriptor::with_spare_numbers(work)
        }
        other => other,
    }
}

/// Puts `new` over `copy`, with the flags that `copy` has.
fn place(new: RawFd, copy: RawFd) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    unsafe {
        let flags = check(real::fcntl(copy, libc::F_GETFD, 0))?;
        let close_on_exec = if flags & libc::FD_CLOEXEC != 0 {
            libc::O_CLOEXEC
        } else {
            0
        };
        check(real::dup3(new, copy, close_on_exec))?;
    }
    descriptor::duplicate(new, copy)
}

/// epoll_ctl(2) with a registration.
fn register(
    operation: c_int,
    registration: &Registration,
    mut event: epoll_event,
) -> Result<(), Errno> {
    let (set, fd) = (registration.set, registration.fd);
    // SAFETY: the event is live.
    check(unsafe { real::epoll_ctl(set, operation, fd, &raw mut event) }).map(drop)
}

/// Whether a candidate still is in that set: the set's number may have become another's, and it may
/// have been taken out by another number of the set.
fn is_there(registration: &Registration) -> bool {
    let missing = [libc::ENOENT, libc::EBADF];
    register(EPOLL_CTL_MOD, registration, registration.event)
        .map_or_else(|errno| !missing.contains(&errno.get()), |()| true)
}

/// Options and registrations. What the engine does not take of an option it has no use for.
fn set_again(fd: RawFd, candidate: &Candidate) {
    for option in &candidate.options {
        let _ = calls::set_option(fd, option.level, option.name, &option.value);
    }
    for registration in &candidate.registrations {
        let event = epoll_sets::for_kernel(registration.fd, registration.event);
        let added = register(EPOLL_CTL_ADD, registration, event).or_else(|errno| {
            if errno.get() == libc::EEXIST {
                // Changed by another number of the same set.
                register(EPOLL_CTL_MOD, registration, event)
            } else {
                Err(errno)
            }
        });
        if added.is_ok() {
            let (set, fd) = (registration.set, registration.fd);
            epoll_sets::note(set, EPOLL_CTL_ADD, fd, Some(registration.event));
        }
    }
}

/// Gives an unbound candidate to the engine if that owns what listen(2) without bind(2) means.
pub(crate) fn owner_of_any(fd: RawFd) -> Result<Owner, Errno> {
    let domain = candidate::lock()
        .get_mut(fd)
        .map_or(libc::AF_INET, |candidate| candidate.domain);
    let any: SocketAddr = if domain == libc::AF_INET6 {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    };
    owner(&address_bytes(&any), Use::Local)
}

/// Whether a socket of this kind is one that the engine may take.
pub(crate) fn may_take(domain: c_int, kind: c_int, protocol: c_int) -> bool {
    let kind = kind & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    [libc::AF_INET, libc::AF_INET6].contains(&domain)
        && kind == libc::SOCK_STREAM
        && [0, libc::IPPROTO_TCP, braid_shm::abi::IPPROTO_MPTCP].contains(&protocol)
}
