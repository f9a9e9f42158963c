//! Two hosts of several workers each, joined by two links in memory.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::time::Duration as StdDuration;

use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::{AnyPort, POOL_FRAME_CAPACITY};
use braid_dataplane::worker::{Clock, IdlePolicy, Seat, Worker, connect};
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::{ListenOptions, SocketOptions};
use braid_engine::stack::{
    FlowHash, InterfaceConfig, ListenerId, Place, PortId, Stack, StackConfig, Steering, WorkerId,
};
use braid_engine::time::Instant;
use braid_engine::wire::ethernet::MacAddress;

/// Every connection has a subflow on each.
pub(crate) const LINKS: u8 = 2;

const PORT: u16 = 80;

/// A worker that sleeps whenever it has nothing to do.
pub(crate) const SLEEPY: IdlePolicy = IdlePolicy::Sleep {
    after: StdDuration::ZERO,
};

/// How many queues a link has at either end.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Queues {
    /// One for each worker, which brings it the flows that are its own.
    Each,
    /// One, at the first worker.
    One,
}

/// What the hosts are like.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Plan {
    /// Workers of the client and of the server.
    pub(crate) workers: [u8; 2],
    pub(crate) queues: Queues,
    /// Letters under way from one worker to another.
    pub(crate) letters: usize,
    /// Frames that the pool of a worker keeps.
    pub(crate) frames: usize,
    /// Of every connection, in bytes each way; otherwise what stacks take by default.
    pub(crate) buffers: Option<u32>,
    /// Large segments, and checksums left out.
    pub(crate) offload: bool,
    /// Further subflows are spread over the client's workers.
    pub(crate) spread: bool,
    pub(crate) idle: IdlePolicy,
    /// What the hosts draw ports and keys from.
    pub(crate) seed: u8,
}

impl Plan {
    /// As many workers on both sides, and enough of everything.
    pub(crate) fn of(workers: u8) -> Self {
        Self {
            workers: [workers; 2],
            queues: Queues::Each,
            letters: 1_024,
            frames: 2_048,
            buffers: None,
            offload: false,
            spread: true,
            idle: SLEEPY,
            seed: 0,
        }
    }

    /// The options of a socket at either end.
    pub(crate) fn socket(self) -> SocketOptions {
        SocketOptions {
            send_buffer: self.buffers,
            receive_buffer: self.buffers,
            ..SocketOptions::default()
        }
    }
}

/// The workers of one host, in order.
pub(crate) struct Host {
    pub(crate) workers: Vec<Worker<Stack>>,
    /// Each worker's listener, on the server.
    pub(crate) listeners: Vec<ListenerId>,
}

fn address(link: u8, host: u8) -> IpAddr {
    [10, 0, link, host].into()
}

/// Where the server listens.
pub(crate) fn server() -> SocketAddr {
    (address(0, 2), PORT).into()
}

/// One end of each link: by link and then by queue.
type Ends = Vec<Vec<MemoryPort>>;

fn links(plan: Plan, steering: [Steering; 2]) -> [Ends; 2] {
    let options = MemoryOptions {
        checksum: plan.offload,
        segmentation: plan.offload,
        ..MemoryOptions::default()
    };
    let queues = plan.workers.map(|workers| match plan.queues {
        Queues::Each => NonZeroU8::new(workers).expect("somebody works"),
        Queues::One => NonZeroU8::MIN,
    });
    let link = |_| {
        let [near, far] = queues;
        MemoryPort::pair_of_queues(options, near, far, steering[0], steering[1])
            .expect("descriptors are left")
    };
    let (near, far) = (0..LINKS).map(link).unzip();
    [near, far]
}

/// The seats of every worker, in their order; those without a queue of a port have it elsewhere.
fn seats(ends: Ends, workers: u8) -> Vec<Vec<Seat>> {
    let mut seats: Vec<Vec<Seat>> = (0..workers).map(|_| Vec::new()).collect();
    for queues in ends {
        let mut queues = queues.into_iter().map(AnyPort::from).map(Seat::from);
        let first = queues.next().expect("a port has a queue");
        let elsewhere = first.capabilities();
        let all = std::iter::once(first).chain(queues);
        let all = all.chain(std::iter::repeat_with(|| Seat::Elsewhere(elsewhere)));
        for (worker, seat) in seats.iter_mut().zip(all) {
            worker.push(seat);
        }
    }
    seats
}

fn stack(plan: Plan, host: u8, place: Place, seats: &[Seat]) -> Stack {
    let config = StackConfig {
        place,
        spread_subflows: plan.spread,
        scheduler: Some(Scheduler::RoundRobin),
        frame_capacity: if plan.offload {
            POOL_FRAME_CAPACITY
        } else {
            2_048
        },
        frame_pool: plan.frames,
        ..StackConfig::default()
    };
    let mut seed = [plan.seed; 32];
    seed[0] = host | place.worker().number() << 4;
    let mut stack = Stack::new(config, seed);
    for (link, seat) in (0..LINKS).zip(seats) {
        let port = PortId(link.into());
        let interface = InterfaceConfig {
            port,
            name: format!("link{link}"),
            mac: MacAddress([2, 0, 0, 0, link, host]),
            mtu: 1_500,
            addresses: vec![(address(link, host), 24)],
            gateways: Vec::new(),
            capabilities: seat.capabilities(),
        };
        stack.add_interface(interface).expect("sound");
        if plan.queues == Queues::One {
            stack.set_port_worker(port, WorkerId::FIRST);
        }
    }
    for link in 1..LINKS {
        let endpoint = Endpoint {
            id: link,
            address: address(link, host),
            port: None,
            flags: match host {
                1 => EndpointFlags::SUBFLOW,
                _ => EndpointFlags::SIGNAL,
            },
        };
        stack.add_endpoint(Instant::ZERO, endpoint).expect("sound");
    }
    let limits = Limits {
        subflows: LINKS - 1,
        add_addr_accepted: LINKS - 1,
    };
    stack.set_limits(Instant::ZERO, limits);
    stack
}

/// The client and the server.
pub(crate) fn hosts(plan: Plan, clock: Clock) -> [Host; 2] {
    let steering = plan
        .workers
        .map(|workers| Steering::new(workers, FlowHash::Ports).expect("so many there may be"));
    let [near, far] = links(plan, steering);
    [(1, near, steering[0]), (2, far, steering[1])].map(|(host, ends, steering)| {
        let seats = seats(ends, steering.all().count() as u8);
        let mut listeners = Vec::new();
        let mut workers: Vec<_> = steering
            .all()
            .zip(seats)
            .map(|(worker, seats)| {
                let place = Place::new(worker, steering).expect("one of them");
                let mut stack = stack(plan, host, place, &seats);
                if host == 2 {
                    let any = SocketAddr::new([0, 0, 0, 0].into(), PORT);
                    let options = ListenOptions {
                        socket: plan.socket(),
                        ..ListenOptions::default()
                    };
                    let listener = stack.listen(any, options);
                    listeners.push(listener.expect("free"));
                }
                Worker::new(stack, seats, clock, plan.idle).expect("sound")
            })
            .collect();
        connect(&mut workers, plan.letters);
        Host { workers, listeners }
    })
}
