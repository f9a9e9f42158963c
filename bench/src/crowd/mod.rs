//! Many connections between two hosts in this process.

mod memory;
mod traffic;

use std::net::SocketAddr;

use braid_dataplane::worker::Worker;
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError, SocketOptions};
use braid_engine::stack::{ConnectionId, Event, ListenerId, Stack, StackConfig};
use braid_engine::time::Instant;

use crate::memory_links::{Links, anywhere, hosts_of, server, text};

pub use memory::heap_of_an_endpoint;
pub use traffic::Stage;

/// Connections whose handshake is under way at a time.
const HANDSHAKES: usize = 64;

/// Connections to a port of the server, of which as many listen as it takes.
const TO_A_PORT: usize = 50_000;

/// Turns without a new connection after which it is given up.
const PATIENCE: u32 = 1_000_000;

/// Room for connections that come and go beside those that stay.
const SPARE: usize = 8_192;

/// Workers of the same number of two hosts, and their connections.
#[derive(Debug)]
pub struct Crowd {
    /// The host that opens.
    pub client: Worker<Stack>,
    /// The host that is opened to.
    pub server: Worker<Stack>,
    listeners: Vec<ListenerId>,
    /// What a connection of either host gets.
    options: SocketOptions,
    /// Connections on the client's side that stay open.
    pub connections: Vec<ConnectionId>,
    begun: usize,
    /// Connections that the client knows to be there.
    connected: usize,
    /// Those that the server's worker has taken: with several, as many as find their way to it.
    accepted: usize,
}

impl Crowd {
    /// Two hosts, a crowd for each of their workers, that have room for `connections` with buffers of so
    /// many bytes.
    ///
    /// # Errors
    ///
    /// What the ports or the engine refuse.
    pub fn between_hosts(
        links: Links,
        connections: usize,
        buffer: u32,
    ) -> Result<Vec<Self>, String> {
        Self::between_hosts_with(&StackConfig::default(), links, connections, buffer)
    }

    /// The same, whose stacks are set up like this but for what follows from the number of connections.
    fn between_hosts_with(
        config: &StackConfig,
        links: Links,
        connections: usize,
        buffer: u32,
    ) -> Result<Vec<Self>, String> {
        let places = connections + SPARE;
        let config = StackConfig {
            max_connections: places,
            max_subflows: places * usize::from(links.subflows),
            accept_queue: places,
            time_wait: 1_024,
            ephemeral_ports: 1_024..=u16::MAX,
            ..config.clone()
        };
        let [near, far] = hosts_of(links, &config)?;
        let crowds = near.into_iter().zip(far).map(|(client, server)| {
            let mut crowd = Self {
                client,
                server,
                listeners: Vec::new(),
                options: SocketOptions {
                    send_buffer: Some(buffer),
                    receive_buffer: Some(buffer),
                    nodelay: true,
                    ..SocketOptions::default()
                },
                connections: Vec::new(),
                begun: 0,
                connected: 0,
                accepted: 0,
            };
            crowd.listen(connections.div_ceil(TO_A_PORT).max(1))?;
            Ok(crowd)
        });
        crowds.collect()
    }

    fn listen(&mut self, ports: usize) -> Result<(), String> {
        for index in 0..ports {
            let listening = ListenOptions {
                backlog: usize::MAX,
                socket: self.options.clone(),
                ..ListenOptions::default()
            };
            let address = SocketAddr::new(anywhere().ip(), port(index));
            let listener = self.server.engine_mut().listen(address, listening);
            self.listeners.push(listener.map_err(text)?);
        }
        Ok(())
    }

    /// Has the client begin a connection.
    ///
    /// # Errors
    ///
    /// What the engine says.
    pub fn begin(&mut self) -> Result<ConnectionId, String> {
        let remote = SocketAddr::new(server().ip(), port(self.begun % self.listeners.len()));
        let options = ConnectOptions {
            socket: self.options.clone(),
            ..ConnectOptions::to(remote)
        };
        let now = self.client.now();
        let connection = self.client.engine_mut().connect(now, options);
        self.begun += 1;
        connection.map_err(text)
    }

    /// The connections that the server has for its application by now.
    pub fn accept(&mut self) -> Vec<ConnectionId> {
        let engine = self.server.engine_mut();
        let listeners = self.listeners.iter();
        let accepted: Vec<_> = listeners
            .flat_map(|&listener| {
                std::iter::from_fn(|| engine.accept(listener)).collect::<Vec<_>>()
            })
            .collect();
        self.accepted += accepted.len();
        accepted
    }

    /// A step of each host.
    pub fn step(&mut self) {
        let _ = self.client.step();
        let _ = self.server.step();
    }

    /// A step of each host, in which the client's application and then the server's has its turn between
    /// what came in and what goes out. What was accepted is known to the server's by its events.
    pub fn step_serving(
        &mut self,
        client: impl FnOnce(Instant, &mut Stack),
        server: impl FnOnce(Instant, &mut Stack),
    ) {
        let _ = self.client.step_serving(client);
        let (listeners, accepted) = (&self.listeners, &mut self.accepted);
        let _ = self.server.step_serving(|now, engine| {
            for &listener in listeners {
                while engine.accept(listener).is_some() {
                    *accepted += 1;
                }
            }
            server(now, engine);
        });
    }

    /// The next thing that the client or, if it has none, the server tells; and whether it is the client's.
    pub fn event(&mut self) -> Option<(bool, Event)> {
        let of_client = self.client.engine_mut().poll_event();
        let event = of_client.map(|event| (true, event));
        event.or_else(|| Some((false, self.server.engine_mut().poll_event()?)))
    }

    fn subflows(&self) -> usize {
        self.client.engine().subflow_count()
    }
}

/// The ports that servers listen at.
fn port(index: usize) -> u16 {
    server().port() + index as u16
}

/// Opens connections until each crowd has `each` of them, with so many subflows each. Where there are to be
/// several, each connection carries one byte, before which a client opens no further subflow.
///
/// # Errors
///
/// What the engine says; or that they do not come to be.
pub fn open(crowds: &mut [Crowd], each: usize, subflows: usize) -> Result<(), String> {
    let mut idle = 0;
    let mut known = 0;
    let all = each * crowds.len();
    let sum = |crowds: &[Crowd], of: fn(&Crowd) -> usize| crowds.iter().map(of).sum::<usize>();
    while sum(crowds, |crowd| crowd.accepted) < all || sum(crowds, Crowd::subflows) < all * subflows
    {
        for crowd in &mut *crowds {
            while crowd.begun < each && crowd.begun < crowd.connected + HANDSHAKES {
                let connection = crowd.begin()?;
                crowd.connections.push(connection);
            }
            crowd.step();
            crowd.accept();
            while let Some((of_client, event)) = crowd.event() {
                match event {
                    Event::Connected(connection) if of_client => {
                        crowd.connected += 1;
                        if subflows == 1 {
                            continue;
                        }
                        let now = crowd.client.now();
                        let sent = crowd.client.engine_mut().send(now, connection, &[7]);
                        sent.map_err(text)?;
                    }
                    Event::Readable(connection) if !of_client => {
                        let now = crowd.server.now();
                        let read = crowd
                            .server
                            .engine_mut()
                            .recv(now, connection, &mut [0; 64]);
                        would_block(read)?;
                    }
                    Event::Closed(_, result) => return result.map_err(text),
                    _ => {}
                }
            }
        }
        let now = sum(crowds, Crowd::subflows);
        idle = if now == known { idle + 1 } else { 0 };
        known = now;
        if idle > PATIENCE {
            return Err("not all connections came to be".into());
        }
    }
    Ok(())
}

/// How many bytes; none when it would block.
fn would_block(result: Result<usize, SocketError>) -> Result<usize, String> {
    match result {
        Ok(count) => Ok(count),
        Err(SocketError::WouldBlock | SocketError::NotConnected) => Ok(0),
        Err(error) => Err(text(error)),
    }
}
