//! What a stack and the ports it drives tell each other about a frame.
//!
//! A port says once what it can take over ([`Capabilities`]); from then on each received frame
//! comes with a [`ReceiveMeta`], and each frame the stack fills in place through
//! [`TransmitBatch`] leaves with a [`TransmitMeta`]. The offloads are those of virtio-net
//! (VIRTIO 1.2, section 5.1.6): a TCP checksum left to be completed, and one frame that stands
//! for many segments of the same size. A port that hands frames over within the process takes them as
//! they lie in the stack's memory ([`TransmitBatch::attach`]).

use core::ops::Range;
use std::sync::Arc;

/// Index of a port of the stack.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PortId(pub u16);

/// What a port takes over from the stack.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// The port completes TCP checksums on transmit ([`ChecksumOffload::Partial`]). On receive,
    /// [`ReceiveMeta::checksum`] says for each frame what was verified.
    pub checksum: bool,
    /// One frame may carry up to 64 KiB that the port cuts into segments
    /// ([`TransmitMeta::segmentation`]). Implies `checksum`.
    pub segmentation: bool,
    /// The port copies no frames, but hands them over: those of shared memory too
    /// ([`TransmitBatch::attach`]).
    pub attach: bool,
    /// The largest frame that can be reserved, in bytes from the Ethernet header on. With
    /// `segmentation` this is far above the MTU of the link, which still bounds each segment.
    pub max_frame: usize,
}

/// What is known of the TCP checksum of a received frame.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum ReceivedChecksum {
    /// Nothing: the stack has to verify it.
    #[default]
    Unknown,
    /// The port verified it.
    Verified,
    /// The sender is on this host and left the checksum to be filled by hardware that the frame
    /// never reached: the field is incomplete and the data is trusted.
    Partial,
}

/// What a port says about a frame it received.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct ReceiveMeta {
    /// The port the frame came in by.
    pub port: PortId,
    /// What is known of its TCP checksum.
    pub checksum: ReceivedChecksum,
    /// The frame was coalesced from segments with this many bytes of payload each (the last may
    /// be shorter), or never cut into them. Not zero.
    pub segment_size: Option<u16>,
}

/// Who completes the TCP checksum of a frame to be sent.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum ChecksumOffload {
    /// Nobody: the stack filled it, or the frame has none.
    #[default]
    Complete,
    /// The port. The checksum field holds the folded, not inverted sum of the pseudo-header; the
    /// port adds everything from `start` to the end of the frame and writes the inverse. The
    /// length in the pseudo-header is that of this frame, before segmentation.
    Partial {
        /// Where the TCP header starts, in bytes from the start of the frame.
        start: u16,
        /// Where the checksum field lies, in bytes from `start` (16 for TCP).
        offset: u16,
    },
}

/// How the port cuts a frame into segments.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Segmentation {
    /// The segments are TCP over IPv6; otherwise over IPv4.
    pub ipv6: bool,
    /// Bytes of Ethernet, IP and TCP headers, which every segment gets a copy of.
    pub header_length: u16,
    /// Bytes of payload of every segment but the last. Not zero.
    pub segment_size: u16,
}

/// What the stack says about a frame to be sent.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct TransmitMeta {
    /// Who completes the TCP checksum.
    pub checksum: ChecksumOffload,
    /// How to cut the frame; `None` for a frame that is sent as it is. Needs a partial checksum.
    pub segmentation: Option<Segmentation>,
}

/// Room for frames to be filled in place, bounded by what the ports can take now.
pub trait TransmitBatch {
    /// How many frames of any size `port` takes at least before [`Self::reserve`] says no, as far as
    /// that is known beforehand. A segment is cut into no more of them.
    fn room(&self, _port: PortId) -> usize {
        1
    }

    /// Room for a frame of `length` bytes on `port`, or `None` when the port is full or cannot
    /// carry a frame of this length: then nothing was sent and the stack tries again later.
    ///
    /// The bytes hold whatever was there before. Reserving again without a commit gives up the
    /// room reserved before.
    fn reserve(&mut self, port: PortId, length: usize) -> Option<&mut [u8]>;

    /// Sends the first `length` bytes of the room last reserved on `port`.
    fn commit(&mut self, port: PortId, length: usize, meta: TransmitMeta);

    /// Sends, in place of the room last reserved on `port`, the bytes `filled` of `memory`, which nobody
    /// writes to until all have let go of it.
    fn attach(
        &mut self,
        port: PortId,
        memory: Arc<[u8]>,
        filled: Range<usize>,
        meta: TransmitMeta,
    ) {
        let bytes = memory.get(filled).unwrap_or_default();
        if let Some(room) = self.reserve(port, bytes.len()) {
            room.copy_from_slice(bytes);
            self.commit(port, bytes.len(), meta);
        }
    }
}
