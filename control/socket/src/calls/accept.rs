//! accept4(2): the engine sends each connection as a packet on the listener's descriptor, with the
//! new socket's descriptor in it. So who of several threads or processes gets it is the kernel's to say.

use super::of;
use crate::attachment::{self, Found, Region};
use crate::descriptor::{self, OpenSocket};
use crate::errno::Errno;
use crate::fork;
use crate::sys::descriptor::{borrow, ensure_free_number, set_close_on_exec};
use crate::sys::message;
use crate::wait::{Patience, Waiter};
use braid_shm::abi::{AcceptedMessage, sockaddr_multipath};
use braid_shm::{SlotFlags, SlotState};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// An accepted connection.
#[derive(Debug)]
pub struct Accepted {
    /// Its descriptor; the caller's.
    pub fd: RawFd,
    /// The peer's sockaddr: a sockaddr_multipath if the listener is of AF_MULTIPATH.
    pub peer: Vec<u8>,
    /// The peer's address. `None`: the engine gave none.
    pub remote: Option<SocketAddr>,
}

/// Takes the next connection. `flags`: SOCK_NONBLOCK and SOCK_CLOEXEC. The new socket has the
/// listener's timeouts, SO_RCVLOWAT and SO_LINGER.
///
/// Errors: EINVAL if it is no listener; EAGAIN if none waits and it is non-blocking, or SO_RCVTIMEO is
/// over; EINTR; EMFILE, at once and whether one waits or not: a connection waits on.
pub fn accept(fd: RawFd, flags: i32) -> Result<Accepted, Errno> {
    if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
        return Err(Errno::new(libc::EINVAL));
    }
    let (listener, fd) = of(fd)?;
    let slot = listener.slot();
    slot.set_orderly(false);
    let patience = Patience::new(slot.nonblocking(), slot.receive_timeout());
    let mut waiter = Waiter::new(&listener, fd, patience);
    loop {
        // A socket that is no listener has tokens in its queue, which are not for us.
        if slot.state() != SlotState::Listening {
            return Err(Errno::new(libc::EINVAL));
        }
        match take(&listener, fd)? {
            Packet::Connection(message, new) => return adopt(&listener, &message, new, flags),
            // It was shut down, which wakes whoever waits, and listens again.
            Packet::Token => {}
            Packet::None => {
                ensure_free_number(fd)?;
                waiter.for_packet()?;
            }
        }
    }
}

/// What a listener's queue gives.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, on the stack"
)]
enum Packet<D> {
    /// There is none.
    None,
    /// One without a meaning but to wake.
    Token,
    /// A connection and its descriptor.
    Connection(AcceptedMessage, D),
}

/// Takes the next packet and its descriptor.
///
/// A packet that is received while the process has no number free loses its descriptor, and so the
/// connection. So it is looked at first, which gives a descriptor of the connection and leaves the
/// packet where it is; without a number for it the connection keeps waiting, as in Linux. Others of
/// this application take no packet in between, but for a signal handler on this very thread.
fn take(listener: &OpenSocket, fd: BorrowedFd<'_>) -> Result<Packet<OwnedFd>, Errno> {
    let _turn = listener.slot().take_turns(fork::thread());
    let looked = match receive(listener, fd, libc::MSG_PEEK)? {
        Packet::None => return Ok(Packet::None),
        Packet::Token => None,
        Packet::Connection(_, None) => return Err(Errno::new(libc::EMFILE)),
        Packet::Connection(message, Some(new)) => Some((message, new)),
    };
    Ok(match receive(listener, fd, 0)? {
        Packet::None => Packet::None,
        Packet::Token => Packet::Token,
        Packet::Connection(message, new) => {
            let same = looked.filter(|(looked, _)| *looked == message);
            let new = same.map(|(_, new)| new).or(new);
            Packet::Connection(message, new.ok_or(Errno::new(libc::ECONNABORTED))?)
        }
    })
}

/// Receives a packet with its descriptor, if that found a number.
fn receive(
    listener: &OpenSocket,
    fd: BorrowedFd<'_>,
    flags: i32,
) -> Result<Packet<Option<OwnedFd>>, Errno> {
    let mut packet = [0; AcceptedMessage::BYTES];
    match message::receive(fd, &mut packet, libc::MSG_DONTWAIT | flags) {
        Ok(received) if received.length == packet.len() => {
            let [new, ..] = received.descriptors;
            let message = AcceptedMessage::from_bytes(&packet).ok_or(Errno::new(libc::EPROTO))?;
            Ok(Packet::Connection(message, new))
        }
        Ok(received) if received.length > 0 => Ok(Packet::Token),
        Ok(_) => Err(ended(listener, fd)),
        Err(errno) if errno.get() == libc::EAGAIN => Ok(Packet::None),
        Err(errno) => Err(errno),
    }
}

fn ended(listener: &OpenSocket, fd: BorrowedFd<'_>) -> Errno {
    let gone = listener.look_for_death(fd);
    Errno::new(if gone { libc::ECONNRESET } else { libc::EINVAL })
}

fn adopt(
    listener: &OpenSocket,
    message: &AcceptedMessage,
    new: OwnedFd,
    flags: i32,
) -> Result<Accepted, Errno> {
    let found = find(listener.region(), message, &new)?;
    let (from, to) = (listener.slot(), &found.slot);
    to.set_receive_timeout(from.receive_timeout());
    to.set_send_timeout(from.send_timeout());
    to.set_linger(from.linger());
    if from.receive_low_water() > 1 {
        to.set_receive_low_water(from.receive_low_water());
    }
    to.set_nonblocking(flags & libc::SOCK_NONBLOCK != 0);
    if flags & libc::SOCK_CLOEXEC == 0 {
        let borrowed = borrow(new.as_raw_fd()).ok_or(Errno::new(libc::EBADF))?;
        set_close_on_exec(borrowed, false)?;
    }
    let remote = message.remote.address();
    let peer = match remote {
        Some(remote) if from.flags().contains(SlotFlags::MULTIPATH) => {
            let mut bytes = sockaddr_multipath::new(&[remote]).to_bytes().to_vec();
            bytes.truncate(sockaddr_multipath::HEADER_BYTES + size_of::<libc::sockaddr_storage>());
            bytes
        }
        _ => message
            .remote
            .0
            .get(..message.remote.length())
            .unwrap_or_default()
            .to_vec(),
    };
    descriptor::insert(new.as_raw_fd(), found)?;
    Ok(Accepted {
        fd: new.into_raw_fd(),
        peer,
        remote,
    })
}

fn find(region: &Arc<Region>, message: &AcceptedMessage, new: &OwnedFd) -> Result<Found, Errno> {
    if region.name() != message.region {
        return attachment::adopt(new.as_fd());
    }
    let slot = region
        .memory()
        .slot(message.slot, message.generation)
        .ok_or(Errno::new(libc::EPROTO))?;
    Ok(Found {
        region: Arc::clone(region),
        slot,
    })
}
