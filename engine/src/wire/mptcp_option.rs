//! MPTCP options, version 1: kind 30 (RFC 8684 section 3).

use crate::sequence::DataSequenceNumber;
use arrayvec::ArrayVec;
use core::net::IpAddr;

mod emit;
mod parse;

/// A host's key of a connection, as it stands in the option (big endian read to an integer).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key(pub u64);

/// What a key hashes to: names a connection in MP_JOIN.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Token(pub u32);

bitflags::bitflags! {
    /// The flags A to H of MP_CAPABLE.
    #[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
    pub struct CapableFlags: u8 {
        /// A: DSS checksums are required.
        const CHECKSUM_REQUIRED = 0x80;
        /// B: extensibility; when set the option is ignored.
        const EXTENSIBILITY = 0x40;
        /// C: no further subflows to this address and port.
        const NO_JOIN_TO_THIS_ADDRESS = 0x20;
        /// H: HMAC-SHA256.
        const HMAC_SHA256 = 0x01;
        const _ = !0;
    }
}

/// A data sequence number or data acknowledgment in the width it has on the wire.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum DataNumber {
    /// The lower 32 bits.
    Short(u32),
    /// All 64 bits.
    Long(DataSequenceNumber),
}

/// The mapping of a DSS option (RFC 8684 section 3.3.1).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct DssMapping {
    /// Data sequence number of the first byte.
    pub data_sequence: DataNumber,
    /// Subflow sequence number of the first byte, relative to the initial one (first byte is 1);
    /// 0 for a DATA_FIN without data.
    pub subflow_offset: u32,
    /// Data-level length, counting a DATA_FIN; 0 is the infinite mapping.
    pub length: u16,
    /// The DSS checksum, where negotiated.
    pub checksum: Option<u16>,
}

/// Data sequence signal.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Dss {
    /// DATA_ACK.
    pub data_ack: Option<DataNumber>,
    /// The mapping.
    pub mapping: Option<DssMapping>,
    /// F: the mapping's last data sequence number is the DATA_FIN; without meaning, and read and
    /// written as false, where there is no mapping.
    pub data_fin: bool,
}

/// Length and checksum of the data that an MP_CAPABLE carries in place of a DSS.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct CapableData {
    /// Data-level length.
    pub length: u16,
    /// The DSS checksum, where required.
    pub checksum: Option<u16>,
}

/// Why a subflow is reset (RFC 8684 section 3.6).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ResetReason {
    /// 0
    Unspecified,
    /// 1
    MptcpError,
    /// 2
    LackOfResources,
    /// 3
    AdministrativelyProhibited,
    /// 4
    TooMuchOutstandingData,
    /// 5
    UnacceptablePerformance,
    /// 6
    MiddleboxInterference,
    /// Any other code.
    Other(u8),
}

impl ResetReason {
    /// The reason of a code.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Unspecified,
            1 => Self::MptcpError,
            2 => Self::LackOfResources,
            3 => Self::AdministrativelyProhibited,
            4 => Self::TooMuchOutstandingData,
            5 => Self::UnacceptablePerformance,
            6 => Self::MiddleboxInterference,
            other => Self::Other(other),
        }
    }

    /// True where the path may serve again later, which the T flag of MP_TCPRST says to the peer.
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::LackOfResources | Self::UnacceptablePerformance)
    }

    /// The code of a reason.
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::MptcpError => 1,
            Self::LackOfResources => 2,
            Self::AdministrativelyProhibited => 3,
            Self::TooMuchOutstandingData => 4,
            Self::UnacceptablePerformance => 5,
            Self::MiddleboxInterference => 6,
            Self::Other(code) => code,
        }
    }
}

/// The numbers of the format: subtypes, and the flags of DSS.
mod format {
    pub(super) const CAPABLE: u8 = 0;
    pub(super) const JOIN: u8 = 1;
    pub(super) const DSS: u8 = 2;
    pub(super) const ADD_ADDRESS: u8 = 3;
    pub(super) const REMOVE_ADDRESS: u8 = 4;
    pub(super) const PRIORITY: u8 = 5;
    pub(super) const FAIL: u8 = 6;
    pub(super) const FASTCLOSE: u8 = 7;
    pub(super) const RESET: u8 = 8;

    pub(super) const DSS_DATA_ACK: u8 = 0x01;
    pub(super) const DSS_DATA_ACK_LONG: u8 = 0x02;
    pub(super) const DSS_MAPPING: u8 = 0x04;
    pub(super) const DSS_SEQUENCE_LONG: u8 = 0x08;
    pub(super) const DSS_DATA_FIN: u8 = 0x10;
}

/// One MPTCP option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MptcpOption {
    /// MP_CAPABLE on a SYN.
    CapableSyn {
        /// Version, 1 in RFC 8684.
        version: u8,
        /// Flags.
        flags: CapableFlags,
    },
    /// MP_CAPABLE on a SYN/ACK.
    CapableSynAck {
        /// Version.
        version: u8,
        /// Flags.
        flags: CapableFlags,
        /// The listener's key.
        sender_key: Key,
    },
    /// MP_CAPABLE on the third ACK, or on the first data.
    CapableAck {
        /// Version.
        version: u8,
        /// Flags.
        flags: CapableFlags,
        /// The initiator's key.
        sender_key: Key,
        /// The listener's key.
        receiver_key: Key,
        /// Present on the first data.
        data: Option<CapableData>,
    },
    /// MP_JOIN on a SYN.
    JoinSyn {
        /// The path is to be used as backup only.
        backup: bool,
        /// Identifier of the sender's address.
        address_id: u8,
        /// Token of the receiver.
        token: Token,
        /// The sender's random number.
        nonce: u32,
    },
    /// MP_JOIN on a SYN/ACK.
    JoinSynAck {
        /// The path is to be used as backup only.
        backup: bool,
        /// Identifier of the sender's address.
        address_id: u8,
        /// Leftmost 64 bits of HMAC-B.
        hmac: u64,
        /// The sender's random number.
        nonce: u32,
    },
    /// MP_JOIN on the third ACK.
    JoinAck {
        /// Leftmost 160 bits of HMAC-A.
        hmac: [u8; 20],
    },
    /// DSS.
    Dss(Dss),
    /// ADD_ADDR; without an HMAC it is the echo.
    AddAddress {
        /// Identifier of the address.
        address_id: u8,
        /// The address.
        address: IpAddr,
        /// The port, when it is not that of the subflow.
        port: Option<u16>,
        /// Rightmost 64 bits of the HMAC.
        hmac: Option<u64>,
    },
    /// REMOVE_ADDR.
    RemoveAddress {
        /// Identifiers of the addresses.
        address_ids: ArrayVec<u8, 16>,
    },
    /// MP_PRIO: sets the backup flag of the subflow it is sent on.
    Priority {
        /// The path is to be used as backup only.
        backup: bool,
    },
    /// MP_FAIL.
    Fail {
        /// Start of the data whose checksum failed.
        data_sequence: DataSequenceNumber,
    },
    /// MP_FASTCLOSE.
    Fastclose {
        /// The key of the receiver of this option.
        receiver_key: Key,
    },
    /// MP_TCPRST.
    Reset {
        /// T: the condition may pass.
        transient: bool,
        /// Why.
        reason: ResetReason,
    },
}
