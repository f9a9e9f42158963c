//! TCP options (RFC 9293 section 3.2; window scale and timestamps RFC 7323; SACK RFC 2018).

use super::mptcp_option::MptcpOption;
use crate::sequence::SequenceNumber;
use arrayvec::ArrayVec;

/// The bytes that options can take in one segment.
pub const OPTION_SPACE: usize = 40;

/// At most this many MPTCP options are kept of one segment; further ones are ignored.
pub const MAX_MPTCP_OPTIONS: usize = 4;

/// A run of bytes that the receiver holds out of order: `start..end`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SackBlock {
    /// First sequence number of the run.
    pub start: SequenceNumber,
    /// The sequence number just past the run.
    pub end: SequenceNumber,
}

/// The timestamps option.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the clock value echoed; meaningful with ACK.
    pub echo: u32,
}

/// Every option of a segment that this implementation knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TcpOptions {
    /// Maximum segment size; on SYN only.
    pub maximum_segment_size: Option<u16>,
    /// Window scale shift, at most 14; on SYN only.
    pub window_scale: Option<u8>,
    /// SACK may be sent to the sender of this option; on SYN only.
    pub sack_permitted: bool,
    /// Blocks held out of order; the most recent first.
    pub sack: ArrayVec<SackBlock, 4>,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// The MPTCP options in the order of the segment.
    pub mptcp: ArrayVec<MptcpOption, MAX_MPTCP_OPTIONS>,
}
