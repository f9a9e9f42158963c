//! connect(2).

use super::of;
use super::open::whole_address;
use crate::descriptor::OpenSocket;
use crate::errno::Errno;
use crate::fork;
use crate::wait::{Patience, Waiter};
use braid_shm::SlotState;
use braid_shm::abi::Operation;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::Ordering;

/// Connects to a sockaddr_in, sockaddr_in6 or, on an AF_MULTIPATH socket, sockaddr_multipath.
///
/// Errors: EINPROGRESS on a non-blocking socket: it becomes writable when it is done, and SO_ERROR
/// tells how; also when SO_SNDTIMEO is over. EALREADY while that is so, EISCONN afterwards. EINTR: it
/// goes on by itself. ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT.
pub fn connect(fd: RawFd, address: &[u8]) -> Result<(), Errno> {
    let (socket, fd) = of(fd)?;
    if socket.engine_is_gone() {
        return Err(Errno::new(libc::ECONNRESET));
    }
    let slot = socket.slot();
    slot.set_orderly(false);
    let patience = Patience::new(slot.nonblocking(), slot.send_timeout());
    match slot.state() {
        SlotState::Established if socket.connecting.swap(false, Ordering::Relaxed) => return Ok(()),
        SlotState::Established | SlotState::Listening => return Err(Errno::new(libc::EISCONN)),
        SlotState::Connecting if patience == Patience::None => {
            return Err(Errno::new(libc::EALREADY));
        }
        SlotState::Connecting => return finish(&socket, fd, patience),
        SlotState::Closed if slot.has_error() => return Err(failure(&socket)),
        SlotState::Open | SlotState::Closed | SlotState::Free => {}
    }
    let address = whole_address(address)?;
    // First unwritable, then the command: whoever polls for the end of it does not see the start.
    slot.block(fork::thread(), &fd)?;
    if let Err(errno) = socket.call(fd, Operation::Connect, address) {
        slot.kick();
        return Err(errno);
    }
    socket.connecting.store(true, Ordering::Relaxed);
    finish(&socket, fd, patience)
}

fn finish(socket: &OpenSocket, fd: BorrowedFd<'_>, patience: Patience) -> Result<(), Errno> {
    let mut waiter = Waiter::new(socket, fd, patience);
    let done = || socket.slot().state() != SlotState::Connecting || socket.engine_is_gone();
    while !done() {
        match waiter.for_connection(done) {
            Err(errno) if errno.get() == libc::EAGAIN => {
                return Err(Errno::new(libc::EINPROGRESS));
            }
            other => other?,
        }
    }
    socket.connecting.store(false, Ordering::Relaxed);
    // A connection that is over already was there: its end is told by the next receive.
    let slot = socket.slot();
    let connected = match slot.state() {
        SlotState::Established => true,
        SlotState::Closed => !slot.has_error(),
        _ => false,
    };
    if connected && !socket.engine_is_gone() {
        Ok(())
    } else {
        Err(failure(socket))
    }
}

fn failure(socket: &OpenSocket) -> Errno {
    if socket.engine_is_gone() {
        return Errno::new(libc::ECONNRESET);
    }
    Errno::new(socket.slot().take_error().unwrap_or(libc::ECONNABORTED))
}
