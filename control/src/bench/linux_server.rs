//! The applications of a far host that is Linux: one thread with its sockets.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::BenchError;
use super::arrivals::Arrivals;
use super::server::{PORT, Service};
use crate::lab::LabError;
use crate::lab::link::Link;
use crate::lab::namespace::Namespace;
use crate::peer::PeerProtocol;
use crate::server::poller::{EventFlags, Poller, Ready};

/// Bytes that are taken at once.
const PIECE: usize = 256 << 10;

/// Pieces that a socket is given in its turn: others have one too, and the end is noticed.
const TURN: usize = 16;

/// How long the thread waits at most, so that it notices the end.
const LONGEST_WAIT: Duration = Duration::from_millis(5);

const LISTENER: u64 = 0;

/// A server in the kernel's namespace.
#[derive(Debug)]
pub(super) struct LinuxServer<'a> {
    namespace: &'a Namespace,
    service: Service,
    listener: Socket,
}

impl<'a> LinuxServer<'a> {
    /// Listens at every address: Linux takes a join only where something listens.
    pub(super) fn listen(
        namespace: &'a Namespace,
        protocol: PeerProtocol,
        service: Service,
    ) -> Result<Self, BenchError> {
        let open = || -> io::Result<Socket> {
            let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(protocol.number()))?;
            listener.set_reuse_address(true)?;
            listener.bind(&SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT).into())?;
            listener.listen(4_096)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = namespace.run(open)?;
        Ok(Self {
            listener: listener.map_err(BenchError::system("Linux cannot listen"))?,
            namespace,
            service,
        })
    }

    /// Cuts a link at the kernel's side, or restores it.
    pub(super) fn set_link(&self, link: Link, up: bool) -> Result<(), LabError> {
        let mut routes = self.namespace.routes()?;
        routes.set_up(&link.interface(), up)
    }

    /// Serves until it is over.
    pub(super) fn serve(&self, arrivals: &Arrivals, over: &AtomicBool) -> io::Result<()> {
        let mut poller = Poller::new()?;
        poller.add(&self.listener, LISTENER, EventFlags::IN)?;
        let mut sockets: HashMap<u64, Client> = HashMap::new();
        let mut next = LISTENER + 1;
        let mut ready: Vec<Ready> = Vec::new();
        let mut buffer = vec![0; PIECE];
        let first = match self.service {
            Service::Sink | Service::Echo => EventFlags::IN,
            Service::Source => EventFlags::OUT,
        };
        while !over.load(Ordering::Acquire) {
            poller.wait(Some(LONGEST_WAIT), &mut ready)?;
            for event in &ready {
                if event.token == LISTENER {
                    while let Ok((socket, _)) = self.listener.accept() {
                        socket.set_nonblocking(true)?;
                        socket.set_tcp_nodelay(true)?;
                        poller.add(&socket, next, first)?;
                        let unsent = Vec::new();
                        sockets.insert(next, Client { socket, unsent });
                        next += 1;
                    }
                } else if let Some(client) = sockets.get_mut(&event.token) {
                    match client.serve(self.service, &mut buffer, arrivals) {
                        Next::Read => poller.modify(client, event.token, EventFlags::IN),
                        Next::Write => poller.modify(client, event.token, EventFlags::OUT),
                        Next::Nothing => drop(sockets.remove(&event.token)),
                    }
                }
            }
        }
        Ok(())
    }
}

/// What a socket is waited for with.
enum Next {
    Read,
    Write,
    Nothing,
}

/// A connection, and what is still to be sent back on it.
struct Client {
    socket: Socket,
    unsent: Vec<u8>,
}

impl AsFd for Client {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Client {
    fn serve(&mut self, service: Service, buffer: &mut [u8], arrivals: &Arrivals) -> Next {
        let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        if service == Service::Source {
            for _ in 0..TURN {
                match self.socket.write(buffer) {
                    Ok(_) => {}
                    Err(error) if would_block(&error) => break,
                    Err(_) => return Next::Nothing,
                }
            }
            return Next::Write;
        }
        if !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if would_block(&error) => {}
                Err(_) => return Next::Nothing,
            }
        }
        while self.unsent.is_empty() {
            let count = match self.socket.read(buffer) {
                Ok(0) => return Next::Nothing,
                Ok(count) => count,
                Err(error) if would_block(&error) => return Next::Read,
                Err(_) => return Next::Nothing,
            };
            arrivals.note(count);
            if service == Service::Echo {
                let sent = match self.socket.write(&buffer[..count]) {
                    Ok(sent) => sent,
                    Err(error) if would_block(&error) => 0,
                    Err(_) => return Next::Nothing,
                };
                self.unsent.extend_from_slice(&buffer[sent..count]);
            }
        }
        Next::Write
    }
}
