//! send(2) and its family: bytes into the transmit ring.

use super::of;
use crate::descriptor::OpenSocket;
use crate::errno::Errno;
use crate::fork;
use crate::sys::process::raise_sigpipe;
use crate::wait::{Patience, Waiter};
use braid_shm::{SlotState, Splitting, Unsent};
use std::os::fd::RawFd;

/// [`send`] of one buffer.
pub fn send_one(fd: RawFd, bytes: &[u8], flags: i32) -> Result<usize, Errno> {
    send(fd, std::iter::once(bytes), flags)
}

/// Sends the buffers in order; how many bytes went. A blocking socket waits until all have, and gives
/// less only when a signal, SO_SNDTIMEO or an error comes in between. Up to half the ring go in one
/// piece then, whoever else sends meanwhile.
///
/// Flags: MSG_DONTWAIT, MSG_NOSIGNAL; MSG_MORE holds back what is less than a segment until the next
/// call without it, for 200 ms at most; MSG_EOR and MSG_CONFIRM are taken and make no difference: what
/// waits in the ring is cut into segments together.
///
/// Errors: EPIPE, with SIGPIPE unless MSG_NOSIGNAL, when the socket is shut down for sending or was
/// never connected; ECONNRESET and what else ended the connection, once; EAGAIN; EINTR; EOPNOTSUPP for
/// MSG_OOB and MSG_FASTOPEN.
pub fn send<'a>(
    fd: RawFd,
    buffers: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
    flags: i32,
) -> Result<usize, Errno> {
    if flags & (libc::MSG_OOB | libc::MSG_FASTOPEN) != 0 {
        return Err(Errno::new(libc::EOPNOTSUPP));
    }
    let (socket, fd) = of(fd)?;
    let slot = socket.slot();
    slot.set_orderly(false);
    slot.hold_back(flags & libc::MSG_MORE != 0);
    let nonblocking = flags & libc::MSG_DONTWAIT != 0 || slot.nonblocking();
    let splitting = if nonblocking {
        Splitting::AsNeeded
    } else {
        Splitting::OnlyLong
    };
    let mut unsent = Unsent::new(buffers.into_iter());
    let length = unsent.length();
    let mut waiter = None;
    loop {
        let begun = unsent.length() < length;
        match step(&socket, &mut unsent, splitting, begun) {
            Ok(Step::Done) => return Ok(length),
            Ok(Step::Full) => {}
            Err(_) if begun => return Ok(length - unsent.length()),
            Err(errno) => return Err(told(errno, flags)),
        }
        let waiter = waiter.get_or_insert_with(|| {
            let patience = Patience::new(nonblocking, slot.send_timeout());
            Waiter::new(&socket, fd, patience)
        });
        waiter.begun = unsent.length() < length;
        match wait(&socket, waiter, unsent.length(), splitting) {
            Ok(()) => {}
            Err(_) if unsent.length() < length => return Ok(length - unsent.length()),
            Err(errno) => return Err(errno),
        }
    }
}

enum Step {
    /// All of it is through.
    Done,
    /// The ring is full, or there is no connection yet.
    Full,
}

/// Sends what goes now; `begun`: this call has sent some already.
fn step<'a, I: Iterator<Item = &'a [u8]> + Clone>(
    socket: &OpenSocket,
    unsent: &mut Unsent<'a, I>,
    splitting: Splitting,
    begun: bool,
) -> Result<Step, Errno> {
    let slot = socket.slot();
    if socket.engine_is_gone() {
        return Err(Errno::new(libc::ECONNRESET));
    }
    if slot.has_error() || slot.write_closed() {
        // An error that comes behind bytes that went is for the next call.
        let error = if begun { None } else { slot.take_error() };
        return Err(Errno::new(error.unwrap_or(libc::EPIPE)));
    }
    match slot.state() {
        SlotState::Established => {}
        SlotState::Connecting => return Ok(Step::Full),
        SlotState::Closed | SlotState::Open | SlotState::Listening | SlotState::Free => {
            return Err(Errno::new(libc::EPIPE));
        }
    }
    if !unsent.is_empty() {
        slot.send_from(fork::thread(), unsent, splitting)?;
    }
    Ok(if unsent.is_empty() {
        Step::Done
    } else {
        Step::Full
    })
}

fn wait(
    socket: &OpenSocket,
    waiter: &mut Waiter<'_>,
    length: usize,
    splitting: Splitting,
) -> Result<(), Errno> {
    let slot = socket.slot();
    let over = || slot.has_error() || slot.write_closed() || socket.engine_is_gone();
    if slot.state() == SlotState::Connecting {
        return waiter.for_connection(|| slot.state() != SlotState::Connecting || over());
    }
    let waited = waiter.for_room(|| slot.has_room_for(length, splitting) || over());
    if waited.is_err_and(|errno| errno.get() == libc::EAGAIN)
        && waiter.patience == Patience::None
        && socket.look_for_death(waiter.fd)
    {
        return Err(Errno::new(libc::ECONNRESET));
    }
    waited
}

/// EPIPE comes with its signal.
fn told(errno: Errno, flags: i32) -> Errno {
    if errno.get() == libc::EPIPE && flags & libc::MSG_NOSIGNAL == 0 {
        raise_sigpipe();
    }
    errno
}
