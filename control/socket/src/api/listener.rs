//! A listener.

use super::{BraidStream, Domain, Socket};
use crate::calls;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Connections that may wait to be accepted, as std has it.
const BACKLOG: i32 = 128;

/// A listener, used like `std::net::TcpListener`.
#[derive(Debug)]
pub struct BraidListener(pub(super) Socket);

impl BraidListener {
    /// Listens at an address of the engine's.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::of(address))?;
        socket.bind(&[address])?;
        socket.listen(BACKLOG)
    }

    /// The socket: options, names, blocking or not.
    pub fn socket(&self) -> &Socket {
        &self.0
    }

    /// The next connection, and its peer's address.
    pub fn accept(&self) -> io::Result<(BraidStream, SocketAddr)> {
        let accepted = calls::accept(self.0.raw(), libc::SOCK_CLOEXEC)?;
        // SAFETY: the descriptor is new and nobody else's.
        let stream = BraidStream::from(unsafe { OwnedFd::from_raw_fd(accepted.fd) });
        let remote = accepted.remote.ok_or(io::ErrorKind::InvalidData)?;
        Ok((stream, remote))
    }

    /// Connections as they come, without end.
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<BraidStream>> {
        std::iter::repeat_with(|| self.accept().map(|(stream, _)| stream))
    }

    /// As [`Socket::set_nonblocking`].
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.set_nonblocking(on)
    }

    /// As [`Socket::local_address`].
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_address()
    }

    /// Another descriptor of the same listener.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl From<Socket> for BraidListener {
    fn from(socket: Socket) -> Self {
        Self(socket)
    }
}

impl From<OwnedFd> for BraidListener {
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl AsFd for BraidListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for BraidListener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl IntoRawFd for BraidListener {
    fn into_raw_fd(self) -> RawFd {
        self.0.into_raw_fd()
    }
}
