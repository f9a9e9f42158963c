//! Packets with descriptors (unix(7), SCM_RIGHTS), and whose they are (SO_PEERCRED).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use braid_shm::abi::MAX_MESSAGE_DESCRIPTORS;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors that one packet brings at most; the kernel closes those beyond.
const INCOMING: usize = 4;

/// What waits at a connection.
#[derive(Debug)]
pub(super) enum Received {
    /// Nothing at present.
    Nothing,
    /// The peer has closed it.
    End,
    /// A packet of so many bytes, and the descriptors with it.
    Packet(usize, Vec<OwnedFd>),
}

/// Who is at the other end of a connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Credentials {
    pub(super) user: u32,
    pub(super) process: i32,
}

impl Credentials {
    pub(super) fn of(connection: impl AsFd) -> io::Result<Self> {
        let peer = rustix::net::sockopt::socket_peercred(connection)?;
        Ok(Self {
            user: peer.uid.as_raw(),
            process: peer.pid.as_raw_nonzero().get(),
        })
    }
}

/// Takes the next packet, without waiting.
pub(super) fn receive(connection: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(INCOMING))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = match recvmsg(
        connection,
        &mut [IoSliceMut::new(buffer)],
        &mut ancillary,
        flags,
    ) {
        Ok(message) => message,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(Received::Nothing),
        Err(Errno::CONNRESET) => return Ok(Received::End),
        Err(error) => return Err(error.into()),
    };
    let descriptors = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    if message.bytes == 0 || message.flags.contains(ReturnFlags::TRUNC) {
        // No message is empty or so long: whoever sends one is not understood any more.
        return Ok(Received::End);
    }
    Ok(Received::Packet(message.bytes, descriptors))
}

/// Sends a packet with descriptors, without waiting; false when there is no room for it.
pub(super) fn send(
    connection: impl AsFd,
    packet: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<bool> {
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MESSAGE_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match sendmsg(connection, &[IoSlice::new(packet)], &mut ancillary, flags) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | Errno::NOBUFS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
