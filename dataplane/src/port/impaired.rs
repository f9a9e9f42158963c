//! A port whose link goes wrong: what it sends is delayed, queued, lost, reordered, doubled or
//! corrupted, and passes middleboxes, as in the simulation but on the clock of the host.
//!
//! Made for links in memory (wrap both ends of a [`MemoryPort`](super::memory::MemoryPort)), and
//! good for any port. Each end impairs what it sends; what it receives it leaves alone, unless
//! nobody does so at the other end ([`ImpairedPort::with_inbound`]).

use std::fmt;
use std::os::fd::BorrowedFd;

use braid_engine::random::Random;
use braid_engine::stack::{Capabilities, PortId, ReceiveMeta, TransmitMeta};
use braid_engine::storage::frame::FramePool;
use braid_engine::testing::link::{Link, LinkConfig, LinkCounters, Transit};
use braid_engine::testing::middlebox::{Direction, Kind, Middlebox};
use braid_engine::time::Instant;

use super::{Burst, Port, PortCounters, PortError, Received};
use crate::worker::Clock;

/// What goes wrong at one end of a link.
#[derive(Clone, Debug)]
pub struct Impairments {
    /// Delay, rate, queue and faults of what this end sends.
    pub link: LinkConfig,
    /// Middleboxes that a frame of the first end passes in this order, one of the other end in
    /// the opposite order. Both ends of a link are given the same.
    pub middleboxes: Vec<Kind>,
    /// Which end this is.
    pub direction: Direction,
    /// What chance is drawn from.
    pub seed: u64,
}

/// A port behind impairments.
pub struct ImpairedPort<P> {
    port: P,
    clock: Clock,
    direction: Direction,
    middleboxes: Vec<Middlebox>,
    link: Link,
    /// The frame being built; its length is that of the largest frame.
    outgoing: Box<[u8]>,
    inbound: Option<Inbound>,
    counters: PortCounters,
}

/// The other direction, where the far end does not impair it.
struct Inbound {
    link: Link,
    /// What the port brought; empty between calls.
    arrived: Burst,
}

impl<P: Port> ImpairedPort<P> {
    /// Puts impairments before `port`, on the time of `clock`.
    pub fn new(port: P, impairments: &Impairments, clock: Clock) -> Self {
        let random = Random::from_u64(impairments.seed);
        let fork = |label: &str| random.fork(&format!("{label} {:?}", impairments.direction));
        let mut middleboxes: Vec<Middlebox> = impairments
            .middleboxes
            .iter()
            .enumerate()
            .map(|(index, kind)| Middlebox::new(kind.clone(), fork(&format!("box {index}"))))
            .collect();
        if impairments.direction == Direction::Back {
            middleboxes.reverse();
        }
        let largest = port.capabilities().max_frame;
        Self {
            port,
            clock,
            direction: impairments.direction,
            middleboxes,
            link: Link::new(impairments.link, fork("link")),
            outgoing: vec![0; largest].into_boxed_slice(),
            inbound: None,
            counters: PortCounters::default(),
        }
    }

    /// Puts what is received on a link of its own too: for a far end that is nobody's of ours, such
    /// as a kernel. Its middleboxes are passed by what is sent alone.
    #[must_use]
    pub fn with_inbound(mut self, link: LinkConfig, seed: u64) -> Self {
        let random = Random::from_u64(seed).fork("inbound");
        self.inbound = Some(Inbound {
            link: Link::new(link, random),
            arrived: Burst::new(),
        });
        self
    }

    /// What became of the frames this end sent.
    pub fn link_counters(&self) -> LinkCounters {
        self.link.counters()
    }

    /// Passes a frame through the middleboxes from number `first` on, and onto the link.
    fn pass(&mut self, now: Instant, first: usize, frame: Vec<u8>) {
        let mut frames = vec![frame];
        for middlebox in self.middleboxes.iter_mut().skip(first) {
            let enter = |frame| middlebox.process(now, self.direction, frame);
            frames = frames.into_iter().flat_map(enter).collect();
        }
        for bytes in frames {
            let meta = ReceiveMeta::default();
            self.link.send(now, &Transit { bytes, meta });
        }
    }

    /// Lets go what middleboxes held back for long enough.
    fn release(&mut self, now: Instant) {
        for index in 0..self.middleboxes.len() {
            while let Some((_, frame)) = self.middleboxes[index].release(now) {
                self.pass(now, index + 1, frame);
            }
        }
    }

    /// When something that was sent moves on.
    fn outgoing_due(&self) -> Option<Instant> {
        let releases = self.middleboxes.iter().map(Middlebox::next_release);
        releases.chain([self.link.next_arrival()]).flatten().min()
    }

    /// Hands over what has reached the far end of the link.
    fn arrive(&mut self, now: Instant) {
        while let Some(transit) = self.link.poll(now) {
            let length = transit.bytes.len();
            if let Some(room) = self.port.reserve(length) {
                room.copy_from_slice(&transit.bytes);
                self.port.commit(length, TransmitMeta::default());
            } else {
                self.counters.transmit_dropped += 1;
            }
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for ImpairedPort<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ImpairedPort")
            .field("port", &self.port)
            .field("link", &self.link.config())
            .field("middleboxes", &self.middleboxes)
            .finish_non_exhaustive()
    }
}

impl<P: Port> Port for ImpairedPort<P> {
    /// Those of the port without its offloads: a fault strikes whole segments, and a checksum
    /// that nobody wrote could not tell a corrupted one.
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            checksum: false,
            segmentation: false,
            max_frame: self.outgoing.len(),
        }
    }

    fn receive(
        &mut self,
        id: PortId,
        pool: &mut FramePool,
        burst: &mut Burst,
    ) -> Result<usize, PortError> {
        let Some(inbound) = &mut self.inbound else {
            return self.port.receive(id, pool, burst);
        };
        let now = self.clock.now();
        let result = self.port.receive(id, pool, &mut inbound.arrived);
        for Received { frame, meta } in inbound.arrived.drain(..) {
            let bytes = frame.bytes().to_vec();
            inbound.link.send(now, &Transit { bytes, meta });
            pool.put(frame);
        }
        result?;
        let before = burst.len();
        while burst.len() < burst.capacity()
            && let Some(Transit { bytes, meta }) = inbound.link.poll(now)
        {
            let mut frame = pool.take();
            // What came in such a frame fits one.
            if let Some(room) = frame.buffer_mut().get_mut(..bytes.len()) {
                room.copy_from_slice(&bytes);
                frame.set_filled(0..bytes.len());
                burst.push(Received { frame, meta });
            }
        }
        Ok(burst.len() - before)
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        self.outgoing.get_mut(..length)
    }

    fn commit(&mut self, length: usize, _meta: TransmitMeta) {
        let frame = self.outgoing.get(..length).unwrap_or_default().to_vec();
        self.counters.count_transmitted(frame.len());
        self.pass(self.clock.now(), 0, frame);
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let now = self.clock.now();
        self.release(now);
        self.arrive(now);
        self.port.flush()
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.port.poll_fd()
    }

    fn room_fd(&self) -> Option<BorrowedFd<'_>> {
        self.port.room_fd()
    }

    /// When a frame reaches either end of the link, or a middlebox lets one go.
    fn flush_due(&self, now: Instant) -> Option<Instant> {
        let inbound = self.inbound.as_ref();
        [
            self.outgoing_due(),
            inbound.and_then(|inbound| inbound.link.next_arrival()),
            self.port.flush_due(now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn transmit_pending(&self) -> bool {
        self.outgoing_due().is_some() || self.port.transmit_pending()
    }

    fn prepare_to_sleep(&mut self) -> bool {
        self.port.prepare_to_sleep()
    }

    fn counters(&self) -> PortCounters {
        let behind = self.port.counters();
        PortCounters {
            transmitted_frames: self.counters.transmitted_frames,
            transmitted_bytes: self.counters.transmitted_bytes,
            transmit_dropped: self.counters.transmit_dropped + behind.transmit_dropped,
            ..behind
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use braid_engine::testing::link::Chance;

    use super::*;
    use crate::port::memory::{MemoryOptions, MemoryPort};

    /// An IPv4 frame as far as the link looks at it.
    fn frame(number: u8) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12] = 0x08;
        frame[20] = number;
        frame
    }

    fn pair(link: LinkConfig) -> (ImpairedPort<MemoryPort>, MemoryPort) {
        let (near, far) = MemoryPort::pair(MemoryOptions::default()).expect("a link in memory");
        let impairments = Impairments {
            link,
            middleboxes: Vec::new(),
            direction: Direction::Forth,
            seed: 7,
        };
        (ImpairedPort::new(near, &impairments, Clock::start()), far)
    }

    fn send(port: &mut impl Port, frame: &[u8]) {
        let room = port.reserve(frame.len()).expect("room");
        room.copy_from_slice(frame);
        port.commit(frame.len(), TransmitMeta::default());
        port.flush().expect("a flush");
    }

    fn received(port: &mut impl Port) -> Vec<Vec<u8>> {
        let mut pool = FramePool::new(2_048, 64);
        let mut burst = Burst::new();
        port.receive(PortId(0), &mut pool, &mut burst)
            .expect("a burst");
        burst
            .iter()
            .map(|received| received.frame.bytes().to_vec())
            .collect()
    }

    /// Flushes until nothing is on the way any more.
    fn drain(near: &mut ImpairedPort<MemoryPort>, far: &mut MemoryPort) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while near.transmit_pending() {
            near.flush().expect("a flush");
            frames.extend(received(far));
        }
        frames.extend(received(far));
        frames
    }

    #[test]
    fn a_frame_arrives_after_the_delay() {
        let delay = Duration::from_millis(20);
        let config = LinkConfig {
            delay,
            ..LinkConfig::default()
        };
        let (mut near, mut far) = pair(config);
        let start = std::time::Instant::now();
        send(&mut near, &frame(1));
        assert_eq!(received(&mut far), Vec::<Vec<u8>>::new());
        assert_eq!(drain(&mut near, &mut far), [frame(1)]);
        assert!(start.elapsed() >= delay);
    }

    #[test]
    fn a_rate_spreads_frames_and_a_full_queue_drops_them() {
        let config = LinkConfig {
            delay: Duration::ZERO,
            rate: Some(6_000),
            queue: 120,
            ..LinkConfig::default()
        };
        let (mut near, mut far) = pair(config);
        let start = std::time::Instant::now();
        (0..10).for_each(|number| send(&mut near, &frame(number)));
        let dropped = near.link_counters().dropped;
        assert!(dropped >= 1, "ten frames fitted a queue of two");
        assert_eq!(drain(&mut near, &mut far).len() as u64, 10 - dropped);
        assert!(start.elapsed() >= Duration::from_millis(10) * (10 - dropped as u32));
    }

    #[test]
    fn faults_strike_by_chance() {
        let config = LinkConfig {
            delay: Duration::ZERO,
            loss: Chance::percent(20),
            duplicate: Chance::percent(20),
            corrupt: Chance::percent(20),
            reorder: Chance::percent(20),
            reorder_delay: Duration::from_millis(5),
            ..LinkConfig::default()
        };
        let (mut near, mut far) = pair(config);
        let mut arrived = Vec::new();
        for number in 0..200 {
            send(&mut near, &frame(number));
            arrived.extend(received(&mut far));
        }
        arrived.extend(drain(&mut near, &mut far));
        let counters = near.link_counters();
        assert!((20..60).contains(&counters.lost), "{counters:?}");
        assert!(counters.delivered > 200 - counters.lost, "some came twice");
        assert!((20..80).contains(&counters.corrupted), "{counters:?}");
        let numbers: Vec<u8> = arrived.iter().map(|frame| frame[20]).collect();
        assert!(!numbers.is_sorted(), "some passed others");
    }

    #[test]
    fn what_is_received_takes_its_time_too() {
        let delay = Duration::from_millis(20);
        let config = LinkConfig {
            delay,
            ..LinkConfig::default()
        };
        let (near, mut far) = pair(LinkConfig::default());
        let mut near = near.with_inbound(config, 7);
        let start = std::time::Instant::now();
        send(&mut far, &frame(1));
        assert_eq!(received(&mut near), Vec::<Vec<u8>>::new());
        assert!(
            near.flush_due(near.clock.now()).is_some(),
            "nobody wakes for it"
        );
        assert!(!near.transmit_pending());
        let mut frames = Vec::new();
        while frames.is_empty() && start.elapsed() < Duration::from_secs(5) {
            frames = received(&mut near);
        }
        assert_eq!(frames, [frame(1)]);
        assert!(start.elapsed() >= delay);
        assert_eq!(near.flush_due(near.clock.now()), None);
    }

    #[test]
    fn offloads_are_not_passed_on() {
        let (near, far) = pair(LinkConfig::default());
        assert!(far.capabilities().segmentation);
        assert!(!near.capabilities().segmentation && !near.capabilities().checksum);
    }
}
