//! Two of our stacks, each with its worker, over memory ports.

use braid_dataplane::worker::Worker;
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketOptions};
use braid_engine::stack::{ConnectionId, ListenerId, Stack};

use super::{BUFFER, Hosts, TRANSFER};
use crate::memory_links::{Links, anywhere, hosts, server, some, text, turn};

/// Turns without a byte after which a transfer is given up.
const PATIENCE: u32 = 1_000_000;

/// Two hosts with a connection over some links.
#[derive(Debug)]
pub struct Pair {
    client: Worker<Stack>,
    server: Worker<Stack>,
    sending: ConnectionId,
    receiving: ConnectionId,
    bytes: Vec<u8>,
    into: Vec<u8>,
}

impl Pair {
    /// Two hosts, and a connection with all its subflows.
    ///
    /// # Errors
    ///
    /// When there is none after a while.
    pub fn new(links: Links) -> Result<Self, String> {
        let [client, far] = hosts(links)?;
        let alone = |mut workers: Vec<_>| workers.pop().filter(|_| workers.is_empty());
        let (client, far) = (alone(client), alone(far));
        let (mut client, mut far) = client.zip(far).ok_or("one thread drives one worker")?;
        let socket = SocketOptions {
            send_buffer: Some(BUFFER as u32),
            receive_buffer: Some(BUFFER as u32),
            ..SocketOptions::default()
        };
        let listening = ListenOptions {
            socket: socket.clone(),
            ..ListenOptions::default()
        };
        let listener = far
            .engine_mut()
            .listen(anywhere(), listening)
            .map_err(text)?;
        let now = client.now();
        let connecting = ConnectOptions {
            socket,
            ..ConnectOptions::to(server())
        };
        let sending = client.engine_mut().connect(now, connecting).map_err(text)?;
        let receiving = accept(&mut client, &mut far, listener)?;
        let mut pair = Self {
            client,
            server: far,
            sending,
            receiving,
            bytes: (0..BUFFER).map(|n| n as u8).collect(),
            into: vec![0; BUFFER],
        };
        for _ in 0..PATIENCE {
            pair.transfer()?;
            let subflows = pair.client.engine().subflows(pair.sending).len();
            if subflows == usize::from(links.subflows) {
                return Ok(pair);
            }
        }
        Err("not all subflows came to be".into())
    }

    fn turn(&mut self) {
        turn(&mut self.client);
        turn(&mut self.server);
    }
}

fn accept(
    client: &mut Worker<Stack>,
    server: &mut Worker<Stack>,
    listener: ListenerId,
) -> Result<ConnectionId, String> {
    for _ in 0..PATIENCE {
        turn(client);
        turn(server);
        if let Some(connection) = server.engine_mut().accept(listener) {
            return Ok(connection);
        }
    }
    Err("no connection came to be".into())
}

impl Hosts for Pair {
    fn transfer(&mut self) -> Result<(), String> {
        let (mut sent, mut received, mut idle) = (0, 0, 0);
        while received < TRANSFER {
            let before = received;
            if sent < TRANSFER {
                let now = self.client.now();
                let rest = &self.bytes[..BUFFER.min(TRANSFER - sent)];
                sent += some(self.client.engine_mut().send(now, self.sending, rest))?;
            }
            self.turn();
            let now = self.server.now();
            let stack = self.server.engine_mut();
            received += some(stack.recv(now, self.receiving, &mut self.into))?;
            idle = if received == before { idle + 1 } else { 0 };
            if idle > PATIENCE {
                return Err(format!("nothing moves after {received} bytes"));
            }
        }
        Ok(())
    }
}
