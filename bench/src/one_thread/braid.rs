//! Two of our stacks, each with its worker, over memory ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::{AnyPort, POOL_FRAME_CAPACITY, Port};
use braid_dataplane::worker::{Clock, IdlePolicy, Worker};
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError, SocketOptions};
use braid_engine::stack::{ConnectionId, InterfaceConfig, ListenerId, PortId, Stack, StackConfig};
use braid_engine::wire::ethernet::MacAddress;

use super::{BUFFER, Hosts, TRANSFER};

const PORT: u16 = 7;

/// Turns without a byte after which a transfer is given up.
const PATIENCE: u32 = 1_000_000;

/// How the two hosts are joined.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Links {
    /// Links, and subflows over them.
    pub subflows: u8,
    /// Frames carry up to 64 KiB, and no checksums.
    pub large_segments: bool,
}

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

fn address(link: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, link, host).into()
}

fn host(number: u8, ports: Vec<MemoryPort>) -> Result<Worker<Stack>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let config = StackConfig {
        frame_capacity: POOL_FRAME_CAPACITY,
        ..StackConfig::default()
    };
    let mut stack = Stack::new(config, [number; 32]);
    for (link, port) in (0..).zip(&ports) {
        let interface = InterfaceConfig {
            port: PortId(u16::from(link)),
            name: format!("link{link}"),
            mac: MacAddress([2, 0, 0, 0, link, number]),
            mtu: 1_500,
            addresses: vec![(address(link, number), 24)],
            gateways: Vec::new(),
            capabilities: port.capabilities(),
        };
        stack.add_interface(interface).map_err(|e| text(&e))?;
    }
    let ports = ports.into_iter().map(|port| AnyPort::from(port).into());
    Worker::new(stack, ports.collect(), Clock::start(), IdlePolicy::Spin).map_err(|e| text(&e))
}

/// Two hosts, of which the second announces its addresses to the first.
fn hosts(links: Links) -> Result<(Worker<Stack>, Worker<Stack>), String> {
    let options = MemoryOptions {
        checksum: links.large_segments,
        segmentation: links.large_segments,
        ..MemoryOptions::default()
    };
    let pairs = (0..links.subflows).map(|_| MemoryPort::pair(options));
    let pairs: Result<Vec<_>, _> = pairs.collect();
    let pairs = pairs.map_err(|error| error.to_string())?;
    let (near, far) = pairs.into_iter().unzip();
    let (mut client, mut server) = (host(1, near)?, host(2, far)?);
    let now = client.now();
    let further = links.subflows.saturating_sub(1);
    let limits = Limits {
        subflows: further,
        add_addr_accepted: further,
    };
    client.engine_mut().set_limits(now, limits);
    server.engine_mut().set_limits(now, limits);
    for link in 1..links.subflows {
        let endpoint = Endpoint {
            id: link,
            address: address(link, 2),
            port: None,
            flags: EndpointFlags::SIGNAL,
        };
        let added = server.engine_mut().add_endpoint(now, endpoint);
        added.map_err(|error| error.to_string())?;
    }
    Ok((client, server))
}

impl Pair {
    /// Two hosts, and a connection with all its subflows.
    ///
    /// # Errors
    ///
    /// When there is none after a while.
    pub fn new(links: Links) -> Result<Self, String> {
        let (mut client, mut server) = hosts(links)?;
        let now = client.now();
        let socket = SocketOptions {
            send_buffer: Some(BUFFER as u32),
            receive_buffer: Some(BUFFER as u32),
            ..SocketOptions::default()
        };
        let there = SocketAddr::new(address(0, 2), PORT);
        // A listener of one address would keep its connections there.
        let anywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT);
        let listener = server
            .engine_mut()
            .listen(
                anywhere,
                ListenOptions {
                    socket: socket.clone(),
                    ..ListenOptions::default()
                },
            )
            .map_err(|error| error.to_string())?;
        let sending = client
            .engine_mut()
            .connect(
                now,
                ConnectOptions {
                    socket,
                    ..ConnectOptions::to(there)
                },
            )
            .map_err(|error| error.to_string())?;
        let receiving = accept(&mut client, &mut server, listener)?;
        let mut pair = Self {
            client,
            server,
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

fn turn(worker: &mut Worker<Stack>) {
    let _ = worker.step();
    while worker.engine_mut().poll_event().is_some() {}
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

/// How many bytes went; none where the call would have blocked.
fn some(result: Result<usize, SocketError>) -> Result<usize, String> {
    match result {
        Ok(count) => Ok(count),
        Err(SocketError::WouldBlock | SocketError::NotConnected) => Ok(0),
        Err(error) => Err(error.to_string()),
    }
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
