//! A link within the process: two ports, each of which may live in another thread, and so may each
//! queue of them.
//!
//! Frames change hands without being copied, so that 64 KiB segments and missing checksums cost
//! nothing. Both can be switched off to see the engine do without. The link loses nothing and
//! delays nothing; [`ImpairedPort`](super::impaired::ImpairedPort) before each end gives it delay,
//! rate, loss and all other faults.

mod lane;

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use braid_engine::stack::{
    Capabilities, ChecksumOffload, PortId, ReceiveMeta, ReceivedChecksum, Steering, TransmitMeta,
};
use braid_engine::storage::flow_table::FourTuple;
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::wire::IpPacket;
use braid_engine::wire::ethernet::EthernetHeader;
use braid_engine::wire::ip::Protocol;

use self::lane::{Bell, Incoming, Outgoing, Sent, lane};

use super::{
    BURST, Burst, LARGEST_FRAME, POOL_FRAME_CAPACITY, Port, PortCounters, PortError, Received,
};

/// Least capacity of the frames of a link that carries no large segments.
const SMALL_FRAME_CAPACITY: usize = 2_048;

/// Their greatest: a packet of 9,000 bytes and what is around it.
const JUMBO_FRAME_CAPACITY: usize = 9_216;

/// What a link within the process carries.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct MemoryOptions {
    /// Checksums may be left out. Implied by `segmentation`.
    pub checksum: bool,
    /// Frames may carry up to 64 KiB of payload.
    pub segmentation: bool,
    /// How many frames can be under way in each direction, rounded up to a power of two; at least one.
    pub queue: usize,
    /// The largest frame in bytes where `segmentation` is off; 9,216 at most. What receives them
    /// must have frames as large in its pool.
    pub max_frame: usize,
}

impl Default for MemoryOptions {
    /// Every offload, 256 frames, and Ethernet's usual 1,514 bytes.
    fn default() -> Self {
        Self {
            checksum: true,
            segmentation: true,
            queue: 256,
            max_frame: 1_514,
        }
    }
}

impl MemoryOptions {
    fn capabilities(self) -> Capabilities {
        Capabilities {
            checksum: self.checksum || self.segmentation,
            segmentation: self.segmentation,
            attach: true,
            max_frame: if self.segmentation {
                LARGEST_FRAME
            } else {
                self.max_frame.min(JUMBO_FRAME_CAPACITY)
            },
        }
    }
}

/// One end of a link within the process, or one queue of it.
#[derive(Debug)]
pub struct MemoryPort {
    bell: Arc<Bell>,
    /// To each queue of the other end; at least one.
    outgoing: Vec<Outgoing>,
    /// From each queue of the other end; at least one.
    incoming: Vec<Incoming>,
    /// The incoming lane that was looked at last.
    turn: usize,
    /// How the other end shares its flows.
    steering: Steering,
    capabilities: Capabilities,
    /// Frames that came back, the warmest last.
    spare: Vec<Frame>,
    reserved: Option<Frame>,
    sleeping: bool,
    /// The last frame was refused because a lane was full.
    full: bool,
    counters: PortCounters,
}

impl MemoryPort {
    /// Both ends of a new link.
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors.
    pub fn pair(options: MemoryOptions) -> Result<(Self, Self), PortError> {
        let (one, alone) = (NonZeroU8::MIN, Steering::ALONE);
        let (mut near, mut far) = Self::pair_of_queues(options, one, one, alone, alone)?;
        Ok((near.remove(0), far.remove(0)))
    }

    /// Both ends of a new link, each with so many queues. A TCP segment comes in at the queue
    /// whose number is that of the worker which its flow belongs to, by the steering of the end it
    /// arrives at. At queue 0 comes what belongs to a worker without a queue, and all that is no
    /// whole segment. What would come at a queue that is closed comes at the first that is open.
    ///
    /// [`MemoryOptions::queue`] counts the frames from one queue to one of the other end. A queue
    /// takes no frame while there is no room on the way to each of them.
    ///
    /// # Errors
    ///
    /// As for [`MemoryPort::pair`].
    pub fn pair_of_queues(
        options: MemoryOptions,
        near_queues: NonZeroU8,
        far_queues: NonZeroU8,
        near_steering: Steering,
        far_steering: Steering,
    ) -> Result<(Vec<Self>, Vec<Self>), PortError> {
        let queues = |count: NonZeroU8, steering_beyond| {
            (0..count.get())
                .map(|_| Self::without_lanes(options, steering_beyond))
                .collect::<Result<Vec<Self>, PortError>>()
        };
        let mut near = queues(near_queues, far_steering)?;
        let mut far = queues(far_queues, near_steering)?;
        for a in &mut near {
            for b in &mut far {
                a.connect(b, options);
                b.connect(a, options);
            }
        }
        Ok((near, far))
    }

    fn without_lanes(options: MemoryOptions, steering: Steering) -> Result<Self, PortError> {
        Ok(Self {
            bell: Bell::new()?,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            turn: 0,
            steering,
            capabilities: options.capabilities(),
            spare: Vec::new(),
            reserved: None,
            sleeping: false,
            full: false,
            counters: PortCounters::default(),
        })
    }

    /// Makes a lane to the next queue of the other end.
    fn connect(&mut self, to: &mut Self, options: MemoryOptions) {
        let (outgoing, incoming) = lane(&self.bell, &to.bell, options.queue);
        self.outgoing.push(outgoing);
        to.incoming.push(incoming);
    }

    fn is_full(&mut self) -> bool {
        self.outgoing.iter_mut().any(Outgoing::is_full)
    }

    fn frame_for(&mut self, length: usize) -> Frame {
        if self.spare.is_empty() {
            for to in &mut self.outgoing {
                self.spare.extend(core::iter::from_fn(|| to.spare.pop()));
            }
        }
        let fits = |frame: &Frame| frame.capacity() >= length;
        self.spare.pop().filter(fits).unwrap_or_else(|| {
            Frame::with_capacity(if self.capabilities.segmentation {
                POOL_FRAME_CAPACITY
            } else {
                self.capabilities.max_frame.max(SMALL_FRAME_CAPACITY)
            })
        })
    }

    /// Puts a frame on its way.
    fn send(&mut self, frame: Frame, meta: TransmitMeta) {
        let length = frame.bytes().len();
        let lane = self.lane_for(frame.bytes());
        let sent = Sent {
            frame,
            checksum: match meta.checksum {
                ChecksumOffload::Complete => ReceivedChecksum::Unknown,
                ChecksumOffload::Partial { .. } => ReceivedChecksum::Partial,
            },
            segment_size: meta
                .segmentation
                .map(|segmentation| segmentation.segment_size),
        };
        match self.outgoing[lane].under_way.push(sent) {
            Ok(()) => self.counters.count_transmitted(length),
            Err(_) => self.counters.transmit_dropped += 1,
        }
    }

    /// The lane to the queue that a frame belongs to; one that is open, if there is any.
    fn lane_for(&self, frame: &[u8]) -> usize {
        if self.outgoing.len() == 1 {
            return 0;
        }
        let worker = arriving_flow(frame).map(|flow| self.steering.worker_of(&flow).index());
        let lane = worker
            .filter(|index| *index < self.outgoing.len())
            .unwrap_or(0);
        if !self.outgoing[lane].lane.is_closed() {
            return lane;
        }
        let mut lanes = self.outgoing.iter();
        lanes.position(|to| !to.lane.is_closed()).unwrap_or(lane)
    }
}

/// The flow of a TCP segment, as the host sees it where it arrives.
fn arriving_flow(frame: &[u8]) -> Option<FourTuple> {
    let (ethernet, start) = EthernetHeader::parse(frame).ok()?;
    let bytes = frame.get(start..)?;
    let packet = IpPacket::parse(ethernet.ether_type, bytes).ok()?;
    let segment = bytes.get(packet.payload)?;
    let [from, to] = *segment.first_chunk::<4>()?.as_chunks::<2>().0 else {
        return None;
    };
    (packet.header.protocol() == Protocol::Tcp).then(|| FourTuple {
        local: SocketAddr::new(packet.header.destination(), u16::from_be_bytes(to)),
        remote: SocketAddr::new(packet.header.source(), u16::from_be_bytes(from)),
    })
}

impl Port for MemoryPort {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(
        &mut self,
        port: PortId,
        pool: &mut FramePool,
        burst: &mut Burst,
    ) -> Result<usize, PortError> {
        if self.sleeping {
            self.sleeping = false;
            self.bell.awake();
            for to in &self.outgoing {
                to.lane.sender_waits.store(false, Ordering::Relaxed);
            }
        }
        // Each lane is first in turn, so that none that is always full keeps the others waiting.
        let (before, bytes) = (burst.len(), &mut self.counters.received_bytes);
        self.turn = (self.turn + 1) % self.incoming.len();
        let (last, first) = self.incoming.split_at_mut(self.turn);
        for from in first.iter_mut().chain(last) {
            while !burst.is_full()
                && let Some(sent) = from.take(pool)
            {
                *bytes += sent.frame.bytes().len() as u64;
                burst.push(received(sent, port));
            }
        }
        let received = burst.len() - before;
        if received > 0 {
            self.counters.received_frames += received as u64;
            for from in &mut self.incoming {
                from.publish();
            }
            // Pairs with the fence of `prepare_to_sleep`, as the one of `flush` does.
            fence(Ordering::SeqCst);
            for from in &self.incoming {
                if from.lane.sender_waits.swap(false, Ordering::Relaxed) {
                    from.sender.event.ring();
                }
            }
        }
        Ok(received)
    }

    fn room(&self) -> usize {
        let open = self.outgoing.iter().filter(|to| !to.lane.is_closed());
        // What is sent to nobody is lost, and takes no room.
        open.map(|to| to.under_way.free()).min().unwrap_or(BURST)
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        // Only this queue puts frames there, so what is free now is still free at the commit. Which
        // lane the frame takes is known only then.
        self.full = self.is_full();
        if length > self.capabilities.max_frame || self.full {
            self.counters.transmit_full += 1;
            return None;
        }
        let frame = match self.reserved.take() {
            Some(frame) if frame.capacity() >= length => frame,
            _ => self.frame_for(length),
        };
        self.reserved.insert(frame).buffer_mut().get_mut(..length)
    }

    fn commit(&mut self, length: usize, meta: TransmitMeta) {
        let Some(mut frame) = self.reserved.take() else {
            return;
        };
        frame.set_filled(0..length);
        self.send(frame, meta);
    }

    fn attach(&mut self, memory: Arc<[u8]>, filled: Range<usize>, meta: TransmitMeta) {
        if let Some(mut frame) = self.reserved.take() {
            frame.attach(memory, filled);
            self.send(frame, meta);
        }
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let mut news = false;
        for to in &mut self.outgoing {
            to.unannounced = to.under_way.publish();
            news |= to.unannounced;
        }
        if news {
            // Pairs with the fence of `prepare_to_sleep`: either the receiver sees the frames
            // before it sleeps, or this end sees that it sleeps.
            fence(Ordering::SeqCst);
            for to in self.outgoing.iter().filter(|to| to.unannounced) {
                to.receiver.wake();
            }
        }
        Ok(())
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.bell.event.as_fd()
    }

    fn prepare_to_sleep(&mut self) -> bool {
        self.sleeping = true;
        self.bell.sleeps.store(true, Ordering::Relaxed);
        for to in &self.outgoing {
            to.lane.sender_waits.store(self.full, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        let room = self.full && !self.is_full();
        self.full &= !room;
        let mut incoming = self.incoming.iter();
        incoming.all(|from| from.under_way.is_empty()) && !room
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

/// What was sent, as it is received.
fn received(sent: Sent, port: PortId) -> Received {
    let Sent {
        frame,
        checksum,
        segment_size,
    } = sent;
    let meta = ReceiveMeta {
        port,
        checksum,
        segment_size,
    };
    Received { frame, meta }
}

#[cfg(test)]
mod tests;
