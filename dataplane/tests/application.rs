//! Applications on two stacks with a memory link between them, all driven by one thread: bytes
//! arrive, nobody starves, and the steady state allocates nothing.

#[path = "../../engine/tests/counting_allocator/mod.rs"]
mod counting_allocator;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use braid_dataplane::application::{
    Applications, Ending, Handshake, RegionId, Report, Reporting, Reports,
};
use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::{AnyPort, POOL_FRAME_CAPACITY, Port};
use braid_dataplane::worker::{Clock, IdlePolicy, Worker};
use braid_engine::socket::{ConnectOptions, ListenOptions};
use braid_engine::stack::{
    ConnectionId, InterfaceConfig, ListenerId, PortId, Stack, StackConfig, WorkerId,
};
use braid_engine::wire::ethernet::MacAddress;
use braid_shm::layout::RegionLayout;
use braid_shm::{
    ApplicationRegion, ApplicationSlot, EngineRegion, ReadEnd, SlotFlags, SlotHandle, ThreadId,
};
use counting_allocator::counted;

const REGION: RegionId = RegionId {
    index: 0,
    generation: 0,
};
const PORT: u16 = 80;

/// A stack with its worker and one application.
struct Host {
    worker: Worker<Stack>,
    applications: Applications,
    reports: Arc<Reports>,
    region: EngineRegion,
    view: ApplicationRegion,
    slots: u32,
}

/// A socket from both sides.
struct Socket {
    slot: ApplicationSlot,
    handle: SlotHandle,
    end: UnixDatagram,
    connection: ConnectionId,
}

impl Host {
    fn new(last: u8, port: MemoryPort) -> Self {
        let config = StackConfig {
            frame_capacity: POOL_FRAME_CAPACITY,
            frame_pool: 256,
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, [last; 32]);
        let port = AnyPort::from(port);
        let interface = InterfaceConfig {
            port: PortId(0),
            name: "link".into(),
            mac: MacAddress([2, 0, 0, 0, 0, last]),
            mtu: 1_500,
            addresses: vec![([10, 0, 0, last].into(), 24)],
            gateways: Vec::new(),
            capabilities: port.capabilities(),
        };
        stack.add_interface(interface).unwrap();
        let worker = Worker::new(
            stack,
            vec![port.into()],
            Clock::start(),
            IdlePolicy::default(),
        )
        .unwrap();
        let of = Reporting {
            workers: 1,
            listeners: 1,
            regions: 1,
            sockets: 16,
        };
        let reports = Arc::new(Reports::new(of, 0).unwrap());
        let mut applications =
            Applications::new(WorkerId::FIRST, 16, Arc::clone(&reports)).unwrap();
        let layout = RegionLayout::new(16, 4, 64 << 10).unwrap();
        let region = EngineRegion::create(layout).unwrap();
        let copy = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().unwrap();
        let view = ApplicationRegion::open(
            layout,
            copy(region.descriptor()),
            copy(region.control_bell().as_fd()),
            [copy(region.worker(0).unwrap().bell().as_fd())],
        )
        .unwrap();
        applications
            .add_region(REGION, region.worker(0).unwrap())
            .unwrap();
        Self {
            worker,
            applications,
            reports,
            region,
            view,
            slots: 0,
        }
    }

    fn turn(&mut self) {
        let now = self.worker.step().now;
        self.applications.serve(now, self.worker.engine_mut());
    }

    /// A socket for a connection.
    fn bind(&mut self, connection: ConnectionId, handshake: Handshake) -> Socket {
        let number = self.slots;
        self.slots += 1;
        let handle = self.region.open_slot(number, SlotFlags::default()).unwrap();
        let (end, engine) = UnixDatagram::pair().unwrap();
        let engine: Arc<OwnedFd> = Arc::new(engine.into());
        let bound = self
            .applications
            .bind(REGION, &handle, engine, connection, handshake);
        assert!(bound);
        Socket {
            slot: self.view.slot(number, handle.generation()).unwrap(),
            handle,
            end,
            connection,
        }
    }

    fn report(&self) -> Option<Report> {
        self.reports.take()
    }
}

/// Two hosts, and so many connections from the first to the second.
struct Pair {
    hosts: [Host; 2],
    listener: ListenerId,
}

impl Pair {
    fn new() -> Self {
        let (near, far) = MemoryPort::pair(MemoryOptions::default()).unwrap();
        let mut hosts = [Host::new(1, near), Host::new(2, far)];
        let listening = hosts[1]
            .worker
            .engine_mut()
            .listen(([0, 0, 0, 0], PORT).into(), ListenOptions::default());
        Self {
            hosts,
            listener: listening.unwrap(),
        }
    }

    fn turn(&mut self) {
        for host in &mut self.hosts {
            host.turn();
        }
    }

    fn connect(&mut self) -> [Socket; 2] {
        let [client, _] = &mut self.hosts;
        let now = client.worker.now();
        let options = ConnectOptions::to(([10, 0, 0, 2], PORT).into());
        let connection = client.worker.engine_mut().connect(now, options).unwrap();
        let near = client.bind(connection, Handshake::UnderWay);
        for _ in 0..100_000 {
            self.turn();
            let [_, server] = &mut self.hosts;
            if let Some(connection) = server.worker.engine_mut().accept(self.listener) {
                while server.report().is_some() {}
                let far = server.bind(connection, Handshake::Complete);
                return [near, far];
            }
        }
        panic!("no connection");
    }
}

impl Socket {
    fn send(&self, bytes: &[u8]) -> usize {
        self.slot.send(ThreadId::current(), bytes).unwrap()
    }

    fn receive(&self, into: &mut [u8]) -> usize {
        self.slot
            .receive(ThreadId::current(), into, &self.end.as_fd())
            .unwrap()
    }
}

/// The byte at a position of the stream.
fn byte(position: usize) -> u8 {
    (position ^ position >> 8) as u8
}

#[test]
fn bytes_arrive_without_an_allocation() {
    let mut pair = Pair::new();
    let [near, far] = pair.connect();
    let (mut sent, mut received) = (0, 0);
    let (mut out, mut into) = (vec![0; 20_000], vec![0; 30_000]);
    let mut allocations = 0;
    // Buffers, frames and queues get their size in the first part.
    for target in [16 << 20, 32 << 20] {
        allocations = 0;
        while received < target {
            for (offset, place) in out.iter_mut().enumerate() {
                *place = byte(sent + offset);
            }
            sent += near.send(&out);
            let ((), count) = counted(|| pair.turn());
            allocations += count;
            let count = far.receive(&mut into);
            for (offset, found) in into.iter().take(count).enumerate() {
                assert_eq!(*found, byte(received + offset), "at {}", received + offset);
            }
            received += count;
        }
    }
    assert_eq!(allocations, 0);
}

#[test]
fn a_greedy_socket_starves_nobody() {
    let mut pair = Pair::new();
    let [greedy, sink] = pair.connect();
    let [modest, echo] = pair.connect();
    let bulk = vec![1; 64 << 10];
    let mut into = vec![0; 64 << 10];
    for round in 0..50u8 {
        assert_eq!(modest.send(&[round]), 1);
        let mut turns = 0;
        let answer = loop {
            greedy.send(&bulk);
            pair.turn();
            while sink.receive(&mut into) > 0 {}
            if echo.receive(&mut into) > 0 {
                echo.send(&[into[0]]);
            }
            if modest.receive(&mut into) > 0 {
                break into[0];
            }
            turns += 1;
            assert!(turns < 2_000, "round {round}: nothing came back");
        };
        assert_eq!(answer, round);
    }
}

#[test]
fn what_was_written_before_the_end_is_sent_and_the_slot_comes_back() {
    let mut pair = Pair::new();
    let [near, far] = pair.connect();
    let bytes = vec![7; 60_000];
    assert_eq!(near.send(&bytes), bytes.len());
    let [client, _] = &mut pair.hosts;
    let now = client.worker.now();
    let stack = client.worker.engine_mut();
    client
        .applications
        .end(now, stack, near.connection, Ending::InOrder);
    let mut into = vec![0; 4_096];
    let mut received = 0;
    for _ in 0..1_000_000 {
        pair.turn();
        let end = far.slot.read_end();
        match far.receive(&mut into) {
            0 if end == ReadEnd::Finished => break,
            count => received += count,
        }
    }
    assert_eq!(received, bytes.len());
    let released = pair.hosts[0].report();
    assert!(
        matches!(released, Some(Report::Released { region: REGION, slot }) if slot == near.handle.slot()),
        "{released:?}"
    );
    assert_eq!(pair.hosts[0].applications.socket_count(), 0);
}
