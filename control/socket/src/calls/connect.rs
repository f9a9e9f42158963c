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

/// Connects to a sockaddr_in, sockaddr_in6 or, on an AF_MULTIPATH socket, sockaddr_multipath.
///
/// Errors: EINPROGRESS on a non-blocking socket: it becomes writable when it is done, and SO_ERROR
/// tells how; also when SO_SNDTIMEO is over. EALREADY while that is so, EISCONN afterwards. EINTR: it
/// goes on by itself. ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT: the socket is
/// as before then, and may connect again.
pub fn connect(fd: RawFd, address: &[u8]) -> Result<(), Errno> {
    let (socket, fd) = of(fd)?;
    if socket.engine_is_gone() {
        return Err(Errno::new(libc::ECONNRESET));
    }
    let slot = socket.slot();
    slot.set_orderly(false);
    let patience = Patience::new(slot.nonblocking(), slot.send_timeout());
    match slot.state() {
        SlotState::Established if slot.set_connect_untold(false) => return Ok(()),
        SlotState::Connecting if patience == Patience::None => {
            return Err(Errno::new(libc::EALREADY));
        }
        SlotState::Connecting => return finish(&socket, fd, patience),
        // As Linux has it: the call that comes first after a failure nobody has waited for tells of
        // it, and the next one connects again.
        SlotState::Open | SlotState::Closed if slot.set_connect_untold(false) => {
            return finish(&socket, fd, patience);
        }
        SlotState::Established | SlotState::Listening | SlotState::Closed => {
            return Err(Errno::new(libc::EISCONN));
        }
        SlotState::Open | SlotState::Free => {}
    }
    let address = whole_address(address)?;
    // First unwritable, then the command: whoever polls for the end of it does not see the start.
    slot.block(fork::thread(), &fd)?;
    slot.set_connect_untold(true);
    if let Err(errno) = socket.call(fd, Operation::Connect, address) {
        slot.set_connect_untold(false);
        slot.kick();
        return Err(errno);
    }
    if patience == Patience::None {
        // However fast the other end is: what becomes of it is told once.
        return Err(Errno::new(libc::EINPROGRESS));
    }
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
    let slot = socket.slot();
    slot.set_connect_untold(false);
    // A connection that is over already was there: its end is told by the next receive.
    let connected = match slot.state() {
        SlotState::Established => true,
        SlotState::Closed => !slot.has_error(),
        _ => false,
    };
    if connected && !socket.engine_is_gone() {
        Ok(())
    } else {
        Err(failure(socket, fd))
    }
}

fn failure(socket: &OpenSocket, fd: BorrowedFd<'_>) -> Errno {
    if socket.engine_is_gone() {
        return Errno::new(libc::ECONNRESET);
    }
    // The token that the failure came with: the socket is readable no more.
    let _ = socket.slot().receive(fork::thread(), &mut [], &fd);
    Errno::new(socket.slot().take_error().unwrap_or(libc::ECONNABORTED))
}
