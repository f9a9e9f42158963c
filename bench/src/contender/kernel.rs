//! A program that uses the kernel's sockets; or believes so, under `braid exec`.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use super::Task;
use crate::load::spinning::{Ends, Side};
use crate::load::{Outcome, Pace, sleeping, spinning};

pub(super) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What the sockets speak.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Tcp,
    Mptcp,
}

impl Protocol {
    fn socket(self) -> io::Result<Socket> {
        let protocol = match self {
            Self::Tcp => socket2::Protocol::TCP,
            Self::Mptcp => socket2::Protocol::MPTCP,
        };
        Socket::new(Domain::IPV4, Type::STREAM, Some(protocol))
    }

    /// Whether there are such sockets.
    pub(super) fn probe(self) -> io::Result<()> {
        self.socket().map(drop)
    }
}

pub(super) fn run(task: Task, protocol: Protocol, address: IpAddr) -> io::Result<Outcome> {
    let listener = protocol.socket()?;
    listener.bind(&SocketAddr::new(address, 0).into())?;
    listener.listen(1)?;
    let listener = TcpListener::from(listener);
    let client = protocol.socket()?;
    client.connect(&listener.local_addr()?.into())?;
    let mut client = TcpStream::from(client);
    let (mut server, _) = listener.accept()?;
    match task.pace {
        Pace::Sleeping => sleeping::run(&mut client, &mut server, task.load),
        Pace::Spinning => {
            client.set_nonblocking(true)?;
            server.set_nonblocking(true)?;
            spinning::run(&mut NonBlocking { client, server }, task.load)
        }
    }
}

/// Two ends whose calls fail with `WouldBlock` rather than wait.
pub(super) struct NonBlocking<S> {
    pub(super) client: S,
    pub(super) server: S,
}

impl<S> NonBlocking<S> {
    fn end(&mut self, side: Side) -> &mut S {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

fn unless_it_would_block(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

impl<S: Read + Write> Ends for NonBlocking<S> {
    fn send(&mut self, side: Side, bytes: &[u8]) -> io::Result<usize> {
        Ok(unless_it_would_block(self.end(side).write(bytes))?.unwrap_or(0))
    }

    fn receive(&mut self, side: Side, into: &mut [u8]) -> io::Result<Option<usize>> {
        unless_it_would_block(self.end(side).read(into))
    }

    fn turn(&mut self) -> io::Result<()> {
        Ok(())
    }
}
