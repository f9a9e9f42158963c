//! Making the descriptor of a socket: a connection of the engine to itself.
//!
//! The application gets the connecting end, so that its `getpeername` gives the engine's path: any
//! process that comes by the descriptor, by exec or in a packet, knows whose it is. The engine
//! keeps the accepted end. The listener for that has the path for a name and is at no path, so that
//! strangers can neither fill its queue nor come in between.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::listener::Listener;

/// Ends at most that were connected and could not be accepted at that time, for want of descriptors;
/// they are thrown away.
const LEFT_BEHIND: usize = 2_048;

/// Both ends of a new socket, and the number by which the kernel knows the application's.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) engine: OwnedFd,
    pub(super) application: OwnedFd,
    pub(super) cookie: u64,
}

impl Pair {
    /// Makes one.
    pub(super) fn make(listener: &Listener) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let application =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        // The kernel chooses a name that nobody else has.
        rustix::net::bind(&application, &SocketAddrUnix::new_unnamed())?;
        let name = rustix::net::getsockname(&application)?;
        // The least there is: a few packets of filler make the end unwritable.
        sockopt::set_socket_send_buffer_size(&application, 0)?;
        let connected = match listener.connect_pair(&application) {
            Ok(()) => true,
            // Full of ends that were left behind.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(error),
        };
        for _ in 0..LEFT_BEHIND {
            let Some(engine) = listener.accept_pair()? else {
                break;
            };
            if connected && is_from(&engine, &name) {
                let cookie = sockopt::socket_cookie(&application)?;
                return Ok(Self {
                    engine,
                    application,
                    cookie,
                });
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

fn is_from(end: &OwnedFd, name: &SocketAddrAny) -> bool {
    rustix::net::getpeername(end).is_ok_and(|peer| peer.as_ref() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_who_fill_the_queue_disturb_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = Listener::bind(&path, true).unwrap();
        let address = SocketAddrUnix::new(&path).unwrap();
        let mut strangers = Vec::new();
        loop {
            let flags = SocketFlags::NONBLOCK;
            let kind = SocketType::SEQPACKET;
            let end = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
            match rustix::net::connect(&end, &address) {
                Ok(()) => strangers.push(end),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::MFILE) => break,
                Err(error) => panic!("{error}"),
            }
        }
        // Room for the pairs, where descriptors were what ran out.
        let closed: Vec<_> = strangers.drain(..8).collect();
        drop(closed);
        for _ in 0..50 {
            let pair = Pair::make(&listener).unwrap();
            let peer = rustix::net::getpeername(&pair.application).unwrap();
            assert_eq!(peer, Some(address.clone().into()));
            rustix::net::send(&pair.engine, b"x", rustix::net::SendFlags::empty()).unwrap();
            let mut byte = [0; 4];
            let flags = rustix::net::RecvFlags::empty();
            let (count, _) = rustix::net::recv(&pair.application, &mut byte[..], flags).unwrap();
            assert_eq!(count, 1);
        }
        // They are all still there.
        for _ in 0..strangers.len() {
            assert!(listener.accept().unwrap().is_some());
        }
        drop(listener);
    }
}
