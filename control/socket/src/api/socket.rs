//! A socket of any state: what a stream and a listener are before they are, and what they share.

use super::{BraidListener, BraidStream};
use crate::calls;
use braid_shm::abi::{
    AF_MULTIPATH, IPPROTO_TCP, SocketAddressStorage, TCP_MP_ENABLE, sockaddr_multipath,
};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Which addresses a socket takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// IPv4.
    Inet,
    /// IPv6, and IPv4 by mapped addresses.
    Inet6,
    /// Several of both (draft-scharf-mptcp-api-01, section 5.3). The socket is multipath-aware.
    Multipath,
}

impl Domain {
    /// That of an address.
    pub fn of(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::Inet,
            SocketAddr::V6(_) => Self::Inet6,
        }
    }
}

/// A socket: made, given options, then made a stream or a listener.
///
/// ```no_run
/// use braid_socket::{Domain, Socket};
/// let socket = Socket::new(Domain::Inet)?;
/// socket.enable_multipath(true)?;
/// socket.bind(&["192.0.2.1:8080".parse().unwrap()])?;
/// let listener = socket.listen(128)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Socket {
    /// Taken out when the descriptor is given away, and at the end.
    fd: Option<OwnedFd>,
}

fn address_bytes(addresses: &[SocketAddr]) -> Vec<u8> {
    match addresses {
        [address] => {
            let storage = SocketAddressStorage::new(*address);
            storage
                .0
                .get(..storage.length())
                .unwrap_or_default()
                .to_vec()
        }
        _ => sockaddr_multipath::new(addresses).to_bytes().to_vec(),
    }
}

fn parse_name(name: &[u8]) -> io::Result<SocketAddr> {
    SocketAddressStorage::from_sockaddr(name)
        .and_then(|storage| storage.address())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a name that is no IP address"))
}

impl Socket {
    /// A new one, closed at exec. Errors: NotFound or ConnectionRefused without an engine;
    /// PermissionDenied if it refuses this user.
    pub fn new(domain: Domain) -> io::Result<Self> {
        let domain = match domain {
            Domain::Inet => libc::AF_INET,
            Domain::Inet6 => libc::AF_INET6,
            Domain::Multipath => i32::from(AF_MULTIPATH),
        };
        let fd = calls::socket(domain, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0)?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self::from(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(super) fn raw(&self) -> RawFd {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Gives it a local address, or on one of [`Domain::Multipath`] up to eight.
    pub fn bind(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        Ok(calls::bind(self.raw(), &address_bytes(addresses))?)
    }

    /// Connects it; to several addresses if it is of [`Domain::Multipath`]. Blocks unless the socket
    /// is non-blocking: then the stream may still be connecting, is writable once that is over, and
    /// [`BraidStream::take_error`] tells how.
    pub fn connect(self, addresses: &[SocketAddr]) -> io::Result<BraidStream> {
        match calls::connect(self.raw(), &address_bytes(addresses)) {
            Err(errno) if errno.get() != libc::EINPROGRESS => Err(errno.into()),
            _ => Ok(BraidStream::from(self)),
        }
    }

    /// Makes it a listener, for which `backlog` connections may wait.
    pub fn listen(self, backlog: i32) -> io::Result<BraidListener> {
        calls::listen(self.raw(), backlog)?;
        Ok(BraidListener::from(self))
    }

    /// TCP_MP_ENABLE: asks for Multipath TCP, and makes the socket multipath-aware; or forbids it.
    pub fn enable_multipath(&self, on: bool) -> io::Result<()> {
        self.set_option(IPPROTO_TCP, TCP_MP_ENABLE, &i32::from(on).to_ne_bytes())
    }

    /// setsockopt(): any option, as bytes.
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        Ok(calls::set_option(self.raw(), level, name, value)?)
    }

    /// getsockopt(): any option, as bytes; how many of `value` are it.
    pub fn option(&self, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
        Ok(calls::get_option(self.raw(), level, name, value)?)
    }

    /// Makes its calls return WouldBlock instead of waiting, and its descriptor fit for mio, tokio and
    /// other users of epoll.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        calls::set_nonblocking(self.raw(), on)?;
        if on {
            calls::watch_for_good(self.raw(), true)?;
        }
        Ok(())
    }

    /// SO_ERROR: the pending error, taken away.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let mut value = [0; 4];
        self.option(libc::SOL_SOCKET, libc::SO_ERROR, &mut value)?;
        let errno = i32::from_ne_bytes(value);
        Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
    }

    /// The local address, of the first subflow. Errors: EMULTIPATH if the socket is multipath-aware.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        parse_name(&calls::local_name(self.raw())?)
    }

    /// The peer's address, of the first subflow. Errors: NotConnected; EMULTIPATH.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        parse_name(&calls::peer_name(self.raw())?)
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        Ok(calls::shutdown(self.raw(), how)?)
    }

    pub(super) fn set_timeout(&self, name: i32, time: Option<Duration>) -> io::Result<()> {
        if time.is_some_and(|time| time.is_zero()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let time = time.unwrap_or_default();
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        // At least one: none means for ever.
        let micros = i64::from(time.subsec_micros());
        let micros = if seconds == 0 && !time.is_zero() {
            micros.max(1)
        } else {
            micros
        };
        let value = [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat();
        self.set_option(libc::SOL_SOCKET, name, &value)
    }

    /// Another descriptor of the same socket.
    pub fn try_clone(&self) -> io::Result<Self> {
        let copy = self.as_fd().try_clone_to_owned()?;
        crate::descriptor::duplicate(self.raw(), copy.as_raw_fd())?;
        Ok(Self::from(copy))
    }
}

/// A socket of the engine that this process got by exec or from another. Whether it is one is found
/// out at the first call: NotASocket.
impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Self { fd: Some(fd) }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // Taken out only at the end.
        self.fd
            .as_ref()
            .unwrap_or_else(|| unreachable!("a socket without descriptor"))
            .as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.raw()
    }
}

/// The descriptor stays one of the engine's: [`calls`] take it, and `calls::close` closes it.
impl IntoRawFd for Socket {
    fn into_raw_fd(mut self) -> RawFd {
        self.fd.take().map_or(-1, IntoRawFd::into_raw_fd)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            calls::close_marks(fd.as_raw_fd());
        }
    }
}
