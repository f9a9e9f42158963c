//! The hosts and programs of a scenario.

use super::{ConnectionPlan, HostPlan, LinkPlan, PathPlan, Policy, Scenario, Side, WorkersPlan};
use crate::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use crate::random::Random;
use crate::socket::SocketOptions;
use crate::stack::{Capabilities, InterfaceConfig, Place, PortId, Stack, StackConfig, WorkerId};
use crate::tcp::Keepalive;
use crate::testing::application::{Pattern, Plan};
use crate::testing::host::Arrival;
use crate::testing::network::{HostId, Network};
use crate::time::{Duration, Instant};
use crate::wire::ethernet::MacAddress;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of a host on a link.
pub(super) fn address(link: &LinkPlan, index: usize, side: Side) -> IpAddr {
    let host = match side {
        Side::Client => 1,
        Side::Server => 2,
    };
    if link.ipv6 {
        Ipv6Addr::new(0xfd00, index as u16, 0, 0, 0, 0, 0, host).into()
    } else {
        Ipv4Addr::new(10, 0, index as u8, host as u8).into()
    }
}

pub(super) fn socket_options(host: &HostPlan, policy: &Policy) -> SocketOptions {
    SocketOptions {
        keepalive: Some(Keepalive {
            idle: Duration::from_secs(10),
            interval: Duration::from_secs(5),
            count: 4,
        }),
        user_timeout: Some(Duration::from_secs(60)),
        send_buffer: Some(host.buffer),
        receive_buffer: Some(host.buffer),
        congestion: Some(policy.congestion),
        scheduler: Some(policy.scheduler),
        redundancy: policy.redundancy,
        ..SocketOptions::default()
    }
}

/// What a program of connection number `index` does.
pub(super) fn program(seed: u64, index: usize, plan: &ConnectionPlan, side: Side) -> Plan {
    let stream = seed.wrapping_mul(1_000).wrapping_add(2 * index as u64);
    let (upload, download) = (Pattern(stream), Pattern(stream.wrapping_add(1)));
    match side {
        Side::Client => Plan {
            writes: upload,
            length: plan.upload,
            reads: download,
            expected: plan.download,
            ending: plan.client,
        },
        Side::Server => Plan {
            writes: download,
            length: plan.download,
            reads: upload,
            expected: plan.upload,
            ending: plan.server,
        },
    }
}

/// Adds a host of the scenario, with the stacks of all its workers.
pub(super) fn add_host(
    network: &mut Network,
    scenario: &Scenario,
    side: Side,
    random: &Random,
) -> HostId {
    let host = match side {
        Side::Client => &scenario.client,
        Side::Server => &scenario.server,
    };
    let Some(plan) = host.workers else {
        return network.add_host(stack(scenario, side, Place::default(), random));
    };
    let places = plan.steering.all();
    let places = places.filter_map(|worker| Place::new(worker, plan.steering));
    let workers = places.map(|place| stack(scenario, side, place, random));
    network.add_shared_host(workers.collect(), plan.post)
}

/// The stack of a worker with its interfaces and endpoints.
fn stack(scenario: &Scenario, side: Side, place: Place, random: &Random) -> Stack {
    let (host, label) = match side {
        Side::Client => (&scenario.client, "client"),
        Side::Server => (&scenario.server, "server"),
    };
    let config = StackConfig {
        place,
        spread_subflows: host.workers.is_none_or(|plan| plan.spread),
        multipath: host.multipath,
        checksum: host.checksum,
        message_delay: host.message_delay,
        // So soon that the pauses of a scenario are long enough.
        rest_after: Duration::from_millis(30),
        frame_capacity: host.frame_capacity,
        ..StackConfig::default()
    };
    let seed = match place.worker() {
        WorkerId::FIRST => random.fork(label),
        other => random.fork(&format!("{label} {}", other.number())),
    };
    let mut stack = Stack::new(config, { seed }.bytes());
    let flags = endpoint_flags(scenario.paths, side);
    for (index, link) in scenario.links.iter().enumerate() {
        let address = address(link, index, side);
        let interface = InterfaceConfig {
            port: PortId(index as u16),
            name: format!("{label}{index}"),
            mac: MacAddress([2, 0, 0, 0, index as u8, side as u8]),
            mtu: 1_500,
            addresses: vec![(address, if link.ipv6 { 64 } else { 24 })],
            gateways: Vec::new(),
            capabilities: Capabilities {
                checksum: false,
                segmentation: false,
                attach: false,
                max_frame: 1_514,
            },
        };
        stack
            .add_interface(interface)
            .expect("the scenario's interfaces do not collide");
        if index > 0 && !flags.is_empty() {
            let endpoint = Endpoint {
                id: index as u8,
                address,
                port: None,
                flags,
            };
            stack
                .add_endpoint(Instant::ZERO, endpoint)
                .expect("the scenario's endpoints have their own ids");
        }
    }
    let first_alone = |plan: WorkersPlan| plan.post.arrival == Arrival::First;
    if host.workers.is_some_and(first_alone) {
        for index in 0..scenario.links.len() {
            stack.set_port_worker(PortId(index as u16), WorkerId::FIRST);
        }
    }
    let limits = Limits {
        subflows: 8,
        add_addr_accepted: 8,
    };
    stack.set_limits(Instant::ZERO, limits);
    stack
}

fn endpoint_flags(paths: PathPlan, side: Side) -> EndpointFlags {
    let (signals, joins) = match (paths, side) {
        (PathPlan::Single, _) => (false, false),
        (PathPlan::Both, _) => (true, true),
        (PathPlan::ServerSignals, Side::Server) | (PathPlan::ClientSignals, Side::Client) => {
            (true, false)
        }
        _ => (false, true),
    };
    let mut flags = EndpointFlags::empty();
    flags.set(EndpointFlags::SIGNAL, signals);
    flags.set(EndpointFlags::SUBFLOW, joins);
    flags
}
