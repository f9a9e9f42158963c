//! What ioctl(2), fcntl(2) and epoll_ctl(2) ask of a socket.

use super::of;
use super::poll::wait_until_readable;
use crate::errno::Errno;
use braid_shm::SlotState;
use braid_shm::abi::Operation;
use std::os::fd::RawFd;

/// FIONREAD: bytes that wait to be read. Errors: EINVAL on a listener.
pub fn unread_bytes(fd: RawFd) -> Result<usize, Errno> {
    let (socket, _) = of(fd)?;
    if socket.slot().state() == SlotState::Listening {
        return Err(Errno::new(libc::EINVAL));
    }
    Ok(socket.slot().unread()?)
}

/// SIOCOUTQ: bytes sent that the peer has not acknowledged. Errors: EINVAL on a listener.
pub fn send_queue_bytes(fd: RawFd) -> Result<usize, Errno> {
    send_queue(fd, false)
}

/// SIOCOUTQNSD: bytes sent that have not gone out yet. Errors: EINVAL on a listener.
pub fn not_sent_bytes(fd: RawFd) -> Result<usize, Errno> {
    send_queue(fd, true)
}

fn send_queue(fd: RawFd, not_sent: bool) -> Result<usize, Errno> {
    let (socket, fd) = of(fd)?;
    match socket.slot().state() {
        SlotState::Listening => Err(Errno::new(libc::EINVAL)),
        SlotState::Established | SlotState::Closed => {
            let answer = socket.call(fd, Operation::SendQueue { not_sent }, &[])?;
            Ok(usize::try_from(answer.result).unwrap_or(0))
        }
        SlotState::Free | SlotState::Open | SlotState::Connecting => Ok(0),
    }
}

/// Whether the socket is non-blocking.
pub fn is_nonblocking(fd: RawFd) -> Result<bool, Errno> {
    Ok(of(fd)?.0.slot().nonblocking())
}

/// FIONBIO, and O_NONBLOCK of F_SETFL: of all copies of the descriptor.
pub fn set_nonblocking(fd: RawFd, on: bool) -> Result<(), Errno> {
    of(fd)?.0.slot().set_nonblocking(on);
    Ok(())
}

/// Has the descriptor follow the socket's readiness from now on, without a call of ours before each
/// sleep: to be called when it is put into an epoll set, `edge`-triggered or not, or is polled by
/// code that knows nothing of Braid.
pub fn watch_for_good(fd: RawFd, edge: bool) -> Result<(), Errno> {
    let (socket, _) = of(fd)?;
    // A listener's packets are connections: its readiness is the kernel's own.
    if socket.slot().state() != SlotState::Listening {
        socket.slot().watch_for_good(edge);
    }
    Ok(())
}

/// Takes a socket off the list that it is on ([`crate::ReadyList`]): its descriptor follows its
/// readiness from now on.
pub fn unlist(fd: RawFd) -> Result<(), Errno> {
    of(fd)?.0.slot().unlist();
    Ok(())
}

/// Waits a moment until the kernel knows that a socket is readable, if it is: after [`unlist`].
pub fn wait_until_shown(fd: RawFd) -> Result<(), Errno> {
    let (socket, borrowed) = of(fd)?;
    wait_until_readable(&socket, borrowed);
    Ok(())
}
