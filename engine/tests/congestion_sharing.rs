//! What a connection takes beside another one: coupled controllers share a bottleneck like one TCP
//! and use two separate paths (RFC 6356 section 2), each from the first byte or switched to later.

use braid_engine::congestion::ControllerKind;
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::random::Random;
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketOptions};
use braid_engine::stack::{
    Capabilities, ConnectionId, Event, InterfaceConfig, ListenerId, PortId, Stack, StackConfig,
};
use braid_engine::testing::link::{Chance, LinkConfig};
use braid_engine::testing::network::{End, HostId, Network};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::ethernet::MacAddress;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes a second of a link.
const RATE: u64 = 1_000_000;

fn v4(link: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, link, host).into()
}

fn v6(link: u8, host: u8) -> IpAddr {
    Ipv6Addr::new(0xfd00, 0, 0, link.into(), 0, 0, 0, host.into()).into()
}

/// A client that writes as much as it can and a server that reads it.
struct Lab {
    network: Network,
    client: HostId,
    server: HostId,
    listener: ListenerId,
    flows: Vec<Flow>,
}

struct Flow {
    client: ConnectionId,
    server: Option<ConnectionId>,
    read: u64,
}

fn host(number: u8, links: u8) -> Stack {
    let mut stack = Stack::new(StackConfig::default(), [number; 32]);
    for link in 0..links {
        let interface = InterfaceConfig {
            port: PortId(link.into()),
            name: format!("eth{link}"),
            mac: MacAddress([2, 0, 0, 0, link, number]),
            mtu: 1_500,
            addresses: vec![(v4(link, number), 24), (v6(link, number), 64)],
            gateways: Vec::new(),
            capabilities: Capabilities {
                checksum: false,
                segmentation: false,
                attach: false,
                max_frame: 1_514,
            },
        };
        stack.add_interface(interface).expect("sound");
    }
    let limits = Limits {
        subflows: 2,
        add_addr_accepted: 2,
    };
    stack.set_limits(Instant::ZERO, limits);
    stack
}

impl Lab {
    /// Hosts 1 and 2; a connection has two subflows: one to the IPv4 address on link 0, the other
    /// to that of IPv6 on the last link.
    fn new(links: u8) -> Self {
        let mut network = Network::new(Random::from_u64(7));
        let hosts = [1, 2].map(|number| {
            let mut stack = host(number, links);
            let flags = match number {
                1 => EndpointFlags::SUBFLOW,
                _ => EndpointFlags::SIGNAL,
            };
            let endpoint = Endpoint {
                id: 1,
                address: v6(links - 1, number),
                port: None,
                flags,
            };
            stack.add_endpoint(Instant::ZERO, endpoint).expect("sound");
            network.add_host(stack)
        });
        for link in 0..links {
            let port = PortId(link.into());
            let config = LinkConfig {
                delay: Duration::from_millis(25),
                jitter: Duration::from_millis(1),
                rate: Some(RATE),
                queue: 50_000,
                // Breaks the lockstep of flows at a queue that drops the last to come.
                loss: Chance(100),
                ..LinkConfig::default()
            };
            network.add_link(
                hosts.map(|host| End { host, port }),
                [config; 2],
                Vec::new(),
            );
        }
        let [client, server] = hosts;
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 80);
        let listener = network
            .stack(server)
            .listen(any, ListenOptions::default())
            .expect("the port is free");
        Self {
            network,
            client,
            server,
            listener,
            flows: Vec::new(),
        }
    }

    fn connect(&mut self, multipath: bool, kind: ControllerKind) -> usize {
        let now = self.network.now();
        let options = ConnectOptions {
            multipath,
            socket: SocketOptions {
                congestion: Some(kind),
                ..SocketOptions::default()
            },
            ..ConnectOptions::to(SocketAddr::new(v4(0, 2), 80))
        };
        let connection = self.network.stack(self.client).connect(now, options);
        self.flows.push(Flow {
            client: connection.expect("there is a route"),
            server: None,
            read: 0,
        });
        self.run_for(Duration::from_millis(200));
        self.flows.len() - 1
    }

    fn run_for(&mut self, duration: Duration) {
        self.network.transmit();
        let until = self.network.now() + duration;
        let zeros = vec![0; 65_536];
        let mut buffer = vec![0; 65_536];
        while let Some(next) = self.network.next_event().filter(|next| *next <= until) {
            self.network.advance_to(next);
            let now = self.network.now();
            for host in [self.client, self.server] {
                while let Some(event) = self.network.poll_event(host) {
                    assert!(!matches!(event, Event::Closed(..)), "{event:?}");
                }
            }
            let accepted = self.network.stack(self.server).accept(self.listener);
            for flow in &mut self.flows {
                if flow.server.is_none() {
                    flow.server = accepted;
                }
                let _ = self
                    .network
                    .stack(self.client)
                    .send(now, flow.client, &zeros);
                let Some(server) = flow.server else { continue };
                while let Ok(count) = self
                    .network
                    .stack(self.server)
                    .recv(now, server, &mut buffer)
                {
                    flow.read += count as u64;
                }
            }
            self.network.transmit();
        }
    }

    /// Bytes a second that each flow gets, after some time to settle.
    fn rates(&mut self) -> Vec<f64> {
        self.run_for(Duration::from_secs(15));
        let before: Vec<u64> = self.flows.iter().map(|flow| flow.read).collect();
        self.run_for(Duration::from_secs(60));
        let gained = self.flows.iter().zip(before);
        gained
            .map(|(flow, before)| (flow.read - before) as f64 / 60.0)
            .collect()
    }

    fn set_congestion(&mut self, flow: usize, kind: ControllerKind) {
        let (now, connection) = (self.network.now(), self.flows[flow].client);
        self.network
            .stack(self.client)
            .set_congestion(now, connection, kind)
            .expect("the connection lives");
    }
}

/// What a connection of two subflows takes of a link, compared with a TCP beside it.
fn share_of_bottleneck(first: ControllerKind, then: ControllerKind) -> f64 {
    let mut lab = Lab::new(1);
    let multipath = lab.connect(true, first);
    let single = lab.connect(false, ControllerKind::Reno);
    lab.run_for(Duration::from_secs(5));
    let subflows = lab
        .network
        .host(lab.client)
        .subflows(lab.flows[multipath].client);
    let established = subflows.iter().filter(|subflow| subflow.established);
    assert_eq!(established.count(), 2);
    lab.set_congestion(multipath, then);
    let rates = lab.rates();
    rates[multipath] / rates[single]
}

#[test]
fn coupled_subflows_share_a_bottleneck_like_one_tcp() {
    let apart = share_of_bottleneck(ControllerKind::Reno, ControllerKind::Reno);
    assert!(apart > 1.5, "two uncoupled subflows are two flows: {apart}");
    for kind in ControllerKind::ALL {
        if kind.is_coupled() {
            let share = share_of_bottleneck(kind, kind);
            let bounds = 0.4..(0.8 * apart).min(1.5);
            assert!(bounds.contains(&share), "{kind}: {share}, apart {apart}");
        }
    }
}

#[test]
fn a_switch_to_a_coupled_controller_takes_effect_under_way() {
    for kind in [ControllerKind::Olia, ControllerKind::Balia] {
        let share = share_of_bottleneck(ControllerKind::Reno, kind);
        assert!((0.4..1.5).contains(&share), "{kind}: {share}");
    }
}

#[test]
fn coupled_subflows_use_separate_paths() {
    for kind in ControllerKind::ALL {
        let mut lab = Lab::new(2);
        lab.connect(true, kind);
        let rate = lab.rates()[0];
        assert!(rate > 1.5 * RATE as f64, "{kind}: {rate}");
    }
}

#[test]
fn a_busy_path_is_left_to_those_who_have_no_other() {
    for kind in ControllerKind::ALL {
        if !kind.is_coupled() {
            continue;
        }
        let mut lab = Lab::new(2);
        lab.connect(true, kind);
        lab.connect(false, ControllerKind::Reno);
        let rates = lab.rates();
        assert!(rates[1] > 0.5 * RATE as f64, "{kind}: {rates:?}");
        assert!(rates[0] > 0.7 * RATE as f64, "{kind}: {rates:?}");
    }
}
