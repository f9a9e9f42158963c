//! Stream sockets of protocol `IPPROTO_MPTCP` (RFC 8684 as Linux offers it to applications).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Type};

use super::kernel_info::{self, KernelSubflow};

/// How often a listener looks for a connection.
const ACCEPT_INTERVAL: Duration = Duration::from_micros(200);

/// What the program asks the kernel to speak.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PeerProtocol {
    /// Multipath TCP.
    Multipath,
    /// TCP without options of Multipath TCP.
    Plain,
}

impl PeerProtocol {
    /// What `socket` takes for it.
    pub(crate) fn number(self) -> Protocol {
        match self {
            Self::Multipath => Protocol::MPTCP,
            Self::Plain => Protocol::TCP,
        }
    }

    fn open(self, address: SocketAddr) -> io::Result<socket2::Socket> {
        let protocol = Some(self.number());
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, protocol)
    }
}

/// Whether the kernel makes Multipath TCP sockets in the calling thread's namespace, and tells
/// what becomes of them.
pub fn probe() -> io::Result<()> {
    let socket = PeerProtocol::Multipath.open((Ipv4Addr::UNSPECIFIED, 0).into())?;
    kernel_info::probe(&socket)
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener(socket2::Socket);

impl Listener {
    /// Listens at `address`, in the calling thread's namespace.
    pub fn bind(protocol: PeerProtocol, address: SocketAddr) -> io::Result<Self> {
        let socket = protocol.open(address)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(16)?;
        Ok(Self(socket))
    }

    /// Waits for a connection, at most `patience` and not after `given_up` says yes.
    ///
    /// Linux does not bound the wait of a Multipath TCP listener by `SO_RCVTIMEO`, so this asks
    /// again and again.
    pub fn accept(&self, patience: Duration, given_up: impl Fn() -> bool) -> io::Result<Socket> {
        self.0.set_nonblocking(true)?;
        let start = Instant::now();
        loop {
            match self.0.accept() {
                Ok((socket, _)) => return Socket::prepared(socket),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if given_up() => return Err(io::ErrorKind::ConnectionAborted.into()),
                Err(_) if start.elapsed() > patience => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => thread::sleep(ACCEPT_INTERVAL),
            }
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub struct Socket(socket2::Socket);

impl Socket {
    /// Connects to `address` within `patience`, from the calling thread's namespace.
    pub fn connect(
        protocol: PeerProtocol,
        address: SocketAddr,
        patience: Duration,
    ) -> io::Result<Self> {
        let socket = protocol.open(address)?;
        socket.connect_timeout(&address.into(), patience)?;
        Self::prepared(socket)
    }

    /// Bounds how long a read or write may go without a byte moving.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(patience))?;
        self.0.set_write_timeout(Some(patience))
    }

    /// Says that no more will be sent.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    /// Whether the connection went on as plain TCP (RFC 8684, section 3.7).
    pub fn fell_back(&self) -> io::Result<bool> {
        kernel_info::fell_back(&self.0)
    }

    /// The kernel's view of each subflow.
    pub fn subflows(&self) -> io::Result<Vec<KernelSubflow>> {
        kernel_info::subflows(&self.0)
    }

    fn prepared(socket: socket2::Socket) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        Ok(Self(socket))
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
