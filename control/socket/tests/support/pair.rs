//! The descriptor of a socket, as the engine makes it: a connection to its own listener.

use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    UnixAddr, accept4, bind, connect, getpeername, getsockname, listen, recvmsg, sendmsg,
    setsockopt, socket, sockopt,
};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

fn new_socket(flags: SockFlag) -> OwnedFd {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).expect("socket")
}

pub fn listen_at(path: &Path) -> OwnedFd {
    let _ = std::fs::remove_file(path);
    let listener = new_socket(SockFlag::SOCK_NONBLOCK);
    bind(listener.as_raw_fd(), &UnixAddr::new(path).expect("path")).expect("bind");
    listen(&listener, Backlog::new(128).expect("backlog")).expect("listen");
    listener
}

pub fn accept(listener: &OwnedFd) -> Option<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = accept4(listener.as_raw_fd(), flags).ok()?;
    // SAFETY: the descriptor is new and nobody else's.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The engine's end, the application's, and the name by which the latter is known.
pub fn make(listener: &OwnedFd, strangers: &mut Vec<OwnedFd>) -> (OwnedFd, OwnedFd, Vec<u8>) {
    let application = new_socket(SockFlag::SOCK_NONBLOCK);
    bind(application.as_raw_fd(), &UnixAddr::new_unnamed()).expect("autobind");
    setsockopt(&application, sockopt::SndBuf, &0).expect("SO_SNDBUF");
    let own: UnixAddr = getsockname(listener.as_raw_fd()).expect("getsockname");
    connect(application.as_raw_fd(), &own).expect("connect");
    let name = name_of(application.as_fd());
    loop {
        let end = accept(listener).expect("accept");
        let peer: UnixAddr = getpeername(end.as_raw_fd()).expect("getpeername");
        if peer.as_abstract().is_some_and(|peer| peer == name) {
            return (end, application, name);
        }
        strangers.push(end);
    }
}

pub fn name_of(fd: BorrowedFd<'_>) -> Vec<u8> {
    let name: UnixAddr = getsockname(fd.as_raw_fd()).expect("getsockname");
    name.as_abstract().unwrap_or_default().to_vec()
}

pub fn send(connection: &OwnedFd, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> bool {
    let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(
        connection.as_raw_fd(),
        &[IoSlice::new(packet)],
        control,
        flags,
        None,
    )
    .is_ok()
}

/// A packet and its descriptor. `None`: nothing there; an empty packet: the end.
pub fn receive(connection: &OwnedFd) -> Option<(Vec<u8>, Option<OwnedFd>)> {
    let mut packet = vec![0; 64 << 10];
    let mut control = nix::cmsg_space!([std::os::fd::RawFd; 4]);
    let (length, raw) = {
        let mut vector = [IoSliceMut::new(&mut packet)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(
            connection.as_raw_fd(),
            &mut vector,
            Some(&mut control),
            flags,
        );
        let message = match message {
            Err(nix::Error::EAGAIN) => return None,
            Err(_) => return Some((Vec::new(), None)),
            Ok(message) => message,
        };
        let raw = message
            .cmsgs()
            .expect("control data")
            .find_map(|message| match message {
                ControlMessageOwned::ScmRights(raw) => raw.first().copied(),
                _ => None,
            });
        (message.bytes, raw)
    };
    packet.truncate(length);
    // SAFETY: the descriptor is new and nobody else's.
    Some((packet, raw.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })))
}
