//! A pair of queues of a device: bursts of packets, without allocation.
//!
//! capsule returns each burst as a vector and knows no transmit flags, so this goes by capsule-ffi.
//!
//! Whoever drops a pair leaves its receive queue to the other pairs of the device, the next of which to
//! receive takes it over: what the device brings to the queue of a worker that has ended is not lost.

use std::sync::Arc;

use arrayvec::ArrayVec;
use capsule_ffi as ffi;

use super::device::{Device, Orphan};
use super::mbuf::{Mbuf, Packet};
use super::pool::Pool;

/// Packets of one burst at most: as many as a port brings.
pub(crate) const BURST: usize = crate::port::BURST;

/// Packets that wait to be taken by the device at most.
pub(crate) const OUTGOING: usize = 128;

/// A receive queue and a transmit queue. Only one of each number exists.
#[derive(Debug)]
pub(crate) struct QueuePair {
    device: Arc<Device>,
    number: u16,
    /// Receive queues that were left by others: this pair alone has them now.
    adopted: Vec<Orphan>,
    /// The receive queue that was looked at first, of its own and those.
    turn: usize,
    /// Where frames to be sent are built.
    pool: Pool,
    /// Of the last burst; in use until the next.
    received: ArrayVec<Mbuf, BURST>,
    /// Empty buffers for frames to be sent.
    empty: ArrayVec<Mbuf, BURST>,
    /// Frames that the device has yet to take.
    outgoing: ArrayVec<Mbuf, OUTGOING>,
}

impl QueuePair {
    /// The queues with this number.
    pub(super) fn new(device: Arc<Device>, number: u16, pool: Pool) -> Self {
        Self {
            device,
            number,
            adopted: Vec::new(),
            turn: 0,
            pool,
            received: ArrayVec::new(),
            empty: ArrayVec::new(),
            outgoing: ArrayVec::new(),
        }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The packets that came in, `limit` at most; they are there until the next call.
    pub(crate) fn receive(&mut self, limit: usize) -> impl Iterator<Item = Packet<'_>> {
        free(&mut self.received);
        let limit = limit.min(BURST);
        if self.device.has_orphans() {
            self.adopted.extend(self.device.adopt());
        }
        if self.adopted.is_empty() {
            self.receive_by(self.number, limit);
        } else {
            // Each is first in turn, so that none that is always full keeps the others waiting.
            let queues = self.adopted.len() + 1;
            self.turn = (self.turn + 1) % queues;
            for place in 0..queues {
                let adopted = ((self.turn + place) % queues).checked_sub(1);
                let adopted = adopted.and_then(|index| self.adopted.get(index));
                let number = adopted.map_or(self.number, |orphan| orphan.0);
                self.receive_by(number, limit - self.received.len());
            }
        }
        self.received.iter().map(Mbuf::packet)
    }

    /// Takes packets from a receive queue that is this pair's, `limit` at most, which there is room for.
    fn receive_by(&mut self, number: u16, limit: usize) {
        let before = self.received.len();
        let limit = limit.min(BURST - before);
        // SAFETY: the device runs as long as its queues exist, and nobody else has the one with this
        // number: its pair is this one, or was dropped and left it to this one alone. Behind what is
        // there is room for as many pointers, to which `Mbuf` is transparent.
        let count = unsafe {
            ffi::_rte_eth_rx_burst(
                self.device.id(),
                number,
                self.received.as_mut_ptr().add(before).cast(),
                limit as u16,
            )
        };
        let count = usize::from(count).min(limit);
        // SAFETY: the driver has written that many pointers to buffers, which are ours now.
        unsafe { self.received.set_len(before + count) };
    }

    /// How many frames there is room for, without asking the pool.
    pub(crate) fn room(&self) -> usize {
        self.outgoing.remaining_capacity().min(self.empty.len())
    }

    /// Room for a frame of `length` bytes; `None` when too many frames wait, the pool is empty, or
    /// the frame is too long. Asking again gives up the room.
    pub(crate) fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        if self.outgoing.is_full() {
            self.send();
            if self.outgoing.is_full() {
                return None;
            }
        }
        if self.empty.is_empty() {
            self.fetch();
        }
        self.empty.last_mut()?.room(length)
    }

    /// Queues the first `length` bytes of the room last reserved, with what the device has to do
    /// to them.
    pub(crate) fn commit(&mut self, length: usize, flags: u64, lengths: u64) {
        if self.outgoing.is_full() {
            return;
        }
        if let Some(mut mbuf) = self.empty.pop() {
            mbuf.finish(length, flags, lengths);
            self.outgoing.push(mbuf);
        }
    }

    /// The room last reserved, up to `length`.
    pub(crate) fn reserved(&mut self, length: usize) -> Option<&mut [u8]> {
        self.empty.last_mut()?.room(length)
    }

    /// Gives the frames that wait to the device. How many it took.
    pub(crate) fn send(&mut self) -> usize {
        if self.outgoing.is_empty() {
            return 0;
        }
        // SAFETY: the device runs as long as its queues exist, and this is the only one with this
        // number. As many pointers to buffers are there, to which `Mbuf` is transparent.
        let taken = unsafe {
            ffi::_rte_eth_tx_burst(
                self.device.id(),
                self.number,
                self.outgoing.as_mut_ptr().cast(),
                self.outgoing.len() as u16,
            )
        };
        let taken = usize::from(taken).min(self.outgoing.len());
        // Those that were taken are the driver's now: nothing is freed here.
        self.outgoing.drain(..taken).for_each(std::mem::forget);
        // What the driver gave back while it sent is still warm.
        self.fetch();
        taken
    }

    /// Frames that the device has yet to take.
    pub(crate) fn waiting(&self) -> usize {
        self.outgoing.len()
    }

    /// Loses the frames that wait; how many.
    pub(crate) fn discard(&mut self) -> usize {
        let count = self.outgoing.len();
        free(&mut self.outgoing);
        count
    }

    /// Takes empty buffers from the pool, up to a burst; one where it does not have as many.
    fn fetch(&mut self) {
        let before = self.empty.len();
        let missing = BURST - before;
        if missing == 0 {
            return;
        }
        // SAFETY: the pool exists as long as the process, and there is room for as many pointers behind
        // those that are there, to which `Mbuf` is transparent.
        let refused = unsafe {
            ffi::_rte_pktmbuf_alloc_bulk(
                self.pool.as_ptr(),
                self.empty.as_mut_ptr().add(before).cast(),
                missing as u32,
            )
        };
        if refused == 0 {
            // SAFETY: all of them were written, and are ours now.
            unsafe { self.empty.set_len(BURST) };
            return;
        }
        if before > 0 {
            return;
        }
        // SAFETY: the pool exists as long as the process, and what it returns is ours.
        if let Some(mbuf) = unsafe { Mbuf::from_raw(ffi::_rte_pktmbuf_alloc(self.pool.as_ptr())) } {
            self.empty.push(mbuf);
        }
    }
}

impl Drop for QueuePair {
    fn drop(&mut self) {
        free(&mut self.received);
        free(&mut self.empty);
        free(&mut self.outgoing);
        let own = std::iter::once(Orphan(self.number));
        for queue in own.chain(self.adopted.drain(..)) {
            self.device.leave(queue);
        }
    }
}

/// Gives buffers back to their pools.
fn free<const N: usize>(mbufs: &mut ArrayVec<Mbuf, N>) {
    if mbufs.is_empty() {
        return;
    }
    // SAFETY: as many pointers to buffers are there, each owned, to which `Mbuf` is transparent.
    unsafe { ffi::rte_pktmbuf_free_bulk(mbufs.as_mut_ptr().cast(), mbufs.len() as u32) };
    mbufs.drain(..).for_each(std::mem::forget);
}
