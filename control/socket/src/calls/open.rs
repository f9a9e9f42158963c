//! socket(2), bind(2), listen(2), shutdown(2), close(2).

use super::{of, send_queue_bytes};
use crate::attachment;
use crate::descriptor::{self, OpenSocket};
use crate::errno::Errno;
use crate::sys::descriptor::{borrow, close as close_descriptor, set_close_on_exec};
use braid_shm::abi::{AF_MULTIPATH, IPPROTO_MPTCP, Operation, sockaddr_multipath};
use braid_shm::{Linger, SlotState};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::thread;
use std::time::{Duration, Instant};

/// How long a lingering close waits before it asks again, at first and at most.
const LINGER_STEPS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));

/// A new socket. `domain`: AF_INET, AF_INET6 or AF_MULTIPATH; `kind`: SOCK_STREAM, with SOCK_NONBLOCK
/// and SOCK_CLOEXEC; `protocol`: 0, IPPROTO_TCP or IPPROTO_MPTCP.
///
/// Errors: EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT; EMFILE, ENFILE; without an engine ENOENT or
/// ECONNREFUSED; if it refuses this user EACCES (see [`attachment::last_refusal`]).
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<RawFd, Errno> {
    let flags = kind & (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    if ![libc::AF_INET, libc::AF_INET6, i32::from(AF_MULTIPATH)].contains(&domain) {
        return Err(Errno::new(libc::EAFNOSUPPORT));
    }
    if kind & !flags != libc::SOCK_STREAM {
        return Err(Errno::new(libc::ESOCKTNOSUPPORT));
    }
    if ![0, libc::IPPROTO_TCP, IPPROTO_MPTCP].contains(&protocol) {
        return Err(Errno::new(libc::EPROTONOSUPPORT));
    }
    let (found, fd) = attachment::open(domain, protocol)?;
    found.slot.set_nonblocking(flags & libc::SOCK_NONBLOCK != 0);
    if flags & libc::SOCK_CLOEXEC == 0 {
        let borrowed = borrow(fd.as_raw_fd()).ok_or(Errno::new(libc::EBADF))?;
        set_close_on_exec(borrowed, false)?;
    }
    descriptor::insert(fd.as_raw_fd(), found)?;
    Ok(fd.into_raw_fd())
}

/// Gives the socket a local address: a sockaddr_in, a sockaddr_in6, or on an AF_MULTIPATH socket a
/// sockaddr_multipath. Errors: EINVAL, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT.
pub fn bind(fd: RawFd, address: &[u8]) -> Result<(), Errno> {
    let (socket, fd) = of(fd)?;
    let address = whole_address(address)?;
    socket.call(fd, Operation::Bind, address).map(drop)
}

/// As much of an address as any socket takes.
pub(super) fn whole_address(address: &[u8]) -> Result<&[u8], Errno> {
    if address.len() < size_of::<libc::sa_family_t>() {
        return Err(Errno::new(libc::EINVAL));
    }
    Ok(address
        .get(..address.len().min(sockaddr_multipath::BYTES))
        .unwrap_or_default())
}

/// Makes the socket a listener, for which `backlog` connections may wait. Errors: EINVAL on one that is
/// connected, EADDRINUSE.
pub fn listen(fd: RawFd, backlog: i32) -> Result<(), Errno> {
    let (socket, fd) = of(fd)?;
    socket
        .call(fd, Operation::Listen { backlog }, &[])
        .map(drop)
}

/// Ends one direction or both: `how` is SHUT_RD, SHUT_WR or SHUT_RDWR. What was sent before goes out.
/// Errors: EINVAL, ENOTCONN.
pub fn shutdown(fd: RawFd, how: i32) -> Result<(), Errno> {
    let (socket, fd) = of(fd)?;
    if ![libc::SHUT_RD, libc::SHUT_WR, libc::SHUT_RDWR].contains(&how) {
        return Err(Errno::new(libc::EINVAL));
    }
    socket.call(fd, Operation::Shutdown { how }, &[])?;
    socket.slot().set_orderly(true);
    Ok(())
}

/// What comes before the close of a socket's descriptor, for callers that close it themselves: its
/// end, in whichever process it comes, is a close and not the death of the program; the table forgets
/// it; with SO_LINGER the caller waits until the peer has acknowledged what was sent.
pub fn close_marks(fd: RawFd) {
    let Some(socket) = descriptor::find(fd) else {
        return;
    };
    socket.slot().set_orderly(true);
    linger(fd, &socket);
    descriptor::forget(fd);
}

/// Closes the descriptor. The connection is closed in order once all copies of it are. Errors: EBADF.
pub fn close(fd: RawFd) -> Result<(), Errno> {
    close_marks(fd);
    close_descriptor(fd)
}

/// Waits until all that was sent is acknowledged, as long as SO_LINGER says, non-blocking or not.
fn linger(fd: RawFd, socket: &OpenSocket) {
    let Linger::For(time) = socket.slot().linger() else {
        return;
    };
    let Some(end) = Instant::now().checked_add(time) else {
        return;
    };
    let (mut step, longest) = LINGER_STEPS;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // A connection that has ended answers 0, an engine that has ended does not answer.
        if left.is_zero()
            || socket.slot().state() != SlotState::Established
            || !send_queue_bytes(fd).is_ok_and(|bytes| bytes > 0)
        {
            return;
        }
        thread::sleep(step.min(left));
        step = (step * 2).min(longest);
    }
}
