//! Where things are in a region.
//!
//! A region is one memfd: a header page, a doorbell for each worker of the engine and one for the
//! application, thread blocks, socket slots, and per socket two rings of bytes. All offsets follow from four numbers, which the
//! engine chooses and tells in `Attached`; each side computes them from its own copy, never from
//! shared memory.

use crate::abi::{ABI_VERSION, REGION_MAGIC};
use crate::slot::SocketSlot;
use crate::sync::{AtomicU32, AtomicU64};
use crate::thread_block::ThreadBlockWords;
use std::error::Error;
use std::fmt;

/// The unit of mapping and of giving memory back.
pub const PAGE: u64 = 4096;
/// Most sockets of a region: 16 summary words of 64 words of 64 bits.
pub const MAX_SOCKETS: u32 = 65_536;
/// Most thread blocks of a region: the bits of one word.
pub const MAX_THREADS: u32 = 64;
/// Most workers of an engine.
pub const MAX_WORKERS: u8 = 32;
/// Smallest ring of bytes.
pub const MIN_RING_BYTES: u64 = PAGE;
/// Largest ring of bytes.
pub const MAX_RING_BYTES: u64 = 64 << 20;
/// Largest region.
pub const MAX_REGION_BYTES: u64 = 1 << 40;
/// Words of the doorbell's summary.
pub(crate) const SUMMARY_WORDS: usize = 16;

/// The numbers that a region follows from, checked.
///
/// ```
/// use braid_shm::layout::RegionLayout;
/// let layout = RegionLayout::new(4096, 64, 256 << 10)?;
/// assert!(layout.total_bytes() > 4096 * 2 * (256 << 10));
/// assert!(RegionLayout::new(4096, 64, 1000).is_err());
/// # Ok::<(), braid_shm::layout::LayoutError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegionLayout {
    sockets: u32,
    threads: u32,
    ring_bytes: u64,
    workers: u8,
}

/// Why numbers make no region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayoutError {
    /// Not 1 to 65,536 sockets.
    Sockets(u32),
    /// Not 1 to 64 thread blocks.
    Threads(u32),
    /// Not a power of two from 4 KiB to 64 MiB.
    RingBytes(u64),
    /// Not 1 to 32 workers.
    Workers(u32),
    /// More than a terabyte altogether.
    TooLarge(u64),
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sockets(sockets) => {
                write!(
                    f,
                    "a region of {sockets} sockets: it takes 1 to {MAX_SOCKETS}"
                )
            }
            Self::Threads(threads) => {
                write!(
                    f,
                    "a region of {threads} thread blocks: it takes 1 to {MAX_THREADS}"
                )
            }
            Self::RingBytes(bytes) => write!(
                f,
                "rings of {bytes} bytes: it takes a power of two from {MIN_RING_BYTES} to {MAX_RING_BYTES}"
            ),
            Self::Workers(workers) => {
                write!(
                    f,
                    "a region for {workers} workers: it takes 1 to {MAX_WORKERS}"
                )
            }
            Self::TooLarge(bytes) => write!(
                f,
                "a region of {bytes} bytes: at most {MAX_REGION_BYTES}; take fewer sockets or smaller rings"
            ),
        }
    }
}

impl Error for LayoutError {}

impl Default for RegionLayout {
    fn default() -> Self {
        Self {
            sockets: 4096,
            threads: 64,
            ring_bytes: 256 << 10,
            workers: 1,
        }
    }
}

impl RegionLayout {
    /// A region of `sockets` slots, `threads` thread blocks, and two rings of `ring_bytes` a socket,
    /// of an engine with one worker.
    pub fn new(sockets: u32, threads: u32, ring_bytes: u64) -> Result<Self, LayoutError> {
        if sockets == 0 || sockets > MAX_SOCKETS {
            return Err(LayoutError::Sockets(sockets));
        }
        if threads == 0 || threads > MAX_THREADS {
            return Err(LayoutError::Threads(threads));
        }
        if !ring_bytes.is_power_of_two() || !(MIN_RING_BYTES..=MAX_RING_BYTES).contains(&ring_bytes)
        {
            return Err(LayoutError::RingBytes(ring_bytes));
        }
        Self {
            sockets,
            threads,
            ring_bytes,
            workers: 1,
        }
        .bounded()
    }

    /// The same for an engine with so many workers.
    pub fn with_workers(self, workers: u32) -> Result<Self, LayoutError> {
        match u8::try_from(workers) {
            Ok(workers @ 1..=MAX_WORKERS) => Self { workers, ..self }.bounded(),
            _ => Err(LayoutError::Workers(workers)),
        }
    }

    fn bounded(self) -> Result<Self, LayoutError> {
        match self.total_bytes() {
            total if total > MAX_REGION_BYTES => Err(LayoutError::TooLarge(total)),
            _ => Ok(self),
        }
    }

    /// Socket slots.
    pub fn sockets(&self) -> u32 {
        self.sockets
    }

    /// Thread blocks.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// Bytes of each ring; a power of two.
    pub fn ring_bytes(&self) -> u64 {
        self.ring_bytes
    }

    /// Workers of the engine, each with a doorbell.
    pub fn workers(&self) -> u8 {
        self.workers
    }

    /// Offset of a worker's doorbell, if there is one of that number: the words of
    /// [`SlotDoorbellWords`], and behind them the bits.
    pub(crate) fn doorbell_offset(&self, worker: u32) -> Option<u64> {
        (worker < self.workers.into()).then(|| PAGE + u64::from(worker) * self.doorbell_bytes())
    }

    /// Offset of the application's doorbell, which is as those of the workers.
    pub(crate) fn ready_offset(&self) -> u64 {
        PAGE + u64::from(self.workers) * self.doorbell_bytes()
    }

    /// Words of a doorbell's bits, one bit for each socket.
    pub(crate) fn doorbell_words(&self) -> usize {
        self.sockets.div_ceil(64) as usize
    }

    /// A doorbell shares no line of cache with another one.
    fn doorbell_bytes(&self) -> u64 {
        let bits = 8 * self.doorbell_words() as u64;
        (size_of::<SlotDoorbellWords>() as u64 + bits).next_multiple_of(64)
    }

    fn threads_offset(&self) -> u64 {
        page_up(self.ready_offset() + self.doorbell_bytes())
    }

    fn slots_offset(&self) -> u64 {
        self.threads_offset() + u64::from(self.threads) * size_of::<ThreadBlockWords>() as u64
    }

    fn rings_offset(&self) -> u64 {
        page_up(self.slots_offset() + u64::from(self.sockets) * size_of::<SocketSlot>() as u64)
    }

    /// Offset of a thread block, if there is one of that number.
    pub fn thread_offset(&self, thread: u32) -> Option<u64> {
        let size = size_of::<ThreadBlockWords>() as u64;
        (thread < self.threads).then(|| self.threads_offset() + u64::from(thread) * size)
    }

    /// Offset of a socket's slot, if there is one of that number.
    pub fn slot_offset(&self, slot: u32) -> Option<u64> {
        let size = size_of::<SocketSlot>() as u64;
        (slot < self.sockets).then(|| self.slots_offset() + u64::from(slot) * size)
    }

    /// Offset of the ring from the application to the engine.
    pub fn transmit_ring_offset(&self, slot: u32) -> Option<u64> {
        (slot < self.sockets).then(|| self.rings_offset() + u64::from(slot) * 2 * self.ring_bytes)
    }

    /// Offset of the ring from the engine to the application.
    pub fn receive_ring_offset(&self, slot: u32) -> Option<u64> {
        self.transmit_ring_offset(slot)
            .map(|offset| offset + self.ring_bytes)
    }

    /// Bytes of the region.
    pub fn total_bytes(&self) -> u64 {
        self.rings_offset() + u64::from(self.sockets) * 2 * self.ring_bytes
    }
}

fn page_up(offset: u64) -> u64 {
    offset.next_multiple_of(PAGE)
}

/// A value on a cache line of its own.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Line<T>(pub(crate) T);

/// The first page of a region.
#[repr(C, align(4096))]
#[derive(Debug)]
pub(crate) struct RegionHeader {
    pub(crate) magic: AtomicU64,
    /// Stored last: until then the region is not there.
    pub(crate) version: AtomicU32,
    pub(crate) sockets: AtomicU32,
    pub(crate) threads: AtomicU32,
    pub(crate) workers: AtomicU32,
    pub(crate) ring_bytes: AtomicU64,
    /// 1 while the engine serves this region.
    pub(crate) engine_alive: Line<AtomicU32>,
    /// 1 while the control thread is about to sleep, or sleeps.
    pub(crate) control_sleeping: Line<AtomicU32>,
    /// One bit: whether `command_bits` is worth a look.
    pub(crate) command_summary: Line<[AtomicU64; 1]>,
    /// A bit for each thread block with commands.
    pub(crate) command_bits: Line<[AtomicU64; 1]>,
}

impl RegionHeader {
    pub(crate) fn is_whole(&self, layout: &RegionLayout) -> bool {
        use crate::sync::Ordering::{Acquire, Relaxed};
        self.version.load(Acquire) == ABI_VERSION
            && self.magic.load(Relaxed) == REGION_MAGIC
            && self.sockets.load(Relaxed) == layout.sockets
            && self.threads.load(Relaxed) == layout.threads
            && self.workers.load(Relaxed) == layout.workers.into()
            && self.ring_bytes.load(Relaxed) == layout.ring_bytes
    }
}

/// What stands before the bits of a doorbell with one for each slot.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct SlotDoorbellWords {
    /// 1 while who answers is about to sleep, or sleeps.
    pub(crate) sleeping: Line<AtomicU32>,
    /// A bit for each word of the bits.
    pub(crate) summary: Line<[AtomicU64; SUMMARY_WORDS]>,
}

const _: () = {
    assert!(size_of::<RegionHeader>() == PAGE as usize);
    assert!(std::mem::offset_of!(RegionHeader, version) == 8);
    assert!(std::mem::offset_of!(RegionHeader, ring_bytes) == 24);
    assert!(std::mem::offset_of!(RegionHeader, engine_alive) == 64);
    assert!(std::mem::offset_of!(RegionHeader, control_sleeping) == 128);
    assert!(std::mem::offset_of!(RegionHeader, command_summary) == 192);
    assert!(std::mem::offset_of!(RegionHeader, command_bits) == 256);
    assert!(size_of::<SlotDoorbellWords>() == 192);
    assert!(size_of::<ThreadBlockWords>().is_multiple_of(PAGE as usize));
    assert!(size_of::<SocketSlot>().is_multiple_of(64));
    assert!(MAX_SOCKETS as usize <= SUMMARY_WORDS * 64 * 64);
};
