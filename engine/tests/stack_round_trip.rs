//! What a server knows of the round trip before it has sent a byte.

use braid_engine::random::Random;
use braid_engine::socket::{ConnectOptions, ListenOptions};
use braid_engine::stack::{
    Capabilities, ConnectionId, Event, InterfaceConfig, PortId, Stack, StackConfig,
};
use braid_engine::testing::link::LinkConfig;
use braid_engine::testing::middlebox::Direction;
use braid_engine::testing::network::{End, HostId, Network};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::ethernet::MacAddress;
use std::net::Ipv4Addr;

const DELAY: Duration = Duration::from_millis(20);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn host(network: &mut Network, number: u8) -> HostId {
    let mut stack = Stack::new(StackConfig::default(), [number; 32]);
    stack
        .add_interface(InterfaceConfig {
            port: PortId(0),
            name: format!("link{number}"),
            mac: MacAddress([2, 0, 0, 0, 0, number]),
            mtu: 1_500,
            addresses: vec![(Ipv4Addr::new(10, 0, 0, number).into(), 24)],
            gateways: Vec::new(),
            capabilities: Capabilities {
                checksum: false,
                segmentation: false,
                attach: false,
                max_frame: 1_514,
            },
        })
        .expect("one interface");
    network.add_host(stack)
}

/// Runs until the server has a connection, at most ten seconds.
fn accepted(network: &mut Network, server: HostId) -> ConnectionId {
    let until = network.now() + Duration::from_secs(10);
    while let Some(next) = network.next_event().filter(|next| *next < until) {
        network.advance_to(next);
        while let Some(event) = network.poll_event(server) {
            if let Event::Acceptable(listener) = event {
                return network.stack(server).accept(listener).expect("one");
            }
        }
    }
    panic!("no connection came");
}

/// Connects over a link whose way back to the client is cut for `cut`; gives the server's
/// smoothed round trip.
fn round_trip(cut: Duration) -> Option<Duration> {
    let mut network = Network::new(Random::from_u64(1));
    let (client, server) = (host(&mut network, 1), host(&mut network, 2));
    let ends = [client, server].map(|host| End {
        host,
        port: PortId(0),
    });
    let config = LinkConfig {
        delay: DELAY,
        ..LinkConfig::default()
    };
    let link = network.add_link(ends, [config; 2], Vec::new());
    let now = network.now();
    let local = (SERVER, 80).into();
    let stack = network.stack(server);
    stack.listen(local, ListenOptions::default()).expect("free");
    let options = ConnectOptions::to(local);
    network.stack(client).connect(now, options).expect("a way");
    network.transmit();
    if cut > Duration::ZERO {
        // The neighbours know each other and the SYN is on its way when the link is cut.
        network_until(&mut network, now + DELAY * 2 + DELAY / 2);
        network.set_link(link, Some(Direction::Back), false);
        network_until(&mut network, now + cut);
        network.set_link(link, Some(Direction::Back), true);
    }
    let connection = accepted(&mut network, server);
    network.stack(server).subflows(connection)[0].smoothed_rtt
}

fn network_until(network: &mut Network, until: Instant) {
    while let Some(next) = network.next_event().filter(|next| *next <= until) {
        network.advance_to(next);
    }
    network.advance_to(until);
}

#[test]
fn the_third_ack_is_the_first_sample() {
    let sample = round_trip(Duration::ZERO).expect("a sample");
    assert!(sample >= DELAY * 2 && sample < DELAY * 3, "{sample:?}");
}

#[test]
fn a_repeated_syn_ack_gives_no_sample() {
    assert_eq!(round_trip(Duration::from_millis(500)), None);
}
