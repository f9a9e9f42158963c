//! The applications of a far host that is an engine.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use braid_engine::socket::{ListenOptions, SocketError, SocketOptions};
use braid_engine::stack::{ConnectionId, Event, ListenerId, Stack};
use braid_engine::time::Instant;

use super::BenchError;
use super::arrivals::Arrivals;

/// Where servers listen.
pub(super) const PORT: u16 = 7;

/// Bytes that are taken at once.
const PIECE: usize = 256 << 10;

/// Connections that are served in a turn.
const TURN: usize = 64;

/// What servers do with what they receive.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Service {
    /// Throw it away.
    Sink,
    /// Send it back.
    Echo,
    /// Send as much as the connection takes, whatever comes.
    Source,
}

/// The server of one worker.
#[derive(Debug)]
pub(super) struct Server {
    service: Service,
    listener: ListenerId,
    /// What is still to be sent back, for each connection that could not take all.
    unsent: HashMap<ConnectionId, Vec<u8>>,
    /// Connections with something to read or, if they have something unsent, room.
    ready: VecDeque<ConnectionId>,
    buffer: Box<[u8]>,
}

impl Server {
    /// Listens, at every address: a listener of one would keep its connections on that.
    pub(super) fn listen(service: Service, stack: &mut Stack) -> Result<Self, BenchError> {
        let options = ListenOptions {
            backlog: usize::MAX,
            socket: SocketOptions {
                nodelay: true,
                ..SocketOptions::default()
            },
            ..ListenOptions::default()
        };
        let anywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT);
        let listener = stack.listen(anywhere, options);
        Ok(Self {
            service,
            listener: listener.map_err(BenchError::engine("cannot listen"))?,
            unsent: HashMap::new(),
            ready: VecDeque::new(),
            buffer: vec![0; PIECE].into(),
        })
    }

    /// Takes what has happened, and serves.
    pub(super) fn turn(&mut self, now: Instant, stack: &mut Stack, arrivals: &Arrivals) {
        while let Some(event) = stack.poll_event() {
            match event {
                Event::Acceptable(_) => {
                    while let Some(connection) = stack.accept(self.listener) {
                        self.ready.push_back(connection);
                    }
                }
                Event::Readable(connection)
                | Event::Writable(connection)
                | Event::PeerFinished(connection) => self.ready.push_back(connection),
                Event::Closed(connection, _) => self.end(now, stack, connection),
                _ => {}
            }
        }
        for _ in 0..self.ready.len().min(TURN) {
            if let Some(connection) = self.ready.pop_front() {
                self.serve(now, stack, connection, arrivals);
            }
        }
    }

    fn serve(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        connection: ConnectionId,
        arrivals: &Arrivals,
    ) {
        if let Some(mut rest) = self.unsent.remove(&connection) {
            let sent = stack.send(now, connection, &rest).unwrap_or(0);
            rest.drain(..sent);
            if !rest.is_empty() {
                self.unsent.insert(connection, rest);
                return;
            }
        }
        if self.service == Service::Source {
            // One that took all takes more.
            if let Ok(PIECE) = stack.send(now, connection, &self.buffer) {
                self.ready.push_back(connection);
            }
            return;
        }
        let count = match stack.recv(now, connection, &mut self.buffer) {
            Ok(0) => return self.end(now, stack, connection),
            Ok(count) => count,
            Err(SocketError::WouldBlock) => return,
            Err(_) => return self.end(now, stack, connection),
        };
        arrivals.note(count);
        if self.service == Service::Echo {
            let sent = stack.send(now, connection, &self.buffer[..count]);
            let sent = sent.unwrap_or(0);
            if sent < count {
                let rest = self.buffer[sent..count].to_vec();
                self.unsent.insert(connection, rest);
                return;
            }
        }
        // There may be more.
        self.ready.push_back(connection);
    }

    /// The peer has finished, or is gone.
    fn end(&mut self, now: Instant, stack: &mut Stack, connection: ConnectionId) {
        self.unsent.remove(&connection);
        stack.close(now, connection);
    }
}
