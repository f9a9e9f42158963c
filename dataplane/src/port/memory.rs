//! A link within the process: two ports, each of which may live in another thread.
//!
//! Frames change hands without being copied, so that 64 KiB segments and missing checksums cost
//! nothing. Both can be switched off to see the engine do without. The link loses nothing and
//! delays nothing; [`ImpairedPort`](super::impaired::ImpairedPort) before each end gives it delay,
//! rate, loss and all other faults.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use braid_engine::stack::{
    Capabilities, ChecksumOffload, PortId, ReceiveMeta, ReceivedChecksum, TransmitMeta,
};
use braid_engine::storage::frame::{Frame, FramePool};
use crossbeam_queue::ArrayQueue;

use super::{
    Burst, LARGEST_FRAME, POOL_FRAME_CAPACITY, Port, PortCounters, PortError, Received, fill,
};
use crate::sys::eventfd::EventFd;

/// Capacity of the frames of a link that carries no large segments.
const SMALL_FRAME_CAPACITY: usize = 2_048;

/// What a link within the process carries.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct MemoryOptions {
    /// Checksums may be left out. Implied by `segmentation`.
    pub checksum: bool,
    /// Frames may carry up to 64 KiB of payload.
    pub segmentation: bool,
    /// How many frames can be under way in each direction; at least one.
    pub queue: usize,
    /// The largest frame in bytes where `segmentation` is off; 2,048 at most.
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
            max_frame: if self.segmentation {
                LARGEST_FRAME
            } else {
                self.max_frame.min(SMALL_FRAME_CAPACITY)
            },
        }
    }
}

#[derive(Debug)]
struct Sent {
    frame: Frame,
    meta: TransmitMeta,
}

/// One direction of the link.
#[derive(Debug)]
struct Direction {
    under_way: ArrayQueue<Sent>,
    /// Frames on their way back: the receiver gives one of its own for each it takes, so that
    /// neither end allocates.
    spare: ArrayQueue<Frame>,
    receiver_sleeps: AtomicBool,
    /// The sender found it full, and sleeps on the bell of the other direction.
    sender_waits: AtomicBool,
    bell: EventFd,
}

impl Direction {
    fn new(queue: usize) -> Result<Arc<Self>, PortError> {
        let bell = EventFd::new().map_err(|source| PortError::System {
            action: "making an event descriptor for a memory port".into(),
            source,
        })?;
        let queue = queue.max(1);
        Ok(Arc::new(Self {
            under_way: ArrayQueue::new(queue),
            spare: ArrayQueue::new(queue),
            receiver_sleeps: AtomicBool::new(false),
            sender_waits: AtomicBool::new(false),
            bell,
        }))
    }
}

/// One end of a link within the process.
#[derive(Debug)]
pub struct MemoryPort {
    outgoing: Arc<Direction>,
    incoming: Arc<Direction>,
    capabilities: Capabilities,
    reserved: Option<Frame>,
    unannounced: bool,
    sleeping: bool,
    /// The last frame was refused because the link was full.
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
        let capabilities = options.capabilities();
        let forth = Direction::new(options.queue)?;
        let back = Direction::new(options.queue)?;
        let end = |outgoing: &Arc<Direction>, incoming: &Arc<Direction>| Self {
            outgoing: Arc::clone(outgoing),
            incoming: Arc::clone(incoming),
            capabilities,
            reserved: None,
            unannounced: false,
            sleeping: false,
            full: false,
            counters: PortCounters::default(),
        };
        Ok((end(&forth, &back), end(&back, &forth)))
    }

    fn frame_for(&self, length: usize) -> Frame {
        let fits = |frame: &Frame| frame.capacity() >= length;
        self.outgoing.spare.pop().filter(fits).unwrap_or_else(|| {
            Frame::with_capacity(if self.capabilities.segmentation {
                POOL_FRAME_CAPACITY
            } else {
                SMALL_FRAME_CAPACITY
            })
        })
    }
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
            self.incoming
                .receiver_sleeps
                .store(false, Ordering::Relaxed);
            self.outgoing.sender_waits.store(false, Ordering::Relaxed);
            self.incoming.bell.silence();
        }
        let received = fill(burst, &mut self.counters, || {
            let Sent { frame, meta } = self.incoming.under_way.pop()?;
            if let Err(unwanted) = self.incoming.spare.push(pool.take()) {
                pool.put(unwanted);
            }
            let meta = ReceiveMeta {
                port,
                checksum: match meta.checksum {
                    ChecksumOffload::Complete => ReceivedChecksum::Unknown,
                    ChecksumOffload::Partial { .. } => ReceivedChecksum::Partial,
                },
                segment_size: meta
                    .segmentation
                    .map(|segmentation| segmentation.segment_size),
            };
            Some(Ok(Received { frame, meta }))
        });
        if received > 0 {
            // Pairs with the fence of `prepare_to_sleep`, as the one of `flush` does.
            fence(Ordering::SeqCst);
            if self.incoming.sender_waits.swap(false, Ordering::Relaxed) {
                self.outgoing.bell.ring();
            }
        }
        Ok(received)
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        // Only this end puts frames there, so what is free now is still free at the commit.
        self.full = self.outgoing.under_way.is_full();
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
        let length = frame.bytes().len();
        match self.outgoing.under_way.push(Sent { frame, meta }) {
            Ok(()) => {
                self.counters.count_transmitted(length);
                self.unannounced = true;
            }
            Err(_) => self.counters.transmit_dropped += 1,
        }
    }

    fn flush(&mut self) -> Result<(), PortError> {
        if std::mem::take(&mut self.unannounced) {
            // Pairs with the fence of `prepare_to_sleep`: either the receiver sees the frames
            // before it sleeps, or this end sees that it sleeps.
            fence(Ordering::SeqCst);
            if self.outgoing.receiver_sleeps.swap(false, Ordering::Relaxed) {
                self.outgoing.bell.ring();
            }
        }
        Ok(())
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.incoming.bell.as_fd()
    }

    fn prepare_to_sleep(&mut self) -> bool {
        self.sleeping = true;
        self.incoming.receiver_sleeps.store(true, Ordering::Relaxed);
        self.outgoing
            .sender_waits
            .store(self.full, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let room = self.full && !self.outgoing.under_way.is_full();
        self.full &= !room;
        self.incoming.under_way.is_empty() && !room
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use braid_engine::stack::Segmentation;

    use super::*;

    fn receive(port: &mut MemoryPort) -> Vec<Received> {
        let mut burst = Burst::new();
        port.receive(
            PortId(7),
            &mut FramePool::new(POOL_FRAME_CAPACITY, 8),
            &mut burst,
        )
        .unwrap();
        burst.into_iter().collect()
    }

    #[test]
    fn a_large_segment_crosses_with_its_offloads() {
        let (mut near, mut far) = MemoryPort::pair(MemoryOptions::default()).unwrap();
        let room = near.reserve(65_000).unwrap();
        room.fill(0xab);
        let segmentation = Segmentation {
            ipv6: false,
            header_length: 66,
            segment_size: 1_448,
        };
        near.commit(
            65_000,
            TransmitMeta {
                checksum: ChecksumOffload::Partial {
                    start: 34,
                    offset: 16,
                },
                segmentation: Some(segmentation),
            },
        );
        near.flush().unwrap();
        let received = receive(&mut far);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].frame.bytes(), vec![0xab; 65_000]);
        assert_eq!(
            received[0].meta,
            ReceiveMeta {
                port: PortId(7),
                checksum: ReceivedChecksum::Partial,
                segment_size: Some(1_448),
            }
        );
        assert!(
            receive(&mut near).is_empty(),
            "a frame does not come back to its sender"
        );
    }

    #[test]
    fn a_full_queue_refuses_and_takes_again_when_the_peer_has_read() {
        let options = MemoryOptions {
            queue: 2,
            ..MemoryOptions::default()
        };
        let (mut near, mut far) = MemoryPort::pair(options).unwrap();
        for byte in 0..2 {
            near.reserve(60).unwrap()[0] = byte;
            near.commit(60, TransmitMeta::default());
        }
        assert!(near.reserve(60).is_none());
        assert_eq!(near.counters().transmit_full, 1);
        let order: Vec<u8> = receive(&mut far)
            .iter()
            .map(|r| r.frame.bytes()[0])
            .collect();
        assert_eq!(order, [0, 1]);
        assert!(near.reserve(60).is_some());
    }

    #[test]
    fn without_segmentation_no_frame_exceeds_the_stated_size() {
        let options = MemoryOptions {
            segmentation: false,
            checksum: false,
            ..MemoryOptions::default()
        };
        let (mut near, _far) = MemoryPort::pair(options).unwrap();
        assert!(!near.capabilities().checksum && !near.capabilities().segmentation);
        assert!(near.reserve(1_515).is_none());
        assert!(near.reserve(1_514).is_some());
    }

    #[test]
    fn only_what_was_committed_arrives() {
        let (mut near, mut far) = MemoryPort::pair(MemoryOptions::default()).unwrap();
        near.reserve(100).unwrap().fill(1);
        near.reserve(1_000).unwrap().fill(2);
        near.commit(40, TransmitMeta::default());
        near.commit(40, TransmitMeta::default());
        let received = receive(&mut far);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].frame.bytes(), [2; 40]);
    }

    #[test]
    fn a_sleeping_receiver_in_another_thread_is_woken_for_every_frame() {
        const FRAMES: u32 = 20_000;
        let options = MemoryOptions {
            queue: 4,
            ..MemoryOptions::default()
        };
        let (mut near, mut far) = MemoryPort::pair(options).unwrap();
        let receiver = std::thread::spawn(move || {
            let mut pool = FramePool::new(POOL_FRAME_CAPACITY, 8);
            let mut burst = Burst::new();
            let mut next = 0;
            while next < FRAMES {
                if far.prepare_to_sleep() {
                    let woken = crate::sys::poll::readable(
                        [far.poll_fd()],
                        Some(std::time::Duration::from_secs(20)),
                    );
                    assert!(woken.unwrap(), "slept through frame {next}");
                }
                far.receive(PortId(0), &mut pool, &mut burst).unwrap();
                for received in burst.drain(..) {
                    assert_eq!(received.frame.bytes(), next.to_be_bytes());
                    next += 1;
                    pool.put(received.frame);
                }
            }
        });
        let mut next = 0;
        while next < FRAMES {
            match near.reserve(4) {
                Some(room) => room.copy_from_slice(&u32::to_be_bytes(next)),
                None => {
                    std::thread::yield_now();
                    continue;
                }
            }
            near.commit(4, TransmitMeta::default());
            near.flush().unwrap();
            next += 1;
        }
        receiver.join().unwrap();
    }
}
