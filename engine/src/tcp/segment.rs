//! What goes in and out of [`Tcb`](super::Tcb): payloads in, plans and emissions out.

use crate::storage::frame::Frame;
use crate::wire::tcp::TcpHeader;
use core::ops::Range;

/// The payload of a received segment.
#[derive(Debug)]
pub struct Payload {
    /// The frame that holds it.
    pub frame: Frame,
    /// Where in the frame's bytes it lies.
    pub range: Range<usize>,
    /// How many segments of the wire the port coalesced into this one; at least 1.
    pub segments: u16,
}

/// What a received segment changed.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// The segment is in the window and not from a former life: its MPTCP options may be read.
    pub acceptable: bool,
    /// The segment completed the handshake.
    pub established: bool,
    /// Bytes of the send stream newly acknowledged in order.
    pub acked: u32,
    /// The peer's window has changed.
    pub window_update: bool,
    /// The peer's FIN is now in order: no more bytes after those of `take_in_order`.
    pub fin: bool,
    /// A duplicate acknowledgment in the sense of RFC 5681 section 2.
    pub duplicate_ack: bool,
    /// The segment reset the connection.
    pub reset: bool,
    /// Loss recovery began with this segment.
    pub fast_retransmit: bool,
}

/// A piece of the receive stream, in order.
#[derive(Debug)]
pub struct InOrder {
    /// Offset of the first byte in the stream.
    pub offset: u64,
    /// The frame that holds the bytes.
    pub frame: Frame,
    /// Where in the frame's bytes they lie.
    pub range: Range<usize>,
}

/// What kind of segment is due.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PlanKind {
    /// A SYN; the first is attempt 0.
    Syn {
        /// How many SYNs went before.
        attempt: u8,
    },
    /// A SYN/ACK of a simultaneous open, or a repeated one.
    SynAck,
    /// Bytes of the send stream.
    Data {
        /// They were sent before.
        retransmission: bool,
    },
    /// A FIN without data.
    Fin,
    /// A pure acknowledgment.
    Ack,
    /// A segment without data that the peer must answer.
    Probe,
    /// A RST.
    Reset,
}

/// What is due next; made by [`Tcb::plan`](super::Tcb::plan), consumed by
/// [`Tcb::commit`](super::Tcb::commit).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What kind of segment.
    pub kind: PlanKind,
    /// Offset in the send stream of the first byte that may go; of the stream's end when
    /// the segment carries no data.
    pub offset: u64,
    /// Bytes that may be sent from `offset`; 0 unless the kind is `Data`.
    pub available: u32,
}

/// What the caller will put in the segment, and its limits.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// Bytes of the MPTCP options that the caller will add; a multiple of 4.
    pub mptcp_option_length: usize,
    /// The most bytes of payload, because a mapping ends there; at least 1 for data.
    pub max_payload: u32,
    /// The most segments the emission may be split to by segmentation offload; 1 without.
    pub max_segments: u16,
    /// The most payload bytes a frame takes.
    pub max_frame_payload: u32,
}

impl Default for Content {
    /// No MPTCP options and no segmentation offload.
    fn default() -> Self {
        Self {
            mptcp_option_length: 0,
            max_payload: u32::MAX,
            max_segments: 1,
            max_frame_payload: u32::MAX,
        }
    }
}

/// A segment to send: complete but for ports, MPTCP options and the payload itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Emission {
    /// The header; ports are 0 and `options.mptcp` is empty.
    pub header: TcpHeader,
    /// Offset of the payload in the send stream.
    pub offset: u64,
    /// Bytes of payload.
    pub length: u32,
    /// Payload bytes per segment where the emission is to be split; at least 1.
    pub segment_size: u16,
    /// The payload was sent before.
    pub retransmission: bool,
    /// The header carries FIN.
    pub fin: bool,
    /// The IP header is to say ECT(0) (RFC 3168 section 6.1.1).
    pub ecn_capable: bool,
}

/// What [`Tcb::advance`](super::Tcb::advance) brought about.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Advanced {
    /// A retransmission timeout fired, or a tail loss probe went unanswered.
    pub stalled: bool,
    /// The subflow reached CLOSED.
    pub closed: bool,
}
