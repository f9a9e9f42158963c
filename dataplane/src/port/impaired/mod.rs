//! A port whose link goes wrong: what it sends is delayed, queued, lost, reordered, doubled or
//! corrupted, and passes middleboxes, as in the simulation but on the clock of the host.
//!
//! Made for links in memory (wrap both ends of a [`MemoryPort`](super::memory::MemoryPort)), and
//! good for any port. Each end impairs what it sends; what it receives it leaves alone, unless
//! nobody does so at the other end ([`ImpairedPort::with_inbound`]).
//!
//! The queues of a port share one link with its rate and faults ([`ImpairedPort::queues`]). A frame leaves
//! it by whichever queue looks first.

mod wire;

use std::fmt;
use std::os::fd::BorrowedFd;

use braid_engine::random::Random;
use braid_engine::stack::{Capabilities, PortId, TransmitMeta};
use braid_engine::storage::frame::FramePool;
use braid_engine::testing::link::{Link, LinkConfig, LinkCounters, Transit};
use braid_engine::testing::middlebox::{Direction, Kind};
use braid_engine::time::Instant;

use self::wire::SharedWire;
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

/// A port behind impairments, or one queue of it.
pub struct ImpairedPort<P> {
    port: P,
    clock: Clock,
    wire: SharedWire,
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
        Self::on(SharedWire::new(impairments), port, clock)
    }

    /// Puts the same impairments before all queues of a port, on the time of `clock`.
    pub fn queues(
        queues: impl IntoIterator<Item = P>,
        impairments: &Impairments,
        clock: Clock,
    ) -> Vec<Self> {
        let wire = SharedWire::new(impairments);
        let impair = |queue| Self::on(wire.clone(), queue, clock);
        queues.into_iter().map(impair).collect()
    }

    fn on(wire: SharedWire, port: P, clock: Clock) -> Self {
        let largest = port.capabilities().max_frame;
        Self {
            port,
            clock,
            wire,
            outgoing: vec![0; largest].into_boxed_slice(),
            inbound: None,
            counters: PortCounters::default(),
        }
    }

    /// Puts what is received on a link of its own too: for a far end that is nobody's of ours, such
    /// as a kernel. Its middleboxes are passed by what is sent alone, and each queue of a port has such a
    /// link of its own.
    #[must_use]
    pub fn with_inbound(mut self, link: LinkConfig, seed: u64) -> Self {
        let random = Random::from_u64(seed).fork("inbound");
        self.inbound = Some(Inbound {
            link: Link::new(link, random),
            arrived: Burst::new(),
        });
        self
    }

    /// What became of the frames this end sent, by all its queues.
    pub fn link_counters(&self) -> LinkCounters {
        self.wire.lock().link.counters()
    }

    /// Hands over what has reached the far end of the link.
    fn arrive(&mut self) {
        let mut wire = self.wire.lock();
        let now = self.clock.now();
        wire.release(now);
        while let Some(transit) = wire.link.poll(now) {
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
        let wire = self.wire.lock();
        formatter
            .debug_struct("ImpairedPort")
            .field("port", &self.port)
            .field("link", &wire.link.config())
            .field("middleboxes", &wire.middleboxes)
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
            attach: false,
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

    fn room(&self) -> usize {
        // What is too much for the link is lost on it.
        usize::MAX
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        self.outgoing.get_mut(..length)
    }

    fn commit(&mut self, length: usize, _meta: TransmitMeta) {
        let frame = self.outgoing.get(..length).unwrap_or_default().to_vec();
        self.counters.count_transmitted(frame.len());
        let mut wire = self.wire.lock();
        wire.send(self.clock.now(), frame);
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.arrive();
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
            self.wire.lock().due(),
            inbound.and_then(|inbound| inbound.link.next_arrival()),
            self.port.flush_due(now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn transmit_pending(&self) -> bool {
        self.wire.lock().due().is_some() || self.port.transmit_pending()
    }

    fn prepare_to_sleep(&mut self) -> bool {
        self.port.prepare_to_sleep()
    }

    fn device_counters(&self) -> Vec<(String, u64)> {
        self.port.device_counters()
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
mod tests;
