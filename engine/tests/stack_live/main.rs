//! What an application can change on a connection while it lives, from either side, by what the
//! peer and the wire see of it.

#[path = "../stack_support/mod.rs"]
mod stack_support;

mod addresses;
mod bind;
mod buffers;
mod families;
mod management;
mod policies;
mod profiles;
mod silence;
mod subflows;

use braid_engine::mptcp::path_manager::EndpointFlags;
use braid_engine::socket::{SocketError, SubflowInfo};
use braid_engine::stack::ConnectionId;
use braid_engine::time::Duration;
use core::net::SocketAddr;
use stack_support::{Host, Network, Side, pattern, v4};

/// Both ends of a connection.
#[derive(Copy, Clone)]
pub(crate) struct Pair {
    pub(crate) client: ConnectionId,
    pub(crate) server: ConnectionId,
}

impl Pair {
    pub(crate) fn of(self, side: Side) -> ConnectionId {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }
}

pub(crate) const BOTH: [Side; 2] = [Side::Client, Side::Server];

pub(crate) fn server_on(link: u8) -> SocketAddr {
    SocketAddr::new(v4(Side::Server, link), 80)
}

/// A network whose hosts have endpoints on every link but the first; the server listens.
pub(crate) fn with_endpoints(links: u8) -> Network {
    let mut network = Network::new(links);
    network.full_paths(links, false);
    network.listen();
    network
}

/// A connection that has said hello.
pub(crate) fn greet(network: &mut Network) -> Pair {
    let (client, server) = network.establish(server_on(0));
    network.transfer((Side::Client, client), server, b"hello");
    Pair { client, server }
}

/// A connection with a subflow on each of `links` links.
pub(crate) fn on_all(links: u8) -> (Network, Pair) {
    let mut network = with_endpoints(links);
    let pair = greet(&mut network);
    settle(&mut network, pair, usize::from(links));
    (network, pair)
}

/// Subflows that are established and to stay, as one side sees them.
pub(crate) fn lasting(network: &mut Network, side: Side, pair: Pair) -> Vec<SubflowInfo> {
    let subflows = network.host(side).stack.subflows(pair.of(side));
    subflows
        .into_iter()
        .filter(|subflow| subflow.established && !subflow.closing)
        .collect()
}

/// Waits until both sides have so many subflows and no more.
#[track_caller]
pub(crate) fn settle(network: &mut Network, pair: Pair, count: usize) {
    network.run_until(Duration::from_secs(30), |network| {
        BOTH.into_iter()
            .all(|side| network.host(side).stack.subflows(pair.of(side)).len() == count)
            && BOTH
                .into_iter()
                .all(|side| lasting(network, side, pair).len() == count)
    });
}

/// Bytes on their way from one side to the other.
pub(crate) struct Flow {
    from: Side,
    pair: Pair,
    bytes: Vec<u8>,
    written: usize,
    arrived: Vec<u8>,
}

impl Flow {
    pub(crate) fn new(from: Side, pair: Pair, length: usize) -> Self {
        Self {
            from,
            pair,
            bytes: pattern(length, length as u32),
            written: 0,
            arrived: Vec::new(),
        }
    }

    /// Writes and reads what can be; true once everything has arrived.
    pub(crate) fn turn(&mut self, network: &mut Network) -> bool {
        let now = network.now;
        let to = match self.from {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        let sender: &mut Host = network.host(self.from);
        let rest = &self.bytes[self.written..];
        match sender.stack.send(now, self.pair.of(self.from), rest) {
            Ok(count) => self.written += count,
            Err(SocketError::WouldBlock) => {}
            Err(error) => panic!("send: {error}"),
        }
        let mut buffer = vec![0; 65_536];
        loop {
            let receiver = network.host(to);
            match receiver.stack.recv(now, self.pair.of(to), &mut buffer) {
                Ok(0) | Err(SocketError::WouldBlock) => break,
                Ok(count) => self.arrived.extend_from_slice(&buffer[..count]),
                Err(error) => panic!("recv: {error}"),
            }
        }
        assert!(
            self.bytes.starts_with(&self.arrived),
            "what arrived is not what was sent"
        );
        self.arrived.len() == self.bytes.len()
    }

    /// Goes on until so many bytes have arrived.
    #[track_caller]
    pub(crate) fn run_to(&mut self, network: &mut Network, count: usize) {
        network.run_until(Duration::from_secs(120), |network| {
            self.turn(network) || self.arrived.len() >= count
        });
    }

    #[track_caller]
    pub(crate) fn finish(&mut self, network: &mut Network) {
        let length = self.bytes.len();
        self.run_to(network, length);
    }
}

/// Adds an endpoint of the side's address on `link`, with the link's number.
pub(crate) fn endpoint(network: &mut Network, side: Side, link: u8, flags: EndpointFlags) {
    network.add_endpoint(side, link, v4(side, link), flags);
}
