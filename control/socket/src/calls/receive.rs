//! recv(2) and its family: bytes out of the receive ring.

use super::of;
use crate::descriptor::OpenSocket;
use crate::errno::Errno;
use crate::fork;
use crate::wait::{Patience, Waiter};
use braid_shm::{ReadEnd, SlotState};
use std::os::fd::RawFd;

/// Bytes that MSG_TRUNC drops in one go.
const DROP_BYTES: usize = 4096;

/// [`receive`] into one buffer.
pub fn receive_one(fd: RawFd, into: &mut [u8], flags: i32) -> Result<usize, Errno> {
    let length = into.len();
    receive(fd, std::iter::once(into), length, flags)
}

/// Fills the buffers in order, which have `length` bytes together; how many bytes came. 0: the peer
/// has sent its last, or `length` is 0. A blocking socket waits for SO_RCVLOWAT bytes, normally one.
///
/// Flags: MSG_DONTWAIT; MSG_PEEK leaves the bytes; MSG_WAITALL waits for all of `length`; MSG_TRUNC
/// drops the bytes instead of copying them.
///
/// Errors: ECONNRESET and what else ended the connection, once, then 0; ENOTCONN; EAGAIN, also when
/// SO_RCVTIMEO is over; EINTR; EINVAL for MSG_OOB.
pub fn receive<'a>(
    fd: RawFd,
    buffers: impl IntoIterator<Item = &'a mut [u8]>,
    length: usize,
    flags: i32,
) -> Result<usize, Errno> {
    let drops = flags & libc::MSG_TRUNC != 0;
    receive_into(fd, length, flags, |receiving| {
        for buffer in buffers {
            let goes_on = if drops {
                receiving.drop_bytes(buffer.len())
            } else {
                receiving.fill(buffer)
            };
            if !goes_on? {
                break;
            }
        }
        Ok(())
    })
}

/// Drops up to `length` bytes, as [`receive`] with MSG_TRUNC does.
pub fn discard(fd: RawFd, length: usize, flags: i32) -> Result<usize, Errno> {
    receive_into(fd, length, flags, |receiving| {
        receiving.drop_bytes(length).map(drop)
    })
}

fn receive_into(
    fd: RawFd,
    length: usize,
    flags: i32,
    fill: impl FnOnce(&mut Receiving<'_>) -> Result<(), Errno>,
) -> Result<usize, Errno> {
    if flags & libc::MSG_OOB != 0 {
        return Err(Errno::new(libc::EINVAL));
    }
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Err(Errno::new(libc::EAGAIN));
    }
    let (socket, fd) = of(fd)?;
    if length == 0 {
        return Ok(0);
    }
    let slot = socket.slot();
    slot.set_orderly(false);
    let nonblocking = flags & libc::MSG_DONTWAIT != 0 || slot.nonblocking();
    let target = if flags & libc::MSG_WAITALL != 0 {
        length
    } else {
        (slot.receive_low_water() as usize).min(length)
    };
    let timeout = slot.receive_timeout();
    let mut receiving = Receiving {
        waiter: Waiter::new(&socket, fd, Patience::new(nonblocking, timeout)),
        socket: &socket,
        peeks: flags & libc::MSG_PEEK != 0,
        received: 0,
        target,
    };
    fill(&mut receiving)?;
    if receiving.received > 0 {
        socket.fruitless.end();
    }
    Ok(receiving.received)
}

/// A receive that is under way.
struct Receiving<'a> {
    waiter: Waiter<'a>,
    socket: &'a OpenSocket,
    peeks: bool,
    received: usize,
    target: usize,
}

/// What there was.
enum Found {
    Bytes(usize),
    End,
    Nothing,
}

impl Receiving<'_> {
    /// Fills one buffer; whether the next is to be filled, too.
    fn fill(&mut self, mut into: &mut [u8]) -> Result<bool, Errno> {
        while !into.is_empty() {
            match self.take(into) {
                Ok(Found::Bytes(count)) => {
                    self.received += count;
                    into = into.get_mut(count..).unwrap_or_default();
                }
                Ok(Found::End) => return Ok(false),
                Ok(Found::Nothing) if self.received >= self.target => return Ok(false),
                Ok(Found::Nothing) => match self.wait() {
                    Ok(()) => {}
                    Err(_) if self.received > 0 => return Ok(false),
                    Err(errno) => return Err(errno),
                },
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }

    fn drop_bytes(&mut self, mut count: usize) -> Result<bool, Errno> {
        let mut scratch = [0; DROP_BYTES];
        while count > 0 {
            let before = self.received;
            let length = count.min(scratch.len());
            let goes_on = self.fill(scratch.get_mut(..length).unwrap_or_default())?;
            if !goes_on {
                return Ok(false);
            }
            count -= self.received - before;
        }
        Ok(true)
    }

    fn take(&self, into: &mut [u8]) -> Result<Found, Errno> {
        let slot = self.socket.slot();
        // Asked before the ring is looked at: bytes before the end are then seen.
        let (end, state) = (slot.read_end(), slot.state());
        let gone = self.socket.engine_is_gone();
        let count = if self.peeks {
            slot.peek(fork::thread(), self.received, into)?
        } else {
            slot.receive(fork::thread(), into, &self.waiter.fd)?
        };
        if count > 0 {
            return Ok(Found::Bytes(count));
        }
        if self.received > 0 {
            let over = end != ReadEnd::Open || gone || slot.has_error();
            return Ok(if over { Found::End } else { Found::Nothing });
        }
        if end == ReadEnd::Finished {
            return Ok(Found::End);
        }
        if let Some(errno) = slot.take_error() {
            return Err(Errno::new(errno));
        }
        if end == ReadEnd::Reset {
            return Ok(Found::End);
        }
        if gone {
            return Err(Errno::new(libc::ECONNRESET));
        }
        match state {
            SlotState::Established | SlotState::Connecting => Ok(Found::Nothing),
            SlotState::Closed => Ok(Found::End),
            SlotState::Open if slot.has_untold_failure() => Ok(Found::End),
            SlotState::Open | SlotState::Listening | SlotState::Free => {
                Err(Errno::new(libc::ENOTCONN))
            }
        }
    }

    fn wait(&mut self) -> Result<(), Errno> {
        let (socket, slot) = (self.socket, self.socket.slot());
        if self.waiter.patience == Patience::None {
            return self.give_up();
        }
        self.waiter.begun = self.received > 0;
        let over =
            || slot.read_end() != ReadEnd::Open || slot.has_error() || socket.engine_is_gone();
        let beyond = if self.peeks { self.received } else { 0 };
        let ready = || slot.unread().map_or(true, |unread| unread > beyond) || over();
        if beyond == 0 {
            self.waiter.for_bytes(ready)
        } else {
            self.waiter.for_more_bytes(ready)
        }
    }

    /// EAGAIN. From the second in a row on the kernel is asked whether the engine has died: a program
    /// that waits in epoll would otherwise never hear of it.
    fn give_up(&self) -> Result<(), Errno> {
        let asks = self.received == 0 && self.socket.fruitless.note();
        if asks && self.socket.look_for_death(self.waiter.fd) {
            // Once more around: what came before the end is read first.
            return Ok(());
        }
        Err(Errno::new(libc::EAGAIN))
    }
}
