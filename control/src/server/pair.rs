//! Making the descriptor of a socket: a connection of the engine to its own listener.
//!
//! The application gets the connecting end, so that its `getpeername` gives the engine's path: any
//! process that comes by the descriptor, by exec or in a packet, knows whose it is. The engine
//! keeps the accepted end. The connecting end has a name of its own, by which the accepted end is
//! told from those of strangers that come in between.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::listener::Listener;

/// Strangers accepted in between at most; more of them wait in the queue than this only when
/// somebody fills it on purpose, and then the call fails.
const STRANGERS: usize = 2_048;

/// Both ends of a new socket, and the number by which the kernel knows the application's.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) engine: OwnedFd,
    pub(super) application: OwnedFd,
    pub(super) cookie: u64,
}

impl Pair {
    /// Makes one. Whoever else has come to the listener meanwhile is handed to `stranger`.
    pub(super) fn make(listener: &Listener, mut stranger: impl FnMut(OwnedFd)) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let application =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        // The kernel chooses a name that nobody else has.
        rustix::net::bind(&application, &SocketAddrUnix::new_unnamed())?;
        let name = rustix::net::getsockname(&application)?;
        // The least there is: a few packets of filler make the end unwritable.
        sockopt::set_socket_send_buffer_size(&application, 0)?;
        for _ in 0..2 {
            match connect(&application, listener) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The queue is full of strangers.
                    for _ in 0..STRANGERS {
                        let Some(other) = listener.accept()? else {
                            break;
                        };
                        stranger(other);
                    }
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        for _ in 0..STRANGERS {
            let Some(other) = listener.accept()? else {
                break;
            };
            if is_from(&other, &name) {
                let cookie = sockopt::socket_cookie(&application)?;
                return Ok(Self {
                    engine: other,
                    application,
                    cookie,
                });
            }
            stranger(other);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

fn connect(application: &OwnedFd, listener: &Listener) -> io::Result<()> {
    rustix::net::connect(application, listener.address())?;
    Ok(())
}

fn is_from(end: &OwnedFd, name: &SocketAddrAny) -> bool {
    rustix::net::getpeername(end).is_ok_and(|peer| peer.as_ref() == Some(name))
}
