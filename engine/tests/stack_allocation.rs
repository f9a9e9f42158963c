//! A connection in its steady state takes no memory from the heap: frames go round between ports
//! and stacks, and every queue has the length it needs.

mod counting_allocator;
mod stack_support;

use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::stack::{
    Capabilities, ConnectionId, FlowHash, Letter, Place, PortId, ReceiveMeta, ReceivedChecksum,
    Stack, StackConfig, Steering, TransmitBatch, TransmitMeta, WorkerId,
};
use braid_engine::storage::frame::Frame;
use braid_engine::time::{Duration, Instant};
use core::net::SocketAddr;
use counting_allocator::counted;
use stack_support::{OFFLOAD, PLAIN, Side, interface, v4};
use std::collections::VecDeque;

/// Frames under way to the other stack, and spare ones.
#[derive(Default)]
struct Wire {
    under_way: VecDeque<(Frame, PortId, TransmitMeta)>,
    spare: Vec<Frame>,
    reserved: Option<Frame>,
}

impl TransmitBatch for Wire {
    fn reserve(&mut self, _: PortId, length: usize) -> Option<&mut [u8]> {
        let spare = || Frame::with_capacity(70_000);
        let frame = self
            .reserved
            .take()
            .or_else(|| self.spare.pop())
            .unwrap_or_else(spare);
        self.reserved = Some(frame);
        self.reserved.as_mut()?.buffer_mut().get_mut(..length)
    }

    fn commit(&mut self, port: PortId, length: usize, meta: TransmitMeta) {
        let Some(mut frame) = self.reserved.take() else {
            return;
        };
        frame.set_filled(0..length);
        self.under_way.push_back((frame, port, meta));
    }
}

/// A host with the stacks of its workers. Letters are carried at once, in rings that have the room.
struct End {
    stacks: Vec<Stack>,
    wire: Wire,
    rings: VecDeque<Letter>,
    /// Frames received so far: each comes to the next worker, whosever it is.
    received: usize,
}

impl End {
    fn new(side: Side, capabilities: Capabilities, workers: u8) -> Self {
        let steering = Steering::new(workers, FlowHash::default()).unwrap();
        let stacks = steering.all().map(|worker| {
            let config = StackConfig {
                place: Place::new(worker, steering).unwrap(),
                frame_capacity: 70_000,
                ..StackConfig::default()
            };
            let mut stack = Stack::new(config, [side as u8 | worker.number() << 4; 32]);
            for link in 0..2 {
                stack
                    .add_interface(interface(side, link, capabilities))
                    .unwrap();
            }
            let endpoint = Endpoint {
                id: 1,
                address: v4(side, 1),
                port: None,
                flags: match side {
                    Side::Client => EndpointFlags::SUBFLOW,
                    Side::Server => EndpointFlags::SIGNAL,
                },
            };
            if workers > 1 {
                stack.add_endpoint(Instant::ZERO, endpoint).unwrap();
                let limits = Limits {
                    subflows: 1,
                    add_addr_accepted: 1,
                };
                stack.set_limits(Instant::ZERO, limits);
            }
            stack
        });
        Self {
            stacks: stacks.collect(),
            wire: Wire::default(),
            rings: VecDeque::with_capacity(65_536),
            received: 0,
        }
    }

    /// Carries letters until there are none.
    fn exchange(&mut self, now: Instant) -> u64 {
        let mut allocations = 0;
        let count = self.stacks.len();
        let mut moved = true;
        while core::mem::take(&mut moved) {
            for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
                while let Some(letter) = self.stacks[from].poll_letter(WorkerId::new(to as u8)) {
                    self.rings.push_back(letter);
                }
                while let Some(letter) = self.rings.pop_front() {
                    allocations += counted(|| self.stacks[to].deliver(now, letter)).1;
                    moved = true;
                }
            }
        }
        allocations
    }

    /// Sends what is due; the count of allocations is the stacks' alone.
    fn transmit(&mut self, now: Instant) -> u64 {
        // The wire's own queue and frames are there before.
        self.wire.under_way.reserve(4_096);
        while self.wire.spare.len() < 4_096 {
            self.wire.spare.push(Frame::with_capacity(70_000));
        }
        let mut allocations = self.exchange(now);
        for worker in 0..self.stacks.len() {
            let (stack, wire) = (&mut self.stacks[worker], &mut self.wire);
            allocations += counted(|| stack.transmit(now, wire)).1;
        }
        allocations + self.exchange(now)
    }

    fn receive(&mut self, now: Instant, other: &mut Wire) -> u64 {
        let mut allocations = 0;
        while let Some((sent, port, meta)) = other.under_way.pop_front() {
            let meta = ReceiveMeta {
                port,
                checksum: ReceivedChecksum::Verified,
                segment_size: meta.segmentation.map(|cut| cut.segment_size),
            };
            self.received += 1;
            let worker = self.received % self.stacks.len();
            let stack = &mut self.stacks[worker];
            allocations += counted(|| {
                let mut frame = stack.frame_pool().take();
                let length = sent.bytes().len();
                frame.set_filled(0..length);
                frame.bytes_mut().copy_from_slice(sent.bytes());
                stack.receive(now, frame, meta);
            })
            .1;
            other.spare.push(sent);
            allocations += self.exchange(now);
        }
        allocations
    }

    fn advance(&mut self, now: Instant) -> u64 {
        let mut allocations = 0;
        for stack in &mut self.stacks {
            allocations += counted(|| stack.advance(now)).1;
            while stack.poll_event().is_some() {}
        }
        allocations + self.exchange(now)
    }
}

/// Moves `total` bytes and returns how often the stacks allocated.
fn transfer(
    now: &mut Instant,
    ends: (&mut End, &mut End),
    ids: (ConnectionId, (usize, ConnectionId)),
    total: usize,
) -> u64 {
    let (client, server) = ends;
    let home = ids.1.0;
    let bytes = vec![7; 100_000];
    let mut buffer = vec![0; 1 << 20];
    let (mut sent, mut received, mut allocations) = (0, 0, 0);
    while received < total {
        *now += Duration::from_micros(500);
        if sent < total {
            let (result, count) = counted(|| client.stacks[0].send(*now, ids.0, &bytes));
            sent += result.unwrap_or_default();
            allocations += count;
        }
        allocations += client.transmit(*now);
        allocations += server.receive(*now, &mut client.wire);
        let (result, count) = counted(|| server.stacks[home].recv(*now, ids.1.1, &mut buffer));
        received += result.unwrap_or_default();
        allocations += count;
        allocations += server.transmit(*now);
        allocations += client.receive(*now, &mut server.wire);
        allocations += client.advance(*now) + server.advance(*now);
    }
    allocations
}

fn check(capabilities: Capabilities, workers: u8) {
    let mut client = End::new(Side::Client, capabilities, workers);
    let mut server = End::new(Side::Server, capabilities, workers);
    let mut now = Instant::from_millis(1);
    let any = SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 80);
    let listeners = server
        .stacks
        .iter_mut()
        .map(|stack| stack.listen(any, Default::default()).unwrap());
    let listener = listeners.last().unwrap();
    let remote = SocketAddr::new(v4(Side::Server, 0), 80);
    let mut options = braid_engine::socket::ConnectOptions::to(remote);
    options.socket.scheduler = Some(Scheduler::RoundRobin);
    let connection = client.stacks[0].connect(now, options).unwrap();
    let accepted = loop {
        now += Duration::from_millis(1);
        client.transmit(now);
        server.receive(now, &mut client.wire);
        server.transmit(now);
        client.receive(now, &mut server.wire);
        let stacks = server.stacks.iter_mut().enumerate();
        let mut accepted = stacks.filter_map(|(home, stack)| Some((home, stack.accept(listener)?)));
        if let Some(accepted) = accepted.next() {
            break accepted;
        }
    };
    let ids = (connection, accepted);
    transfer(&mut now, (&mut client, &mut server), ids, 60_000_000);
    let allocations = transfer(&mut now, (&mut client, &mut server), ids, 20_000_000);
    assert_eq!(
        allocations, 0,
        "with {capabilities:?} and {workers} workers"
    );
    let subflows = client.stacks[0].subflows(connection);
    let away = subflows
        .iter()
        .filter(|info| info.handle.worker().index() > 0);
    let carried: u64 = away.map(|info| info.bytes_acknowledged).sum();
    assert_eq!(carried > 1_000_000, workers > 1, "{subflows:?}");
}

#[test]
fn a_running_transfer_does_not_allocate() {
    check(PLAIN, 1);
    check(OFFLOAD, 1);
}

#[test]
fn nor_does_one_with_a_subflow_on_another_worker() {
    check(PLAIN, 2);
    check(OFFLOAD, 2);
}
