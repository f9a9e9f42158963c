//! The way from this host to itself (RFC 1122 section 3.2.1.3): frames between two connections of
//! one stack, which no wire ever sees.
//!
//! It is a port like any other to whom it carries frames for: bounded, full when nobody has taken
//! what is in it, with large segments and without checksums. What is in it is taken once by the end of
//! the same [`super::Stack::transmit`], and what then comes by the next [`super::Stack::advance`].

use super::batch::{
    Capabilities, ChecksumOffload, PortId, ReceiveMeta, ReceivedChecksum, TransmitMeta,
};
use super::interface::{Interface, InterfaceConfig};
use crate::storage::frame::{Frame, FramePool};
use crate::time::Instant;
use crate::wire::ethernet::{EthernetHeader, MacAddress};
use core::ops::Range;
use std::collections::VecDeque;
use std::sync::Arc;

/// Frames under way at most: what a worker sends in one turn.
const FRAMES: usize = 64;

/// Segments are no larger than those of a common link, so that windows and buffers suit them; one
/// frame carries many.
const MTU: u16 = 1500;

/// Both ends have this link address; it is locally administered and on no wire.
pub(super) const ADDRESS: MacAddress = MacAddress([2, 0, 0, 0, 0, 0]);

impl PortId {
    /// The port by which a stack reaches itself. It belongs to no device.
    pub const LOOPBACK: Self = Self(u16::MAX);
}

/// The interface of the loopback. It has no addresses of its own: those of all others are reached
/// by it.
pub(super) fn interface(frame_capacity: usize) -> Interface {
    let largest = frame_capacity.saturating_sub(EthernetHeader::LEN);
    Interface {
        config: InterfaceConfig {
            port: PortId::LOOPBACK,
            name: "loopback".into(),
            mac: ADDRESS,
            mtu: u16::try_from(largest).unwrap_or(MTU).min(MTU),
            addresses: Vec::new(),
            gateways: Vec::new(),
            capabilities: Capabilities {
                checksum: true,
                segmentation: true,
                attach: true,
                max_frame: frame_capacity,
            },
        },
        up: true,
    }
}

/// Frames from this stack to itself, oldest first.
#[derive(Debug)]
pub(super) struct Loopback {
    frames: VecDeque<(Frame, ReceiveMeta)>,
    /// Room that was reserved.
    room: Option<Frame>,
    /// When the oldest frames were sent.
    since: Instant,
    /// How often there was no room.
    refused: u64,
}

impl Loopback {
    pub(super) fn new() -> Self {
        Self {
            frames: VecDeque::with_capacity(FRAMES),
            room: None,
            since: Instant::ZERO,
            refused: 0,
        }
    }

    /// As [`super::TransmitBatch::reserve`].
    pub(super) fn reserve(&mut self, pool: &mut FramePool, length: usize) -> Option<&mut [u8]> {
        if self.frames.len() >= FRAMES {
            self.refused += 1;
            return None;
        }
        let room = self.room.get_or_insert_with(|| pool.take());
        room.buffer_mut().get_mut(..length)
    }

    /// As [`super::TransmitBatch::commit`].
    pub(super) fn commit(&mut self, now: Instant, length: usize, meta: TransmitMeta) {
        if let Some(mut frame) = self.room.take() {
            frame.set_filled(0..length);
            self.send(now, frame, meta);
        }
    }

    /// As [`super::TransmitBatch::attach`].
    pub(super) fn attach(
        &mut self,
        now: Instant,
        memory: Arc<[u8]>,
        filled: Range<usize>,
        meta: TransmitMeta,
    ) {
        if let Some(mut frame) = self.room.take() {
            frame.attach(memory, filled);
            self.send(now, frame, meta);
        }
    }

    fn send(&mut self, now: Instant, frame: Frame, meta: TransmitMeta) {
        if self.frames.is_empty() {
            self.since = now;
        }
        let meta = ReceiveMeta {
            port: PortId::LOOPBACK,
            checksum: match meta.checksum {
                ChecksumOffload::Complete => ReceivedChecksum::Unknown,
                ChecksumOffload::Partial { .. } => ReceivedChecksum::Partial,
            },
            segment_size: meta.segmentation.map(|cut| cut.segment_size),
        };
        self.frames.push_back((frame, meta));
    }

    /// How often there was no room.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// How many frames wait.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Takes the oldest frame.
    pub(super) fn pop(&mut self) -> Option<(Frame, ReceiveMeta)> {
        self.frames.pop_front()
    }

    /// When the frames that wait are due: at once.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        (!self.frames.is_empty()).then_some(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_gives_back_what_it_took_in_order() {
        let mut pool = FramePool::new(256, 8);
        let mut loopback = Loopback::new();
        let now = Instant::from_millis(7);
        assert_eq!(loopback.next_timeout(), None);
        for number in 0..FRAMES {
            loopback.reserve(&mut pool, 200).unwrap()[0] = number as u8;
            loopback.commit(now, 100, TransmitMeta::default());
        }
        assert!(loopback.reserve(&mut pool, 200).is_none());
        assert_eq!(loopback.refused(), 1);
        assert_eq!(loopback.next_timeout(), Some(now));
        for number in 0..FRAMES {
            let (frame, meta) = loopback.pop().unwrap();
            assert_eq!((frame.bytes().len(), meta.port), (100, PortId::LOOPBACK));
            assert_eq!(frame.bytes()[0], number as u8);
        }
        assert!(loopback.pop().is_none());
        assert!(loopback.reserve(&mut pool, 257).is_none(), "no such frame");
    }
}
