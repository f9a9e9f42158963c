//! Ports: where Ethernet frames enter and leave.
//!
//! | port | reaches | offloads |
//! |---|---|---|
//! | [`memory`] | another stack in this process | checksum and segmentation, both by nature; frames are handed over |
//! | [`tap`] | this host's kernel | through `virtio_net_hdr` |
//! | [`af_packet`] | the wire, or a veth | through `virtio_net_hdr` |
//! | `dpdk` (with the feature of this name) | the wire, past the kernel | as the device can |
//! | [`impaired`] | any port, over a link that goes wrong | none |
//! | [`pcap`] | any port, writing what passes to a file | those of the port |
//!
//! A port has one queue or several, each of them a [`Port`] that one worker owns and calls in bursts. [`AnyPort`] dispatches without a virtual
//! call. A port never blocks, and what it cannot take it refuses or counts as lost
//! ([`PortCounters`]): a link that is down looks to the engine like a link that loses everything.

pub mod af_packet;
mod any;
mod attachment;
#[cfg(feature = "dpdk")]
pub mod dpdk;
mod error;
pub mod impaired;
pub mod interface;
pub mod memory;
pub mod pcap;
pub mod tap;
mod virtio;

use std::iter::Sum;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use arrayvec::ArrayVec;
use braid_engine::stack::{Capabilities, PortId, ReceiveMeta, TransmitMeta};
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::time::Instant;

pub use any::AnyPort;
pub use error::PortError;

/// How many frames one call of [`Port::receive`] brings at most.
pub const BURST: usize = 64;

/// The largest frame a port with segmentation takes, in bytes from the Ethernet header on.
///
/// With one byte more Linux would cut the frame before it reaches the device (`gso_max_size`).
pub const LARGEST_FRAME: usize = 65_535;

/// Capacity of a [`FramePool`] whose frames can hold what any port receives: the 65,535 bytes
/// that the length field of IP can state, the Ethernet and IPv6 headers which that does not
/// count, and the header a port may put before them.
pub const POOL_FRAME_CAPACITY: usize = 65_664;

/// A frame that came in by a port.
#[derive(Debug)]
pub struct Received {
    /// The frame, from the Ethernet header on.
    pub frame: Frame,
    /// What the port says about it.
    pub meta: ReceiveMeta,
}

/// The frames of one burst.
pub type Burst = ArrayVec<Received, BURST>;

/// Why a frame that came in is not handed to the engine.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum LeftOut {
    /// The engine has no use for it: it is longer than a pool frame, or tagged for a VLAN.
    Unfit,
    /// What the kernel says of it contradicts itself or the frame.
    Malformed,
}

/// Appends to `burst` what `next` brings, until it brings nothing or the burst is full, and says
/// how many frames that is.
///
/// A burst bounds the frames looked at too, so that those left out cannot hold the worker.
fn fill(
    burst: &mut Burst,
    counters: &mut PortCounters,
    mut next: impl FnMut() -> Option<Result<Received, LeftOut>>,
) -> usize {
    let before = burst.len();
    for _ in before..burst.capacity() {
        match next() {
            Some(Ok(received)) => {
                counters.count_received(received.frame.bytes().len());
                burst.push(received);
            }
            Some(Err(LeftOut::Unfit)) => counters.receive_dropped += 1,
            Some(Err(LeftOut::Malformed)) => counters.receive_malformed += 1,
            None => break,
        }
    }
    burst.len() - before
}

macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident => $name:literal,)*) => {
        /// What a port has done so far.
        #[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
        pub struct PortCounters {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl PortCounters {
            /// Every counter with its name, in the manner of the engine's own.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$(($name, self.$field),)*].into_iter()
            }
        }

        /// What all queues of a port have done.
        impl Sum for PortCounters {
            fn sum<I: Iterator<Item = Self>>(queues: I) -> Self {
                queues.fold(Self::default(), |sum, queue| Self {
                    $($field: sum.$field + queue.$field,)*
                })
            }
        }
    };
}

counters! {
    /// Frames handed to the engine.
    received_frames => "PortInFrames",
    /// Their bytes.
    received_bytes => "PortInBytes",
    /// Frames the port lost or left out on receive: its queue was full, or the frame was longer
    /// than a pool frame or tagged for a VLAN.
    receive_dropped => "PortInDropped",
    /// Frames left out because what the kernel said of them contradicted itself or the frame: the
    /// `virtio_net_hdr`, or the fields of a slot of a ring.
    receive_malformed => "PortInMalformed",
    /// Frames taken from the engine.
    transmitted_frames => "PortOutFrames",
    /// Their bytes.
    transmitted_bytes => "PortOutBytes",
    /// Frames taken from the engine and then refused by what is behind the port.
    transmit_dropped => "PortOutDropped",
    /// Calls of [`Port::reserve`] answered with `None`.
    transmit_full => "PortOutFull",
}

impl PortCounters {
    /// Counts a frame of `length` bytes that was handed to the engine.
    fn count_received(&mut self, length: usize) {
        self.received_frames += 1;
        self.received_bytes += length as u64;
    }

    /// Counts a frame of `length` bytes that was taken from the engine.
    fn count_transmitted(&mut self, length: usize) {
        self.transmitted_frames += 1;
        self.transmitted_bytes += length as u64;
    }
}

/// Where Ethernet frames enter and leave.
pub trait Port {
    /// What the port takes over from the engine. Never changes.
    fn capabilities(&self) -> Capabilities;

    /// Appends the frames that are waiting to `burst`, as many as it has room for, in buffers
    /// from `pool`, and says how many. Marks them as received by `port`.
    ///
    /// # Errors
    ///
    /// When the port is beyond use, as when its interface was deleted. A link that is down is no
    /// error.
    fn receive(
        &mut self,
        port: PortId,
        pool: &mut FramePool,
        burst: &mut Burst,
    ) -> Result<usize, PortError>;

    /// How many frames [`Port::reserve`] takes at least before it says no, as far as that is known
    /// beforehand.
    fn room(&self) -> usize {
        1
    }

    /// Room for a frame of `length` bytes, or `None` when there is none now or never (more than
    /// [`Capabilities::max_frame`]). The bytes hold whatever was there before. Reserving again
    /// without a commit gives up the room reserved before.
    fn reserve(&mut self, length: usize) -> Option<&mut [u8]>;

    /// Queues the first `length` bytes of the room last reserved.
    fn commit(&mut self, length: usize, meta: TransmitMeta);

    /// Queues, in place of the room last reserved, the bytes `filled` of `memory`, which nobody writes to until
    /// all have let go of it. Only a port that hands frames over ([`Capabilities::attach`]) need not copy them.
    fn attach(&mut self, memory: Arc<[u8]>, filled: Range<usize>, meta: TransmitMeta) {
        let bytes = memory.get(filled).unwrap_or_default();
        if let Some(room) = self.reserve(bytes.len()) {
            room.copy_from_slice(bytes);
            self.commit(bytes.len(), meta);
        }
    }

    /// Sends on their way all frames committed so far.
    ///
    /// # Errors
    ///
    /// As for [`Port::receive`].
    fn flush(&mut self) -> Result<(), PortError>;

    /// Becomes readable when frames wait, once [`Port::prepare_to_sleep`] has said yes.
    fn poll_fd(&self) -> BorrowedFd<'_>;

    /// Becomes readable when the port can go on sending, once [`Port::prepare_to_sleep`] has said
    /// yes; `None` while nothing holds it up, or where [`Port::poll_fd`] tells of this too.
    fn room_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// When, seen from `now`, [`Port::flush`] has more to do, without anything being committed;
    /// `None` when time alone makes no difference.
    fn flush_due(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// Whether frames that were flushed have yet to leave the port: the system has not taken
    /// them, or they are on an impaired link. Further calls of [`Port::flush`] move them on.
    fn transmit_pending(&self) -> bool {
        false
    }

    /// Called before waiting on [`Port::poll_fd`] and [`Port::room_fd`]: `false` when a frame is
    /// there already, or room for one that was refused, so that there is nothing to wait for.
    fn prepare_to_sleep(&mut self) -> bool {
        true
    }

    /// What the port has done so far.
    fn counters(&self) -> PortCounters;

    /// What the device behind it counts by itself, each with its driver's name for it. Not for the steps
    /// of a worker: it allocates, and may ask the device.
    fn device_counters(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}
