//! Connections between two sockets of one stack, to an address of its own (RFC 1122 section
//! 3.2.1.3): no wire sees a frame of them.

mod stack_support;

use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError};
use braid_engine::stack::{ConnectionId, Event, PortId, ReceiveMeta, Stack, StackConfig};
use braid_engine::storage::frame::Frame;
use braid_engine::time::{Duration, Instant};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use stack_support::{Batch, Host, PLAIN, Side, interface, pattern, v4, v6};

/// A stack with a virtual clock and wires that take everything.
struct Alone {
    now: Instant,
    host: Host,
    /// Frames of TCP that went by a wire.
    on_wires: usize,
}

impl Alone {
    fn new(config: StackConfig) -> Self {
        let mut host = Host::new(config, 1);
        for link in 0..2 {
            let added = host
                .stack
                .add_interface(interface(Side::Client, link, PLAIN));
            added.unwrap();
        }
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 80);
        host.listener = Some(
            host.stack
                .listen(address, ListenOptions::default())
                .unwrap(),
        );
        Self {
            now: Instant::from_millis(1_000),
            host,
            on_wires: 0,
        }
    }

    fn stack(&mut self) -> &mut Stack {
        &mut self.host.stack
    }

    /// A turn as a worker has it; false when nothing will happen before `until`.
    fn step(&mut self, until: Instant) -> bool {
        let now = self.now;
        let mut batch = Batch::new(usize::MAX);
        self.stack().transmit(now, &mut batch);
        self.on_wires += batch.frames.len();
        while let Some(event) = self.host.stack.poll_event() {
            self.host.events.push(event);
        }
        let Some(next) = self.stack().poll_timeout().filter(|next| *next <= until) else {
            return false;
        };
        // A turn takes some time, even of nobody but this host.
        self.now = self.now.max(next) + Duration::from_micros(3);
        let now = self.now;
        self.stack().advance(now);
        true
    }

    #[track_caller]
    fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let until = self.now + Duration::from_secs(20);
        while !done(self) {
            let more = self.step(until);
            assert!(more || done(self), "not done; saw {:?}", self.host.events);
        }
    }

    #[track_caller]
    fn establish(&mut self, options: ConnectOptions) -> (ConnectionId, ConnectionId) {
        let now = self.now;
        let listener = self.host.listener.unwrap();
        let client = self.stack().connect(now, options).unwrap();
        let mut accepted = None;
        self.run_until(|alone| {
            accepted = accepted.or_else(|| alone.stack().accept(listener));
            accepted.is_some() && alone.host.saw(&Event::Connected(client))
        });
        (client, accepted.unwrap())
    }

    #[track_caller]
    fn transfer(&mut self, from: ConnectionId, to: ConnectionId, bytes: &[u8]) {
        let (mut written, mut arrived) = (0, Vec::new());
        let mut buffer = vec![0; 1 << 16];
        self.run_until(|alone| {
            let now = alone.now;
            while written < bytes.len() {
                match alone.stack().send(now, from, &bytes[written..]) {
                    Ok(count) => written += count,
                    Err(SocketError::WouldBlock) => break,
                    Err(error) => panic!("send: {error}"),
                }
            }
            loop {
                match alone.stack().recv(now, to, &mut buffer) {
                    Ok(0) | Err(SocketError::WouldBlock) => break,
                    Ok(count) => arrived.extend_from_slice(&buffer[..count]),
                    Err(error) => panic!("recv: {error}"),
                }
            }
            arrived.len() >= bytes.len()
        });
        assert!(arrived == bytes, "what arrived is not what was sent");
    }

    #[track_caller]
    fn close(&mut self, ends: [ConnectionId; 2]) {
        for end in ends {
            let now = self.now;
            self.stack().close(now, end);
        }
        self.run_until(|alone| alone.stack().connection_count() == 0);
    }
}

fn to(address: IpAddr) -> ConnectOptions {
    ConnectOptions::to(SocketAddr::new(address, 80))
}

#[test]
fn two_sockets_of_one_host_talk_and_no_wire_sees_it() {
    for (capacity, address) in [2_048, 65_664].into_iter().flat_map(|capacity| {
        [
            (capacity, v4(Side::Client, 0)),
            (capacity, v6(Side::Client, 1)),
        ]
    }) {
        let config = StackConfig {
            frame_capacity: capacity,
            ..StackConfig::default()
        };
        let mut alone = Alone::new(config);
        assert!(alone.stack().has_route(address));
        let (client, server) = alone.establish(to(address));
        for end in [client, server] {
            assert_eq!(alone.stack().local_address(end).unwrap().ip(), address);
            assert_eq!(alone.stack().remote_address(end).unwrap().ip(), address);
            assert!(alone.stack().connection_settings(end).unwrap().multipath);
        }
        let (there, back) = (pattern(3_000_000, 1), pattern(1_000_000, 2));
        alone.transfer(client, server, &there);
        alone.transfer(server, client, &back);
        // What is written once the stack knows where it goes leaves as it lies.
        let large = capacity > 60_000;
        alone.transfer(client, server, &back);
        let lent = alone.host.counter("EngineSegmentsLent");
        assert_eq!(lent > 10, large, "{lent} lent, frames of {capacity}");
        alone.close([client, server]);
        assert_eq!(alone.on_wires, 0, "by a wire to {address}");
        assert_eq!(alone.host.counter("LinkOutFrames"), 0);
        let frames = alone.host.counter("LinkLoopbackFrames");
        assert!(frames > 10, "{frames}");
        if large {
            assert!(frames < 2_000, "{frames} frames are not large ones");
        }
        assert_eq!(alone.host.counter("TcpExtTCPOFODrop"), 0);
    }
}

#[test]
fn further_subflows_join_within_the_host_and_links_are_no_matter() {
    let mut alone = Alone::new(StackConfig::default());
    let now = alone.now;
    let limits = Limits {
        subflows: 2,
        add_addr_accepted: 2,
    };
    alone.stack().set_limits(now, limits);
    let endpoint = Endpoint {
        id: 1,
        address: v4(Side::Client, 1),
        port: None,
        flags: EndpointFlags::SUBFLOW,
    };
    alone.stack().add_endpoint(now, endpoint).unwrap();
    let (client, server) = alone.establish(to(v4(Side::Client, 0)));
    alone.transfer(client, server, &pattern(400_000, 3));
    alone.run_until(|alone| alone.stack().subflows(client).len() == 2);
    for port in [PortId(0), PortId(1)] {
        let now = alone.now;
        alone.stack().set_link(now, port, false);
    }
    alone.transfer(client, server, &pattern(400_000, 4));
    alone.transfer(server, client, &pattern(400_000, 5));
    alone.close([client, server]);
    assert_eq!(alone.on_wires, 0);
}

#[test]
fn a_port_without_a_listener_refuses_and_nobody_connects_to_himself() {
    let mut alone = Alone::new(StackConfig::default());
    let now = alone.now;
    let own = v4(Side::Client, 0);
    let closed = ConnectOptions::to(SocketAddr::new(own, 81));
    let connection = alone.stack().connect(now, closed).unwrap();
    alone.run_until(|alone| alone.host.closed(connection).is_some());
    let refused = Some(Err(SocketError::ConnectionRefused));
    assert_eq!(alone.host.closed(connection), refused);
    let itself = SocketAddr::new(own, 4_000);
    let options = ConnectOptions {
        local: Some(itself),
        ..ConnectOptions::to(itself)
    };
    let result = alone.stack().connect(now, options);
    assert_eq!(result, Err(SocketError::AddressInUse));
}

#[test]
fn nothing_comes_by_the_loopback_from_outside() {
    let mut alone = Alone::new(StackConfig::default());
    let meta = ReceiveMeta {
        port: PortId::LOOPBACK,
        ..ReceiveMeta::default()
    };
    let now = alone.now;
    alone.stack().receive(now, Frame::from(&[0; 60][..]), meta);
    assert_eq!(alone.host.counter("LinkInNoInterface"), 1);
    let mut taken = interface(Side::Client, 5, PLAIN);
    taken.port = PortId::LOOPBACK;
    assert!(alone.stack().add_interface(taken).is_err());
}
