//! A connection.

use super::{Domain, Socket};
use crate::calls;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// A connection through the engine, used like `std::net::TcpStream`: any thread may read or write, and
/// so may a shared reference. SIGPIPE is never sent.
#[derive(Debug)]
pub struct BraidStream(pub(super) Socket);

impl BraidStream {
    /// Connects, and waits until that is done.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Socket::new(Domain::of(address))?.connect(&[address])
    }

    /// The socket: options, names, blocking or not.
    pub fn socket(&self) -> &Socket {
        &self.0
    }

    /// Ends one direction or both.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// Reads without taking.
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        Ok(calls::receive_one(self.0.raw(), into, libc::MSG_PEEK)?)
    }

    /// recv() with flags such as MSG_WAITALL.
    pub fn receive(&self, into: &mut [u8], flags: i32) -> io::Result<usize> {
        Ok(calls::receive_one(self.0.raw(), into, flags)?)
    }

    /// How long a read waits; none: for ever. A time of zero is invalid.
    pub fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        self.0.set_timeout(libc::SO_RCVTIMEO, time)
    }

    /// How long a write waits; none: for ever. A time of zero is invalid.
    pub fn set_write_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        self.0.set_timeout(libc::SO_SNDTIMEO, time)
    }

    /// As [`Socket::set_nonblocking`].
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.set_nonblocking(on)
    }

    /// As [`Socket::take_error`].
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// As [`Socket::local_address`].
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_address()
    }

    /// As [`Socket::peer_address`].
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.0.peer_address()
    }

    /// Another descriptor of the same connection.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl From<Socket> for BraidStream {
    fn from(socket: Socket) -> Self {
        Self(socket)
    }
}

impl From<OwnedFd> for BraidStream {
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl Read for &BraidStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(calls::receive_one(self.0.raw(), into, 0)?)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        let buffers = buffers.iter_mut().map(|buffer| &mut **buffer);
        Ok(calls::receive(self.0.raw(), buffers, length, 0)?)
    }
}

impl Write for &BraidStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(calls::send_one(self.0.raw(), from, libc::MSG_NOSIGNAL)?)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let buffers = buffers.iter().map(|buffer| &**buffer);
        Ok(calls::send(self.0.raw(), buffers, libc::MSG_NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for BraidStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for BraidStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        (&*self).write(from)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for BraidStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for BraidStream {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl IntoRawFd for BraidStream {
    fn into_raw_fd(self) -> RawFd {
        self.0.into_raw_fd()
    }
}
