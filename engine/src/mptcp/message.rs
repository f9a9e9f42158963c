//! The messages between a subflow and the home of its connection.
//!
//! A subflow lives on the core its packets arrive at; connection state lives on one core, the
//! home. They share nothing but these messages, which are in order per subflow and direction and may be
//! late, and the [`Published`] block that home writes and every subflow reads. With both on one
//! core the messages are plain calls.

use crate::congestion::{ControllerKind, Coupling};
use crate::mptcp::crypto::DigestedKey;
use crate::sequence::DataSequenceNumber;
use crate::storage::frame::Frame;
use crate::wire::mptcp_option::{MptcpOption, ResetReason};
use arrayvec::ArrayVec;
use core::ops::Range;

pub use crate::tcp::{Doubt, Progress};

/// What every subflow must stamp on its segments, written by home alone.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Published {
    /// The next data sequence number home expects: DATA_ACK.
    pub data_ack: DataSequenceNumber,
    /// The data sequence number just past the receive window; never moves left.
    pub window_edge: DataSequenceNumber,
    /// The peer has sent a 64-bit DSN, so DATA_ACKs are 64 bits too.
    pub long_data_ack: bool,
    /// DATA_ACKs and mappings are in use; false before the peer's key is known and after fallback.
    pub multipath: bool,
    /// The congestion coupling of the subflows.
    pub coupling: Coupling,
    /// Latency counts: a subflow probes for a lost tail promptly
    /// ([`TcbConfig::prompt_probe`](crate::tcp::TcbConfig::prompt_probe)).
    pub prompt_probe: bool,
    /// Bytes of memory that each subflow may hold of received data that waits on it. More is to be
    /// asked for by [`ToHome::Allowance`].
    pub share: u64,
}

/// How the handshake of a subflow ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Establishment {
    /// The first subflow, with MPTCP.
    Capable {
        /// The peer's key.
        remote_key: DigestedKey,
        /// DSS checksums are in use.
        checksum: bool,
        /// The peer allows joins to the address and port of the first subflow.
        join_to_this_address: bool,
    },
    /// The first subflow, without MPTCP. Data is taken in the order it is delivered, whatever its
    /// data sequence numbers.
    Plain(FallbackReason),
    /// A further subflow; ready for data.
    Joined {
        /// The peer's identifier of its address.
        remote_address_id: u8,
        /// The peer asked for backup use.
        backup: bool,
    },
}

/// Why a connection is regular TCP (RFC 8684 section 3.7).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum FallbackReason {
    /// MPTCP was not asked for on this side.
    Disabled,
    /// The peer's SYN or SYN/ACK had no usable MP_CAPABLE.
    PeerNotCapable,
    /// MP_CAPABLE SYNs got no answer; a plain SYN did.
    SynDropped,
    /// The SYNs of both sides crossed.
    SimultaneousOpen,
    /// The third ACK or the first data came without MP_CAPABLE or DSS.
    OptionsStripped,
    /// Data came without a mapping before multipath was confirmed.
    NoMapping,
    /// The data was acknowledged without a DATA_ACK.
    NoDataAck,
    /// No byte was ever sent, and the DATA_FIN was taken in without a DATA_ACK.
    NoDataFinAck,
    /// A checksum failed on the only subflow, with contiguous data.
    ChecksumFailed,
    /// The peer sent an infinite mapping or MP_FAIL.
    PeerFellBack,
}

impl FallbackReason {
    /// The name in lists and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::PeerNotCapable => "peer-not-capable",
            Self::SynDropped => "syn-dropped",
            Self::SimultaneousOpen => "simultaneous-open",
            Self::OptionsStripped => "options-stripped",
            Self::NoMapping => "no-mapping",
            Self::NoDataAck => "no-data-ack",
            Self::NoDataFinAck => "no-data-fin-ack",
            Self::ChecksumFailed => "checksum-failed",
            Self::PeerFellBack => "peer-fell-back",
        }
    }
}

/// How received bytes come by their data sequence numbers.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Numbering {
    /// A mapping of the peer says so, or its infinite mapping.
    Mapped,
    /// Nothing does: each byte follows the one before (RFC 8684 section 3.7).
    Identity,
}

/// Why a subflow is gone.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum SubflowEnd {
    /// FINs went and were acknowledged both ways.
    Closed,
    /// The peer reset it.
    ResetByPeer {
        /// The reason of MP_TCPRST, if there was one.
        reason: Option<ResetReason>,
        /// MP_TCPRST said that the condition may pass.
        transient: bool,
    },
    /// This side reset it.
    ResetHere(Option<ResetReason>),
    /// The peer refused the SYN with a RST.
    Refused,
    /// SYNs, data or keepalives went unanswered for too long.
    TimedOut,
    /// ICMP reported the destination unreachable during the handshake.
    Unreachable,
}

/// From a subflow to its home.
#[derive(Debug)]
pub enum ToHome {
    /// The handshake is complete.
    Established(Establishment),
    /// The first DSS has arrived on the first subflow: MPTCP works end to end.
    Confirmed,
    /// The first subflow found that the path does not carry MPTCP. It takes the identity mapping from here on.
    FellBack {
        /// Why.
        reason: FallbackReason,
        /// The data sequence number by which the identity mapping goes on.
        next: DataSequenceNumber,
    },
    /// Bytes in order on the subflow, with the data sequence number of the first.
    Data {
        /// Data sequence number of the first byte of `range`.
        data_sequence: DataSequenceNumber,
        /// How it came by that number.
        numbering: Numbering,
        /// The frame that holds the bytes.
        frame: Frame,
        /// Where in the frame's bytes they lie.
        range: Range<usize>,
        /// The mapping used a 64-bit DSN.
        long: bool,
    },
    /// A DATA_FIN: the data sequence number it takes.
    DataFin {
        /// Its data sequence number.
        data_sequence: DataSequenceNumber,
    },
    /// A DATA_ACK with the window that came beside it.
    DataAck {
        /// Next data sequence number that the peer expects (already widened to 64 bits near the given send state).
        data_ack: crate::wire::mptcp_option::DataNumber,
        /// Window in bytes.
        window: u32,
    },
    /// The shape has changed: acknowledgments, room, losses.
    Progress(Progress),
    /// Received data waits on the subflow: it would hold so many bytes of memory beside its share.
    /// Answered by [`ToSubflow::Allowance`], and not sent again before that. Less than was allowed
    /// gives the rest back, which the subflow uses no more.
    Allowance {
        /// How many.
        wanted: u64,
    },
    /// An MPTCP option that concerns the connection: ADD_ADDR, REMOVE_ADDR, MP_PRIO, MP_FAIL, MP_FASTCLOSE.
    Option(MptcpOption),
    /// Data of this mapping failed its checksum and was not passed on. The subflow keeps it until
    /// [`ToSubflow::FallBack`] makes it plain data or [`ToSubflow::Reset`] drops it.
    ChecksumFailed {
        /// Start of the mapping.
        data_sequence: DataSequenceNumber,
    },
    /// Data came without a valid mapping after MPTCP was confirmed.
    BadMapping,
    /// The peer's FIN is in order: no more bytes on this subflow.
    Finished,
    /// A retransmission timeout, or a prompt probe without an answer: data in flight should travel
    /// elsewhere.
    Stalled,
    /// Bytes still in flight have been copied; home may release them (answers [`ToSubflow::Retain`]).
    Retained,
    /// The last message of a subflow.
    Ended(SubflowEnd),
}

/// What a reset carries.
pub type ResetOptions = ArrayVec<MptcpOption, 2>;

/// Bytes of the connection's send buffer that a subflow is to send.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// First byte.
    pub data_sequence: DataSequenceNumber,
    /// Number of bytes, at least one.
    pub length: u16,
    /// DSS checksum over the mapping, where in use.
    pub checksum: Option<u16>,
    /// The sender has no more for now: set PSH on the last segment.
    pub push: bool,
}

/// From home to a subflow.
#[derive(Clone, Debug)]
pub enum ToSubflow {
    /// Send these bytes, after all granted before.
    Grant(Grant),
    /// Send a DATA_FIN that takes this data sequence number, once.
    DataFin {
        /// Its data sequence number.
        data_sequence: DataSequenceNumber,
    },
    /// Received data that waits may take so many bytes of memory beside the share of each subflow
    /// (answers [`ToHome::Allowance`]).
    Allowance {
        /// How many.
        granted: u64,
    },
    /// Send an acknowledgment now: the window has opened, or a DATA_FIN wants its answer.
    Acknowledge,
    /// DATA_ACK covers data of this subflow which its own acknowledgments may have left behind:
    /// send one unless one is due anyway.
    DataAckMoved,
    /// Send this option on an acknowledgment, once.
    Signal(MptcpOption),
    /// Probe the peer's closed window or its life: a segment that must be answered. The answer is
    /// told to home by [`ToHome::DataAck`] or [`ToHome::Progress`], even if it changes nothing.
    Probe,
    /// MPTCP is over on this connection: identity mapping in both directions; with `infinite`,
    /// say so to the peer by an infinite mapping that starts there.
    FallBack {
        /// First data sequence number of the infinite mapping.
        infinite: Option<DataSequenceNumber>,
    },
    /// This side wants the path used as backup only, or no longer.
    SetBackup(
        /// The local backup flag of the path.
        bool,
    ),
    /// Copy the granted and unacknowledged bytes that lie before this point: home wants to release them.
    Retain {
        /// Up to here.
        until: DataSequenceNumber,
    },
    /// Reduce the congestion window as after a loss: what the path carries holds up faster ones.
    SlowDown,
    /// Run this congestion controller from now on.
    SetController(ControllerKind),
    /// OLIA's alpha of this subflow, which follows from all of them
    /// ([`Shift::alpha`](crate::congestion::Shift::alpha)).
    SetShift(f64),
    /// TCP_NODELAY.
    SetNoDelay(bool),
    /// TCP_CORK.
    SetCork(bool),
    /// SO_KEEPALIVE.
    SetKeepalive(Option<crate::tcp::Keepalive>),
    /// TCP_USER_TIMEOUT.
    SetUserTimeout(Option<crate::time::Duration>),
    /// Send FIN after what was granted.
    Close,
    /// Send RST with these options and end.
    Reset {
        /// MP_TCPRST, MP_FAIL or MP_FASTCLOSE.
        options: ResetOptions,
    },
}
