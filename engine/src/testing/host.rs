//! A host of the network: the stacks of its workers, and the post between them.
//!
//! Letters between two workers keep their order and take a time drawn for each. The rings that carry
//! them are small, and refuse one now and then though they have room, so that what follows from a
//! full ring happens in every run.

use super::link::Chance;
use crate::random::Random;
use crate::stack::{Letter, ReceiveMeta, Stack, Steering, WorkerId};
use crate::storage::flow_table::FourTuple;
use crate::storage::frame::Frame;
use crate::time::{Duration, Instant};
use crate::wire::ethernet::EthernetHeader;
use crate::wire::ip::{IpPacket, Protocol};
use core::net::SocketAddr;
use std::collections::VecDeque;

/// At which worker a received frame arrives.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// At the one its flow belongs to: the ports spread what they receive by the host's own hash.
    Steered,
    /// At any: the ports know nothing of the hash.
    Scattered,
    /// At the first, which alone drives the ports and sends for the others too.
    First,
}

/// How the workers of a host are joined.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PostConfig {
    /// The longest time that a letter takes; none takes less than nothing.
    pub delay: Duration,
    /// How many letters are under way from one worker to another at most. Not zero.
    pub capacity: usize,
    /// How often a letter is refused though there is room.
    pub refusal: Chance,
    /// Where frames arrive.
    pub arrival: Arrival,
}

/// The letters from one worker to another.
#[derive(Debug, Default)]
struct Ring {
    under_way: VecDeque<(Instant, Letter)>,
    /// When the last of them arrives.
    last: Instant,
    /// A letter was refused: it is offered again then.
    retry: Option<Instant>,
}

impl Ring {
    fn next_event(&self) -> Option<Instant> {
        let arrival = self.under_way.front().map(|(due, _)| *due);
        arrival.into_iter().chain(self.retry).min()
    }
}

/// The rings between the workers of a host.
#[derive(Debug)]
struct Post {
    config: PostConfig,
    random: Random,
    /// By sender and then by addressee.
    rings: Vec<Vec<Ring>>,
}

impl Post {
    fn delay(&mut self) -> Duration {
        let most = u64::try_from(self.config.delay.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.below(most.saturating_add(1)))
    }

    /// Takes letters from one worker's stack as far as the ring has room.
    fn collect(&mut self, now: Instant, stack: &mut Stack, from: usize, to: usize) -> bool {
        let addressee = WorkerId::new(to as u8);
        let mut moved = false;
        loop {
            let ring = &mut self.rings[from][to];
            if ring.retry.is_some_and(|retry| retry > now) {
                return moved;
            }
            ring.retry = None;
            let Some(letter) = stack.poll_letter(addressee) else {
                return moved;
            };
            if self.rings[from][to].under_way.len() >= self.config.capacity {
                stack.refuse_letter(addressee, letter);
                return moved;
            }
            if self.config.refusal.draw(&mut self.random) {
                stack.refuse_letter(addressee, letter);
                let pause = self.delay() + Duration::from_micros(1);
                self.rings[from][to].retry = Some(now + pause);
                return moved;
            }
            let due = now + self.delay();
            let ring = &mut self.rings[from][to];
            ring.last = ring.last.max(due);
            ring.under_way.push_back((ring.last, letter));
            moved = true;
        }
    }

    fn arrived(&mut self, now: Instant, from: usize, to: usize) -> Option<Letter> {
        let ring = &mut self.rings[from][to];
        let (due, _) = ring.under_way.front()?;
        if *due > now {
            return None;
        }
        ring.under_way.pop_front().map(|(_, letter)| letter)
    }
}

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) workers: Vec<Stack>,
    post: Option<Post>,
}

impl Host {
    /// A host with a single worker.
    pub(super) fn alone(stack: Stack) -> Self {
        Self {
            workers: vec![stack],
            post: None,
        }
    }

    /// A host of several workers, in their order.
    pub(super) fn shared(workers: Vec<Stack>, config: PostConfig, random: Random) -> Self {
        let count = workers.len();
        let rings = || (0..count).map(|_| Ring::default()).collect();
        Self {
            workers,
            post: Some(Post {
                config,
                random,
                rings: (0..count).map(|_| rings()).collect(),
            }),
        }
    }

    /// Carries letters until none arrives any more at this point in time. True when any did.
    pub(super) fn exchange(&mut self, now: Instant) -> bool {
        let Some(post) = &mut self.post else {
            return false;
        };
        let mut delivered = false;
        loop {
            let mut moved = false;
            for from in 0..self.workers.len() {
                for to in (0..self.workers.len()).filter(|to| *to != from) {
                    moved |= post.collect(now, &mut self.workers[from], from, to);
                    while let Some(letter) = post.arrived(now, from, to) {
                        self.workers[to].deliver(now, letter);
                        (moved, delivered) = (true, true);
                    }
                }
            }
            if !moved {
                return delivered;
            }
        }
    }

    /// When a letter arrives next, or is offered again.
    pub(super) fn next_event(&mut self) -> Option<Instant> {
        let rings = self
            .post
            .iter()
            .flat_map(|post| post.rings.iter().flatten());
        let letters = rings.filter_map(Ring::next_event);
        let timers = self.workers.iter_mut().filter_map(Stack::poll_timeout);
        letters.chain(timers).min()
    }

    /// Letters under way.
    pub(super) fn letters(&self) -> usize {
        let rings = self
            .post
            .iter()
            .flat_map(|post| post.rings.iter().flatten());
        rings.map(|ring| ring.under_way.len()).sum()
    }

    /// Frames come in together by one port.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        frames: impl Iterator<Item = (Vec<u8>, ReceiveMeta)>,
    ) {
        let mut bursts: Vec<Vec<(Frame, ReceiveMeta)>> = Vec::new();
        bursts.resize_with(self.workers.len(), Vec::new);
        for (bytes, meta) in frames {
            let worker = self.worker_for(&bytes);
            let frame = frame_of(&mut self.workers[worker], &bytes);
            bursts[worker].push((frame, meta));
        }
        for (stack, burst) in self.workers.iter_mut().zip(bursts) {
            stack.receive_burst(now, burst);
        }
    }

    /// At which worker a frame arrives.
    fn worker_for(&mut self, bytes: &[u8]) -> usize {
        let Some(post) = &mut self.post else {
            return 0;
        };
        // The queues of workers that have ended are closed; all that are left know of them.
        let rules = self.workers.iter().map(|stack| *stack.place().steering());
        let lost = |rule: &Steering| rule.all().filter(|it| rule.has_lost(*it)).count();
        let rule = rules.max_by_key(lost).unwrap_or_default();
        let living = || rule.all().filter(|worker| !rule.has_lost(*worker));
        let count = living().count() as u64;
        let nth = match post.config.arrival {
            Arrival::First => 0,
            Arrival::Scattered => post.random.below(count),
            Arrival::Steered => match flow_of(bytes) {
                Some(flow) => return rule.worker_of(&flow).index(),
                None => 0,
            },
        };
        living().nth(nth as usize).unwrap_or_default().index()
    }
}

/// The bytes as a port brings them: in a frame of the worker's pool, where one is large enough.
fn frame_of(stack: &mut Stack, bytes: &[u8]) -> Frame {
    let mut frame = stack.frame_pool().take();
    if frame.capacity() < bytes.len() {
        stack.frame_pool().put(frame);
        return Frame::from(bytes);
    }
    frame.set_filled(0..bytes.len());
    frame.bytes_mut().copy_from_slice(bytes);
    frame
}

/// The flow of a received segment, as a network card finds it.
fn flow_of(bytes: &[u8]) -> Option<FourTuple> {
    let (ethernet, start) = EthernetHeader::parse(bytes).ok()?;
    let content = bytes.get(start..)?;
    let packet = IpPacket::parse(ethernet.ether_type, content).ok()?;
    if packet.header.protocol() != Protocol::Tcp {
        return None;
    }
    let ports = content.get(packet.payload)?.first_chunk::<4>()?;
    let [source, destination] = [[ports[0], ports[1]], [ports[2], ports[3]]];
    Some(FourTuple {
        local: SocketAddr::new(packet.header.destination(), u16::from_be_bytes(destination)),
        remote: SocketAddr::new(packet.header.source(), u16::from_be_bytes(source)),
    })
}
