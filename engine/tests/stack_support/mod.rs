//! Two stacks and the links between them, under a virtual clock: whole frames, as on a wire.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of what they share"
)]

pub mod raw;
pub mod raw_peer;

use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::socket::{ConnectOptions, ListenOptions, Shutdown, SocketError};
use braid_engine::stack::{
    Capabilities, ChecksumOffload, ConnectionId, Event, InterfaceConfig, ListenerId, PortId,
    ReceiveMeta, ReceivedChecksum, Stack, StackConfig, TransmitBatch, TransmitMeta,
};
use braid_engine::storage::frame::Frame;
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::ethernet::MacAddress;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::VecDeque;

/// Without offloads, as an ordinary network card.
pub const PLAIN: Capabilities = Capabilities {
    checksum: false,
    segmentation: false,
    attach: false,
    max_frame: 1514,
};

/// With every offload.
pub const OFFLOAD: Capabilities = Capabilities {
    checksum: true,
    segmentation: true,
    attach: false,
    max_frame: 65_549,
};

/// A frame on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub port: PortId,
    pub bytes: Vec<u8>,
    pub meta: TransmitMeta,
}

/// Takes every frame, up to a number.
#[derive(Debug)]
pub struct Batch {
    pub frames: Vec<Sent>,
    pub room: usize,
    /// The longest frame that any port carries.
    pub longest: usize,
    buffer: Vec<u8>,
}

impl Batch {
    pub fn new(room: usize) -> Self {
        Self {
            frames: Vec::new(),
            room,
            longest: 70_000,
            buffer: vec![0; 70_000],
        }
    }
}

impl TransmitBatch for Batch {
    fn reserve(&mut self, _: PortId, length: usize) -> Option<&mut [u8]> {
        let fits = self.frames.len() < self.room && length <= self.longest;
        fits.then_some(&mut self.buffer[..length])
    }

    fn commit(&mut self, port: PortId, length: usize, meta: TransmitMeta) {
        let bytes = self.buffer[..length].to_vec();
        self.frames.push(Sent { port, bytes, meta });
    }
}

/// Everything a stack has to send now.
pub fn drain(stack: &mut Stack, now: Instant) -> Vec<Sent> {
    let mut batch = Batch::new(usize::MAX);
    stack.transmit(now, &mut batch);
    batch.frames
}

/// How the receiver sees a frame that was sent with `meta`.
pub fn receive_meta(sent: &Sent) -> ReceiveMeta {
    ReceiveMeta {
        port: sent.port,
        checksum: match sent.meta.checksum {
            ChecksumOffload::Complete => ReceivedChecksum::Unknown,
            ChecksumOffload::Partial { .. } => ReceivedChecksum::Partial,
        },
        segment_size: sent.meta.segmentation.map(|cut| cut.segment_size),
    }
}

/// One end of the network.
pub struct Host {
    pub stack: Stack,
    /// Every event so far.
    pub events: Vec<Event>,
    pub listener: Option<ListenerId>,
}

impl Host {
    pub fn new(config: StackConfig, seed: u8) -> Self {
        config.check().expect("the test's configuration is sound");
        Self {
            stack: Stack::new(config, [seed; 32]),
            events: Vec::new(),
            listener: None,
        }
    }

    pub fn closed(&self, connection: ConnectionId) -> Option<Result<(), SocketError>> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(id, result) if *id == connection => Some(*result),
            _ => None,
        })
    }

    pub fn saw(&self, wanted: &Event) -> bool {
        self.events.contains(wanted)
    }

    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.stack.counters();
        let found = counters.iter().find(|(other, _)| *other == name);
        found
            .unwrap_or_else(|| panic!("there is no counter {name}"))
            .1
    }
}

/// Who sends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Side {
    Client,
    Server,
}

type Filter = Box<dyn FnMut(Side, &mut Sent) -> bool>;

/// Two hosts with as many links between them as they have ports; port `n` of one is connected to
/// port `n` of the other.
pub struct Network {
    pub now: Instant,
    pub client: Host,
    pub server: Host,
    pub delay: Duration,
    /// Frames it refuses are lost; it may edit the others.
    pub filter: Filter,
    pub frames: usize,
    wire: VecDeque<(Instant, Side, Sent)>,
}

pub fn mac(side: Side, link: u8) -> MacAddress {
    MacAddress([2, 0, 0, link, 0, 1 + side as u8])
}

/// The address of a host on a link; hosts are 1 and 2.
pub fn v4(side: Side, link: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, link, 1 + side as u8))
}

pub fn v6(side: Side, link: u8) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(
        0xfd00,
        0,
        0,
        link.into(),
        0,
        0,
        0,
        1 + side as u16,
    ))
}

pub fn interface(side: Side, link: u8, capabilities: Capabilities) -> InterfaceConfig {
    InterfaceConfig {
        port: PortId(link.into()),
        name: format!("eth{link}"),
        mac: mac(side, link),
        mtu: 1500,
        addresses: vec![(v4(side, link), 24), (v6(side, link), 64)],
        gateways: Vec::new(),
        capabilities,
    }
}

impl Network {
    /// Both hosts with the default configuration and no offloads.
    pub fn new(links: u8) -> Self {
        Self::with(StackConfig::default(), StackConfig::default(), links, PLAIN)
    }

    pub fn with(
        client: StackConfig,
        server: StackConfig,
        links: u8,
        capabilities: Capabilities,
    ) -> Self {
        let mut client = Host::new(client, 1);
        let mut server = Host::new(server, 2);
        for link in 0..links {
            let interfaces = [(&mut client, Side::Client), (&mut server, Side::Server)];
            for (host, side) in interfaces {
                host.stack
                    .add_interface(interface(side, link, capabilities))
                    .expect("the interface is sound");
            }
        }
        Self {
            now: Instant::from_millis(1_000),
            client,
            server,
            delay: Duration::from_millis(5),
            filter: Box::new(|_, _| true),
            frames: 0,
            wire: VecDeque::new(),
        }
    }

    /// The client opens a subflow from each of its other links; `v6` tells by which family.
    pub fn full_paths(&mut self, links: u8, is_ipv6: bool) {
        let limits = Limits {
            subflows: links,
            add_addr_accepted: links,
        };
        let address = if is_ipv6 { v6 } else { v4 };
        self.client.stack.set_limits(self.now, limits);
        self.server.stack.set_limits(self.now, limits);
        for link in 1..links {
            let address_there = address(Side::Client, link);
            let flags = EndpointFlags::SUBFLOW;
            self.add_endpoint(Side::Client, link, address_there, flags);
            let address_there = address(Side::Server, link);
            let flags = EndpointFlags::SIGNAL;
            self.add_endpoint(Side::Server, link, address_there, flags);
        }
    }

    /// Adds an endpoint without a port.
    #[track_caller]
    pub fn add_endpoint(&mut self, side: Side, id: u8, address: IpAddr, flags: EndpointFlags) {
        let now = self.now;
        let endpoint = Endpoint {
            id,
            address,
            port: None,
            flags,
        };
        let added = self.host(side).stack.add_endpoint(now, endpoint);
        added.expect("the endpoint is sound");
    }

    pub fn host(&mut self, side: Side) -> &mut Host {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn collect(&mut self) {
        for side in [Side::Client, Side::Server] {
            let now = self.now;
            let frames = drain(&mut self.host(side).stack, now);
            for mut sent in frames {
                self.frames += 1;
                if (self.filter)(side, &mut sent) {
                    self.wire.push_back((now + self.delay, side, sent));
                }
            }
            let host = self.host(side);
            while let Some(event) = host.stack.poll_event() {
                host.events.push(event);
            }
        }
    }

    /// Goes on to the next thing that happens, no later than `until`. False when nothing will.
    fn step(&mut self, until: Instant) -> bool {
        self.collect();
        let timers = [
            self.client.stack.poll_timeout(),
            self.server.stack.poll_timeout(),
            self.wire.front().map(|(at, _, _)| *at),
        ];
        let Some(next) = timers.into_iter().flatten().min() else {
            return false;
        };
        if next > until {
            return false;
        }
        self.now = self.now.max(next);
        let now = self.now;
        while self.wire.front().is_some_and(|(at, _, _)| *at <= now) {
            let Some((_, from, sent)) = self.wire.pop_front() else {
                break;
            };
            let to = match from {
                Side::Client => Side::Server,
                Side::Server => Side::Client,
            };
            let meta = receive_meta(&sent);
            self.host(to)
                .stack
                .receive(now, Frame::from(&sent.bytes[..]), meta);
        }
        self.client.stack.advance(now);
        self.server.stack.advance(now);
        self.collect();
        true
    }

    /// Runs until `done`, or panics when that takes longer than `limit`.
    #[track_caller]
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let until = self.now + limit;
        while !done(self) {
            assert!(
                self.step(until),
                "not done after {limit:?}; client saw {:?}, server saw {:?}",
                self.client.events,
                self.server.events
            );
        }
    }

    /// Lets `duration` pass.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.step(until) {}
        self.now = until;
        self.client.stack.advance(until);
        self.server.stack.advance(until);
        self.collect();
    }

    /// Has the client begin a connection to `remote`.
    #[track_caller]
    pub fn connect(&mut self, remote: SocketAddr) -> ConnectionId {
        let options = ConnectOptions::to(remote);
        let connection = self.client.stack.connect(self.now, options);
        connection.expect("there is a route")
    }

    /// Has one side shut its connection down.
    #[track_caller]
    pub fn shutdown(&mut self, side: Side, connection: ConnectionId, how: Shutdown) {
        let now = self.now;
        let stack = &mut self.host(side).stack;
        stack
            .shutdown(now, connection, how)
            .expect("the handle is good");
    }

    /// Runs until the connection is closed on both sides, and asserts that it ended in order.
    #[track_caller]
    pub fn run_until_closed(&mut self, client: ConnectionId, server: ConnectionId) {
        self.run_until(Duration::from_secs(10), |network| {
            network.client.closed(client).is_some() && network.server.closed(server).is_some()
        });
        assert_eq!(self.client.closed(client), Some(Ok(())));
        assert_eq!(self.server.closed(server), Some(Ok(())));
    }

    /// Connects to port 80 of the server, which has to listen, and accepts.
    #[track_caller]
    pub fn establish(&mut self, remote: SocketAddr) -> (ConnectionId, ConnectionId) {
        let options = ConnectOptions::to(remote);
        self.establish_with(options)
    }

    #[track_caller]
    pub fn establish_with(&mut self, options: ConnectOptions) -> (ConnectionId, ConnectionId) {
        let now = self.now;
        let client = self
            .client
            .stack
            .connect(now, options)
            .expect("there is a route");
        let listener = self.server.listener.expect("the server listens");
        let mut accepted = None;
        self.run_until(Duration::from_secs(30), |network| {
            accepted = accepted.or_else(|| network.server.stack.accept(listener));
            accepted.is_some() && network.client.saw(&Event::Connected(client))
        });
        (client, accepted.expect("the loop ended with a connection"))
    }

    /// Takes a link down or up on both hosts.
    pub fn set_link(&mut self, link: u16, up: bool) {
        for host in [&mut self.client, &mut self.server] {
            host.stack.set_link(self.now, PortId(link), up);
        }
    }

    /// Makes the server listen on port 80 of all addresses.
    pub fn listen(&mut self) {
        self.listen_with(ListenOptions::default());
    }

    pub fn listen_with(&mut self, options: ListenOptions) {
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 80);
        let listener = self.server.stack.listen(address, options);
        self.server.listener = Some(listener.expect("the port is free"));
    }

    /// Sends `bytes` from one side to the other, and asserts that they arrive.
    #[track_caller]
    pub fn transfer(&mut self, from: (Side, ConnectionId), to: ConnectionId, bytes: &[u8]) {
        let (side, sender) = from;
        let mut written = 0;
        let mut arrived = Vec::new();
        let mut buffer = vec![0; 65_536];
        self.run_until(Duration::from_secs(600), |network| {
            let now = network.now;
            let (sending, receiving) = match side {
                Side::Client => (&mut network.client, &mut network.server),
                Side::Server => (&mut network.server, &mut network.client),
            };
            while written < bytes.len() {
                match sending.stack.send(now, sender, &bytes[written..]) {
                    Ok(count) => written += count,
                    Err(SocketError::WouldBlock) => break,
                    Err(error) => panic!("send: {error}"),
                }
            }
            loop {
                match receiving.stack.recv(now, to, &mut buffer) {
                    Ok(0) => break,
                    Ok(count) => arrived.extend_from_slice(&buffer[..count]),
                    Err(SocketError::WouldBlock) => break,
                    Err(error) => panic!("recv: {error}"),
                }
            }
            arrived.len() >= bytes.len()
        });
        assert!(arrived == bytes, "what arrived is not what was sent");
    }
}

/// Bytes without a period that a mistake could hide behind.
pub fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}
