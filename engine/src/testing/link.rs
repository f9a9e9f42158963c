//! One direction of a simulated link.

use crate::random::Random;
use crate::stack::ReceiveMeta;
use crate::time::{Duration, Instant};
use core::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A chance in parts per million.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Chance(pub u32);

impl Chance {
    /// Never.
    pub const NEVER: Self = Self(0);

    /// That many percent.
    pub const fn percent(percent: u32) -> Self {
        Self(percent.saturating_mul(10_000))
    }

    /// Draws: true with this chance. Draws nothing from `random` when the chance is zero.
    pub fn draw(self, random: &mut Random) -> bool {
        self.0 > 0 && random.below(1_000_000) < u64::from(self.0)
    }
}

/// A burst of losses is over after that time, however few the frames: otherwise it would wait for
/// each retransmission.
const LONGEST_BURST: Duration = Duration::from_millis(500);

/// Losses that come in bursts (the Gilbert-Elliott model).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Burst {
    /// Chance that a frame opens the bad state.
    pub enter: Chance,
    /// Chance that a frame of the bad state closes it.
    pub leave: Chance,
    /// Loss in the bad state.
    pub loss: Chance,
}

/// How a link behaves.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// Propagation delay.
    pub delay: Duration,
    /// Up to that much more, drawn for each frame; frames keep their order.
    pub jitter: Duration,
    /// Bytes per second; `None` takes no time.
    pub rate: Option<u64>,
    /// Bytes that may wait for transmission; more are dropped.
    pub queue: usize,
    /// Independent loss.
    pub loss: Chance,
    /// Loss in bursts.
    pub burst: Option<Burst>,
    /// Chance that a frame is held back by `reorder_delay` while others pass it.
    pub reorder: Chance,
    /// How long such a frame is held back.
    pub reorder_delay: Duration,
    /// Chance that a frame arrives twice.
    pub duplicate: Chance,
    /// Chance that a bit of a frame is flipped.
    pub corrupt: Chance,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(5),
            jitter: Duration::ZERO,
            rate: None,
            queue: 256 * 1024,
            loss: Chance::NEVER,
            burst: None,
            reorder: Chance::NEVER,
            reorder_delay: Duration::from_millis(3),
            duplicate: Chance::NEVER,
            corrupt: Chance::NEVER,
        }
    }
}

/// What became of the frames of a link.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct LinkCounters {
    /// Frames handed to the link.
    pub sent: u64,
    /// Frames that came out, copies included.
    pub delivered: u64,
    /// Frames lost by chance, or while the link was down.
    pub lost: u64,
    /// Frames dropped because the queue was full.
    pub dropped: u64,
    /// Frames with a flipped bit.
    pub corrupted: u64,
}

/// A frame on its way.
#[derive(Clone, Debug)]
pub struct Transit {
    /// The frame from its Ethernet header on.
    pub bytes: Vec<u8>,
    /// What its receiver is told about it.
    pub meta: ReceiveMeta,
}

#[derive(Debug)]
struct Arrival {
    at: Instant,
    serial: u64,
    transit: Transit,
}

impl Arrival {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.serial)
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Arrival {}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// One direction of a link: frames go in at one end and come out, or do not, at the other.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    random: Random,
    up: bool,
    in_burst: bool,
    /// When the burst is over even if no frame ends it.
    burst_until: Instant,
    /// When the transmitter is free again.
    free_at: Instant,
    /// Earliest arrival that keeps the order of frames.
    ordered_from: Instant,
    serial: u64,
    arrivals: BinaryHeap<Reverse<Arrival>>,
    counters: LinkCounters,
}

impl Link {
    /// A link that is up and empty.
    pub fn new(config: LinkConfig, random: Random) -> Self {
        Self {
            config,
            random,
            up: true,
            in_burst: false,
            burst_until: Instant::ZERO,
            free_at: Instant::ZERO,
            ordered_from: Instant::ZERO,
            serial: 0,
            arrivals: BinaryHeap::new(),
            counters: LinkCounters::default(),
        }
    }

    /// Takes a frame in.
    pub fn send(&mut self, now: Instant, transit: &Transit) {
        self.counters.sent += 1;
        if !self.up || self.is_lost(now) {
            self.counters.lost += 1;
            return;
        }
        let Some(departure) = self.departure(now, transit.bytes.len()) else {
            self.counters.dropped += 1;
            return;
        };
        let copies = if self.config.duplicate.draw(&mut self.random) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut transit = transit.clone();
            if self.config.corrupt.draw(&mut self.random) {
                self.flip_a_bit(&mut transit.bytes);
            }
            self.schedule(departure, transit);
        }
    }

    /// The next frame that has arrived by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<Transit> {
        if self.next_arrival()? > now {
            return None;
        }
        let Reverse(arrival) = self.arrivals.pop()?;
        self.counters.delivered += 1;
        Some(arrival.transit)
    }

    /// When the next frame arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.arrivals.peek().map(|Reverse(arrival)| arrival.at)
    }

    /// Cuts the link, losing what is on it, or restores it.
    pub fn set_up(&mut self, up: bool) {
        self.up = up;
        if !up {
            self.counters.lost += self.arrivals.len() as u64;
            self.arrivals.clear();
        }
    }

    /// True while the link carries frames.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// How the link behaves.
    pub fn config(&self) -> LinkConfig {
        self.config
    }

    /// Makes the link behave otherwise from the next frame on.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// What became of the frames so far.
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    fn is_lost(&mut self, now: Instant) -> bool {
        if let Some(burst) = self.config.burst {
            self.in_burst &= now < self.burst_until;
            let toggle = if self.in_burst {
                burst.leave
            } else {
                burst.enter
            };
            if toggle.draw(&mut self.random) {
                self.in_burst = !self.in_burst;
                self.burst_until = now + LONGEST_BURST;
            }
            if self.in_burst && burst.loss.draw(&mut self.random) {
                return true;
            }
        }
        self.config.loss.draw(&mut self.random)
    }

    /// When a frame of `length` bytes has left the transmitter; `None` when the queue is full.
    fn departure(&mut self, now: Instant, length: usize) -> Option<Instant> {
        let Some(rate) = self.config.rate else {
            return Some(now);
        };
        let start = self.free_at.max(now);
        let waiting = start.saturating_since(now).as_nanos() * u128::from(rate) / 1_000_000_000;
        if waiting > self.config.queue as u128 {
            return None;
        }
        let nanos = (length as u64).saturating_mul(1_000_000_000) / rate.max(1);
        self.free_at = start + Duration::from_nanos(nanos);
        Some(self.free_at)
    }

    fn schedule(&mut self, departure: Instant, transit: Transit) {
        let jitter = self.config.jitter.as_nanos() as u64;
        let drawn = if jitter == 0 {
            0
        } else {
            self.random.below(jitter)
        };
        let mut at = departure + self.config.delay + Duration::from_nanos(drawn);
        if self.config.reorder.draw(&mut self.random) {
            at += self.config.reorder_delay;
        } else {
            at = at.max(self.ordered_from);
            self.ordered_from = at;
        }
        self.serial += 1;
        self.arrivals.push(Reverse(Arrival {
            at,
            serial: self.serial,
            transit,
        }));
    }

    /// Flips a bit that no frame check sequence guards: one behind the Ethernet header of an IP
    /// packet, as a router with bad memory does. ARP never passes a router.
    fn flip_a_bit(&mut self, bytes: &mut [u8]) {
        const HEADER: usize = 14;
        let is_ip = matches!(bytes.get(12..HEADER), Some([0x08, 0x00] | [0x86, 0xdd]));
        let Some(packet) = bytes
            .get_mut(HEADER..)
            .filter(|packet| is_ip && !packet.is_empty())
        else {
            return;
        };
        let position = self.random.below(packet.len() as u64) as usize;
        let bit = self.random.below(8) as u32;
        packet[position] ^= 1u8 << bit;
        self.counters.corrupted += 1;
    }
}
