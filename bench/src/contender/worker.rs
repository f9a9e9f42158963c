//! Applications within the worker: what the engine's own API costs.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use braid_dataplane::port::Port;
use braid_dataplane::worker::{IdlePolicy, Worker};
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError};
use braid_engine::stack::{ConnectionId, PortId, Stack};
use braid_engine::time::Instant;

use super::engine;
use crate::load::spinning::{self, Ends, Side};
use crate::load::{Load, Outcome};

const PORT: u16 = 7;

/// Turns of the worker after which a connection should long be there.
const PATIENCE: u32 = 10_000;

pub(super) fn run(load: Load) -> io::Result<Outcome> {
    let config = engine::configuration(Path::new("/unused"), Some("spin"))?;
    let (opened, _nowhere) = engine::ports()?;
    let mut stack = Stack::new(config.stack.clone(), [7; 32]);
    let mut ports = Vec::new();
    for (open, number) in opened.ports.into_iter().zip(0..) {
        for port in open.queues {
            let capabilities = port.capabilities();
            if let Some(interface) = config.interface(PortId(number), open.mac, capabilities) {
                stack.add_interface(interface).map_err(io::Error::other)?;
            }
            ports.push(port.into());
        }
    }
    let worker = Worker::new(stack, ports, opened.clock, IdlePolicy::Spin);
    spinning::run(
        &mut Connection::open(worker.map_err(io::Error::other)?)?,
        load,
    )
}

/// Both ends of a connection within one stack.
struct Connection {
    worker: Worker<Stack>,
    now: Instant,
    client: ConnectionId,
    server: ConnectionId,
}

impl Connection {
    fn open(mut worker: Worker<Stack>) -> io::Result<Self> {
        let address = SocketAddr::new(engine::ADDRESS, PORT);
        let now = worker.now();
        let stack = worker.engine_mut();
        let listener = stack
            .listen(address, ListenOptions::default())
            .map_err(io::Error::other)?;
        let client = stack
            .connect(now, ConnectOptions::to(address))
            .map_err(io::Error::other)?;
        for _ in 0..PATIENCE {
            turn(&mut worker);
            if let Some(server) = worker.engine_mut().accept(listener) {
                return Ok(Self {
                    now: worker.now(),
                    worker,
                    client,
                    server,
                });
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn id(&self, side: Side) -> ConnectionId {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }
}

/// One turn of the worker; when it was.
fn turn(worker: &mut Worker<Stack>) -> Instant {
    let now = worker.step().now;
    while worker.engine_mut().poll_event().is_some() {}
    now
}

fn unless_it_would_block<T>(result: Result<T, SocketError>) -> io::Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(SocketError::WouldBlock | SocketError::NotConnected) => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}

impl Ends for Connection {
    fn send(&mut self, side: Side, bytes: &[u8]) -> io::Result<usize> {
        let (now, id) = (self.now, self.id(side));
        let sent = self.worker.engine_mut().send(now, id, bytes);
        Ok(unless_it_would_block(sent)?.unwrap_or(0))
    }

    fn receive(&mut self, side: Side, into: &mut [u8]) -> io::Result<Option<usize>> {
        let (now, id) = (self.now, self.id(side));
        unless_it_would_block(self.worker.engine_mut().recv(now, id, into))
    }

    fn turn(&mut self) -> io::Result<()> {
        self.now = turn(&mut self.worker);
        Ok(())
    }
}
