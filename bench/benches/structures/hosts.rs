//! Two stacks and the frames between them, under a clock that goes on only when it is told to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use braid_dataplane::port::POOL_FRAME_CAPACITY;
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::socket::ListenOptions;
use braid_engine::stack::{
    Capabilities, InterfaceConfig, ListenerId, PortId, ReceiveMeta, Stack, StackConfig,
    TransmitBatch, TransmitMeta,
};
use braid_engine::storage::frame::Frame;
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::ethernet::MacAddress;

/// The stack that connects, among those of [`Hosts`].
pub(crate) const CLIENT: usize = 0;
/// The stack that listens.
pub(crate) const SERVER: usize = 1;

/// How long a frame is on its way.
const DELAY: Duration = Duration::from_micros(10);

/// Turns within which nothing is left to be said.
const TURNS: usize = 10_000;

/// As a network card without offloads.
const CAPABILITIES: Capabilities = Capabilities {
    checksum: false,
    segmentation: false,
    attach: false,
    max_frame: 1_514,
};

/// Frames on their way, which come from frames used before.
#[derive(Default)]
struct Wire {
    under_way: Vec<(Frame, ReceiveMeta)>,
    spare: Vec<Frame>,
    reserved: Option<Frame>,
    /// How many frames fit.
    room: usize,
}

impl TransmitBatch for Wire {
    fn room(&self, _: PortId) -> usize {
        self.room - self.under_way.len()
    }

    fn reserve(&mut self, port: PortId, length: usize) -> Option<&mut [u8]> {
        if self.room(port) == 0 {
            return None;
        }
        let frame = self.reserved.take().or_else(|| self.spare.pop());
        let frame = frame.unwrap_or_else(|| Frame::with_capacity(POOL_FRAME_CAPACITY));
        self.reserved.insert(frame).buffer_mut().get_mut(..length)
    }

    fn commit(&mut self, port: PortId, length: usize, _: TransmitMeta) {
        if let Some(mut frame) = self.reserved.take() {
            frame.set_filled(0..length);
            let meta = ReceiveMeta {
                port,
                ..ReceiveMeta::default()
            };
            self.under_way.push((frame, meta));
        }
    }
}

/// Two hosts with some links between them.
pub(crate) struct Hosts {
    pub(crate) stacks: [Stack; 2],
    pub(crate) now: Instant,
    pub(crate) listener: ListenerId,
    wire: Wire,
}

fn address(link: u8, host: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, link, host as u8 + 1).into()
}

/// Where the server listens.
pub(crate) fn server() -> SocketAddr {
    SocketAddr::new(address(0, SERVER), 7)
}

fn stack(host: usize, links: u8) -> Stack {
    let config = StackConfig {
        frame_capacity: POOL_FRAME_CAPACITY,
        ..StackConfig::default()
    };
    let mut stack = Stack::new(config, [host as u8; 32]);
    for link in 0..links {
        let interface = InterfaceConfig {
            port: PortId(link.into()),
            name: format!("link{link}"),
            mac: MacAddress([2, 0, 0, 0, link, host as u8]),
            mtu: 1_500,
            addresses: vec![(address(link, host), 24)],
            gateways: Vec::new(),
            capabilities: CAPABILITIES,
        };
        stack.add_interface(interface).expect("a sound interface");
    }
    let further = Limits {
        subflows: links - 1,
        add_addr_accepted: links - 1,
    };
    stack.set_limits(Instant::ZERO, further);
    stack
}

impl Hosts {
    /// Hosts that have a subflow over each link once they are connected.
    pub(crate) fn new(links: u8) -> Self {
        let mut stacks = [CLIENT, SERVER].map(|host| stack(host, links));
        for link in 1..links {
            let endpoint = Endpoint {
                id: link,
                address: address(link, SERVER),
                port: None,
                flags: EndpointFlags::SIGNAL,
            };
            let added = stacks[SERVER].add_endpoint(Instant::ZERO, endpoint);
            added.expect("a sound endpoint");
        }
        let anywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), server().port());
        let listener = stacks[SERVER].listen(anywhere, ListenOptions::default());
        Self {
            stacks,
            now: Instant::from_millis(1),
            listener: listener.expect("a free port"),
            wire: Wire::default(),
        }
    }

    /// Has a stack send at most so many frames; how many are on their way.
    pub(crate) fn transmit(&mut self, host: usize, room: usize) -> usize {
        self.wire.room = room;
        self.stacks[host].transmit(self.now, &mut self.wire);
        self.wire.under_way.len()
    }

    /// Has a stack receive what is on its way.
    pub(crate) fn receive(&mut self, host: usize) {
        self.stacks[host].receive_burst(self.now, self.wire.under_way.drain(..));
    }

    /// What the worker of a host does between bursts: the next burst finds its frames, timers fire,
    /// and events are seen.
    pub(crate) fn pass_time(&mut self) {
        self.now += DELAY;
        for stack in &mut self.stacks {
            stack.advance(self.now);
            while stack.poll_event().is_some() {}
            while stack.frame_pool().free() > 0 {
                self.wire.spare.push(stack.frame_pool().take());
            }
        }
    }

    /// Frames go to and fro until both have nothing to say.
    pub(crate) fn exchange(&mut self) {
        for _ in 0..TURNS {
            let forth = self.transmit(CLIENT, usize::MAX);
            self.receive(SERVER);
            let back = self.transmit(SERVER, usize::MAX);
            self.receive(CLIENT);
            self.pass_time();
            if forth + back == 0 {
                return;
            }
        }
        panic!("they talk without end");
    }
}
