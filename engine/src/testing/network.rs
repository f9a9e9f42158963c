//! Hosts, links between them, and the virtual clock that drives both.

use super::host::{Host, PostConfig};
use super::link::{Link, LinkConfig, LinkCounters, Transit};
use super::middlebox::{Direction, Middlebox};
use crate::random::Random;
use crate::stack::{
    ChecksumOffload, PortId, ReceiveMeta, ReceivedChecksum, TransmitBatch, TransmitMeta,
};
use crate::stack::{Event, Stack};
use crate::time::{Duration, Instant};
use ahash::RandomState;

/// Index of a host of the network.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct HostId(pub usize);

/// Index of a link of the network.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LinkId(pub usize);

/// One end of a link.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// The host.
    pub host: HostId,
    /// Its port.
    pub port: PortId,
}

/// Both directions of a link, and what sits on it.
#[derive(Debug)]
struct Wire {
    ends: [End; 2],
    /// `directions[0]` carries from `ends[0]` to `ends[1]`.
    directions: [Link; 2],
    middleboxes: Vec<Middlebox>,
}

/// The frames that a stack sends in one call, of at most `limit`.
#[derive(Debug, Default)]
struct Batch {
    room: Vec<u8>,
    limit: usize,
    sent: Vec<(PortId, Vec<u8>, TransmitMeta)>,
}

impl TransmitBatch for Batch {
    fn room(&self, _port: PortId) -> usize {
        self.limit.saturating_sub(self.sent.len())
    }

    fn reserve(&mut self, _port: PortId, length: usize) -> Option<&mut [u8]> {
        if self.sent.len() >= self.limit {
            return None;
        }
        self.room.resize(length.max(self.room.len()), 0);
        self.room.get_mut(..length)
    }

    fn commit(&mut self, port: PortId, length: usize, meta: TransmitMeta) {
        let frame = self.room.get(..length).unwrap_or_default().to_vec();
        self.sent.push((port, frame, meta));
    }
}

/// Frames that a stack may send in one call.
const BURST: usize = 32;

/// Calls at one point in time without an end: nothing but a stack that never comes to rest.
const RESTLESS: u32 = 100_000;

/// Hosts joined by links under one clock.
#[derive(Debug)]
pub struct Network {
    now: Instant,
    hosts: Vec<Host>,
    wires: Vec<Wire>,
    random: Random,
    batch: Batch,
    /// How far apart the hosts look at what came in; `None` for at once.
    moderation: Option<Duration>,
    hasher: RandomState,
    trace: u64,
    calls_at_now: u32,
}

impl Network {
    /// An empty network whose faults are drawn from `random`.
    pub fn new(random: Random) -> Self {
        Self {
            now: Instant::from_millis(1),
            hosts: Vec::new(),
            wires: Vec::new(),
            random,
            batch: Batch {
                limit: BURST,
                ..Batch::default()
            },
            moderation: None,
            hasher: RandomState::with_seeds(1, 2, 3, 4),
            trace: 0,
            calls_at_now: 0,
        }
    }

    /// Has the hosts look at what came in no more often than after each `interval`, as network cards
    /// that moderate their interrupts do: frames then come in bursts.
    pub fn set_moderation(&mut self, interval: Duration) {
        self.moderation = Some(interval);
    }

    /// Adds a host.
    pub fn add_host(&mut self, stack: Stack) -> HostId {
        self.hosts.push(Host::alone(stack));
        HostId(self.hosts.len() - 1)
    }

    /// Adds a host of several workers, whose stacks are given in the order of their numbers.
    pub fn add_shared_host(&mut self, workers: Vec<Stack>, post: PostConfig) -> HostId {
        let random = self.random.fork(&format!("post {}", self.hosts.len()));
        self.hosts.push(Host::shared(workers, post, random));
        HostId(self.hosts.len() - 1)
    }

    /// Joins two ports. `middleboxes` are passed in this order on the way from the first end to
    /// the second, and in the other order on the way back.
    pub fn add_link(
        &mut self,
        ends: [End; 2],
        config: [LinkConfig; 2],
        middleboxes: Vec<Middlebox>,
    ) -> LinkId {
        let index = self.wires.len();
        let mut direction = 0;
        let directions = config.map(|config| {
            direction += 1;
            Link::new(
                config,
                self.random
                    .fork(&format!("link {index} direction {direction}")),
            )
        });
        self.wires.push(Wire {
            ends,
            directions,
            middleboxes,
        });
        LinkId(self.wires.len() - 1)
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A host's stack, that of its first worker.
    pub fn stack(&mut self, host: HostId) -> &mut Stack {
        &mut self.hosts[host.0].workers[0]
    }

    /// A host's stack, that of its first worker, to be looked at.
    pub fn host(&self, host: HostId) -> &Stack {
        &self.hosts[host.0].workers[0]
    }

    /// The stack of one worker of a host.
    pub fn worker(&mut self, host: HostId, worker: usize) -> &mut Stack {
        &mut self.hosts[host.0].workers[worker]
    }

    /// The stacks of all workers of a host, to be looked at.
    pub fn workers(&self, host: HostId) -> &[Stack] {
        &self.hosts[host.0].workers
    }

    /// Letters between the workers of a host.
    pub fn letters(&self, host: HostId) -> usize {
        self.hosts[host.0].letters()
    }

    /// A digest of every frame that was sent, its time and its place: two runs of one seed agree.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Cuts or restores a link, in one direction or in both.
    pub fn set_link(&mut self, link: LinkId, direction: Option<Direction>, up: bool) {
        for (index, one_way) in self.wires[link.0].directions.iter_mut().enumerate() {
            if direction.is_none_or(|direction| direction as usize == index) {
                one_way.set_up(up);
            }
        }
    }

    /// Cuts or restores a link with both hosts being told, as a cable that is pulled does.
    pub fn set_carrier(&mut self, link: LinkId, up: bool) {
        self.set_link(link, None, up);
        for end in self.wires[link.0].ends {
            for stack in &mut self.hosts[end.host.0].workers {
                stack.set_link(self.now, end.port, up);
            }
        }
    }

    /// How a link behaves in one direction.
    pub fn link_config(&self, link: LinkId, direction: Direction) -> LinkConfig {
        self.wires[link.0].directions[direction as usize].config()
    }

    /// Makes a link behave otherwise in one direction.
    pub fn set_link_config(&mut self, link: LinkId, direction: Direction, config: LinkConfig) {
        self.wires[link.0].directions[direction as usize].set_config(config);
    }

    /// What became of the frames of a link, by direction.
    pub fn link_counters(&self, link: LinkId) -> [LinkCounters; 2] {
        self.wires[link.0].directions.each_ref().map(Link::counters)
    }

    /// The middleboxes of a link.
    pub fn middleboxes(&mut self, link: LinkId) -> &mut Vec<Middlebox> {
        &mut self.wires[link.0].middleboxes
    }

    /// An event of a host, if it has one, of whichever worker.
    pub fn poll_event(&mut self, host: HostId) -> Option<Event> {
        let mut workers = self.hosts[host.0].workers.iter_mut();
        workers.find_map(Stack::poll_event)
    }

    /// When something happens next: an arrival or a timer.
    pub fn next_event(&mut self) -> Option<Instant> {
        let arrivals = self.wires.iter().flat_map(|wire| &wire.directions);
        let arrivals = arrivals
            .filter_map(Link::next_arrival)
            .map(|at| noticed(at, self.moderation));
        let released = self.wires.iter().flat_map(|wire| &wire.middleboxes);
        let released = released.filter_map(Middlebox::next_release);
        let timers = self.hosts.iter_mut().filter_map(Host::next_event);
        arrivals.chain(released).chain(timers).min()
    }

    /// Moves the clock to `now`, if that is later, delivers what has arrived, fires the timers
    /// that are due and sends what the stacks have to send.
    ///
    /// # Panics
    ///
    /// When the network does not come to rest at one point in time.
    pub fn advance_to(&mut self, now: Instant) {
        if now > self.now {
            self.now = now;
            self.calls_at_now = 0;
        }
        self.calls_at_now += 1;
        assert!(
            self.calls_at_now < RESTLESS,
            "the network never comes to rest at {:?}",
            self.now
        );
        self.deliver();
        for host in &mut self.hosts {
            host.exchange(self.now);
            for stack in &mut host.workers {
                if stack.poll_timeout().is_some_and(|at| at <= self.now) {
                    stack.advance(self.now);
                }
            }
        }
        self.transmit();
    }

    /// Sends what the stacks have to send, as after a call of an application.
    pub fn transmit(&mut self) {
        for index in 0..self.hosts.len() {
            self.hosts[index].exchange(self.now);
            loop {
                for worker in 0..self.hosts[index].workers.len() {
                    self.transmit_worker(index, worker);
                }
                if !self.hosts[index].exchange(self.now) {
                    break;
                }
            }
        }
        self.release();
    }

    fn transmit_worker(&mut self, index: usize, worker: usize) {
        loop {
            let stack = &mut self.hosts[index].workers[worker];
            stack.transmit(self.now, &mut self.batch);
            let sent = core::mem::take(&mut self.batch.sent);
            let full = sent.len() >= BURST;
            for (port, bytes, meta) in sent {
                self.record(index, port, &bytes);
                let host = HostId(index);
                self.carry(End { host, port }, bytes, meta);
            }
            if !full {
                return;
            }
        }
    }

    fn record(&mut self, host: usize, port: PortId, bytes: &[u8]) {
        self.trace = self
            .hasher
            .hash_one((self.trace, self.now.as_nanos(), host, port.0, bytes));
    }

    fn deliver(&mut self) {
        self.release();
        let (now, moderation) = (self.now, self.moderation);
        let noticed = |at| noticed(at, moderation);
        for wire in &mut self.wires {
            for (index, link) in wire.directions.iter_mut().enumerate() {
                let to = wire.ends[1 - index];
                if link.next_arrival().is_none_or(|at| noticed(at) > now) {
                    continue;
                }
                let arrivals = core::iter::from_fn(|| link.poll(now)).map(|transit| {
                    let meta = ReceiveMeta {
                        port: to.port,
                        ..transit.meta
                    };
                    (transit.bytes, meta)
                });
                self.hosts[to.host.0].receive(now, arrivals);
            }
        }
    }

    /// Frames that middleboxes held back and now let go.
    fn release(&mut self) {
        for wire in &mut self.wires {
            for index in 0..wire.middleboxes.len() {
                while let Some((direction, bytes)) = wire.middleboxes[index].release(self.now) {
                    pass(
                        wire,
                        direction,
                        Some(index),
                        bytes,
                        ReceiveMeta::default(),
                        self.now,
                    );
                }
            }
        }
    }

    fn carry(&mut self, from: End, bytes: Vec<u8>, meta: TransmitMeta) {
        let meta = ReceiveMeta {
            port: from.port,
            checksum: match meta.checksum {
                ChecksumOffload::Complete => ReceivedChecksum::Unknown,
                ChecksumOffload::Partial { .. } => ReceivedChecksum::Partial,
            },
            segment_size: meta
                .segmentation
                .map(|segmentation| segmentation.segment_size),
        };
        for wire in &mut self.wires {
            let Some(index) = wire.ends.iter().position(|&end| end == from) else {
                continue;
            };
            let direction = if index == 0 {
                Direction::Forth
            } else {
                Direction::Back
            };
            pass(wire, direction, None, bytes, meta, self.now);
            return;
        }
    }
}

/// When a host notices what arrives at `at`.
fn noticed(at: Instant, moderation: Option<Duration>) -> Instant {
    let interval = moderation.map_or(0, |interval| interval.as_nanos());
    let interval = u64::try_from(interval).unwrap_or(0).max(1);
    Instant::from_nanos(at.as_nanos().next_multiple_of(interval))
}

/// Passes a frame through the middleboxes that follow `after` in its direction, and sends what
/// comes out.
fn pass(
    wire: &mut Wire,
    direction: Direction,
    after: Option<usize>,
    bytes: Vec<u8>,
    meta: ReceiveMeta,
    now: Instant,
) {
    let count = wire.middleboxes.len();
    let order: Vec<usize> = match (direction, after) {
        (Direction::Forth, None) => (0..count).collect(),
        (Direction::Forth, Some(index)) => (index + 1..count).collect(),
        (Direction::Back, None) => (0..count).rev().collect(),
        (Direction::Back, Some(index)) => (0..index).rev().collect(),
    };
    let mut frames = vec![bytes];
    for index in order {
        let middlebox = &mut wire.middleboxes[index];
        frames = frames
            .into_iter()
            .flat_map(|frame| middlebox.process(now, direction, frame))
            .collect();
    }
    for bytes in frames {
        wire.directions[direction as usize].send(now, &Transit { bytes, meta });
    }
}
