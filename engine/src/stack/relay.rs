//! Ports that another worker drives. A port may have fewer queues than there are workers; those
//! without one hand their frames to a worker that has one, which sends them with its own.

use super::batch::{PortId, TransmitBatch, TransmitMeta};
use super::outboxes::Outboxes;
use super::steering::WorkerId;
use crate::storage::frame::{Frame, FramePool};
use std::collections::VecDeque;

/// Frames of other workers that wait for room on their port; one more is dropped, as a full queue
/// of a port does.
const WAITING: usize = 1_024;

/// Frames to and from other workers.
#[derive(Debug, Default)]
pub(super) struct Relay {
    /// The ports that another worker drives.
    elsewhere: Vec<(PortId, WorkerId)>,
    /// Room that was reserved for a frame by one of them.
    room: Option<Frame>,
    /// Other workers' frames, oldest first.
    waiting: VecDeque<(PortId, Frame, TransmitMeta)>,
    /// Ports that had no room in this transmission.
    full: Vec<PortId>,
    dropped: u64,
}

impl Relay {
    /// States which worker drives a port; `None` for this one.
    pub(super) fn set_worker(&mut self, port: PortId, worker: Option<WorkerId>) {
        self.elsewhere.retain(|(other, _)| *other != port);
        self.elsewhere.extend(worker.map(|worker| (port, worker)));
    }

    /// The other worker that drives a port.
    pub(super) fn worker_of(&self, port: PortId) -> Option<WorkerId> {
        let mut others = self.elsewhere.iter();
        others.find_map(|(other, worker)| (*other == port).then_some(*worker))
    }

    /// The ports that a worker drives for this one.
    pub(super) fn ports_of(&self, worker: WorkerId) -> impl Iterator<Item = PortId> + '_ {
        let ports = self.elsewhere.iter();
        ports.filter_map(move |(port, driver)| (*driver == worker).then_some(*port))
    }

    /// As [`TransmitBatch::reserve`], on a port that `worker` drives.
    pub(super) fn reserve(
        &mut self,
        worker: WorkerId,
        outboxes: &Outboxes,
        pool: &mut FramePool,
        length: usize,
    ) -> Option<&mut [u8]> {
        if outboxes.is_full(worker) {
            return None;
        }
        let room = self.room.get_or_insert_with(|| pool.take());
        room.buffer_mut().get_mut(..length)
    }

    /// The frame that was written to the room last reserved.
    pub(super) fn commit(&mut self, length: usize) -> Option<Frame> {
        let mut frame = self.room.take()?;
        frame.set_filled(0..length);
        Some(frame)
    }

    /// Takes a frame of another worker. One that there is no room for goes back by `pool`, as that
    /// worker would have to make another in its place.
    pub(super) fn take(
        &mut self,
        port: PortId,
        frame: Frame,
        meta: TransmitMeta,
        pool: &mut FramePool,
    ) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back((port, frame, meta));
        } else {
            self.dropped += 1;
            pool.put(frame);
        }
    }

    /// Sends what waits as far as ports have room, and returns how many frames went.
    pub(super) fn transmit(&mut self, pool: &mut FramePool, batch: &mut impl TransmitBatch) -> u64 {
        let mut sent = 0;
        self.full.clear();
        for _ in 0..self.waiting.len() {
            let Some((port, frame, meta)) = self.waiting.pop_front() else {
                break;
            };
            let length = frame.bytes().len();
            // A port that had no room may have some by the next frame, which must not go before this one.
            let known_full = self.full.contains(&port);
            let room = (!known_full).then(|| batch.reserve(port, length)).flatten();
            let Some(room) = room else {
                if !known_full {
                    self.full.push(port);
                }
                self.waiting.push_back((port, frame, meta));
                continue;
            };
            room.copy_from_slice(frame.bytes());
            batch.commit(port, length, meta);
            pool.put(frame);
            sent += 1;
        }
        sent
    }

    /// Frames of other workers that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::frame::PoolId;

    #[test]
    fn a_frame_without_room_goes_back_to_the_worker_it_is_of() {
        let mut others = FramePool::new(128, 2).named(PoolId(1));
        let mut own = FramePool::new(128, 2).named(PoolId(0));
        let mut relay = Relay::default();
        for _ in 0..WAITING {
            relay.take(
                PortId(0),
                Frame::with_capacity(1),
                TransmitMeta::default(),
                &mut own,
            );
        }
        let frame = others.take();
        relay.take(PortId(0), frame, TransmitMeta::default(), &mut own);
        assert_eq!((relay.len(), relay.dropped()), (WAITING, 1));
        let (origin, frame) = own.take_stranger().expect("the frame was freed");
        assert_eq!(origin, PoolId(1));
        others.put(frame);
    }

    /// Has room again right after it had none.
    struct Wavering {
        refuses: bool,
        room: [u8; 8],
        sent: Vec<(PortId, u8)>,
    }

    impl TransmitBatch for Wavering {
        fn reserve(&mut self, port: PortId, length: usize) -> Option<&mut [u8]> {
            let refused = port == PortId(0) && core::mem::take(&mut self.refuses);
            (!refused).then_some(&mut self.room[..length])
        }

        fn commit(&mut self, port: PortId, _: usize, _: TransmitMeta) {
            self.sent.push((port, self.room[0]));
        }
    }

    #[test]
    fn frames_of_a_port_keep_their_order_when_it_has_no_room_for_a_moment() {
        let mut pool = FramePool::new(128, 2);
        let mut relay = Relay::default();
        for (port, number) in [(0, 1), (0, 2), (1, 3), (0, 4)] {
            let frame = Frame::from(&[number][..]);
            relay.take(PortId(port), frame, TransmitMeta::default(), &mut pool);
        }
        let mut batch = Wavering {
            refuses: true,
            room: [0; 8],
            sent: Vec::new(),
        };
        assert_eq!(relay.transmit(&mut pool, &mut batch), 1);
        assert_eq!(relay.transmit(&mut pool, &mut batch), 3);
        let numbers: Vec<u8> = batch.sent.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, [3, 1, 2, 4]);
    }
}
