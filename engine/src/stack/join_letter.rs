//! How a subflow comes to be on another worker than its connection's home (RFC 8684 section 3.2).
//!
//! When the peer joins, the worker of the flow asks home what to answer (`Ask`, `Answer`), and tells
//! it once the third ACK has proved that the peer knows the keys (`Made`). When home joins, it orders
//! a subflow from another worker (`Open`), which tells what came of it (`Opened`).

use super::connection::ConnectionKey;
use super::held_syn::HeldKey;
use super::route::Path;
use super::steering::WorkerId;
use super::subflow::{DistantHome, SubflowAddress};
use crate::mptcp::connection::{JoinKeys, OpenSubflow, SubflowPath};
use crate::socket::SocketOptions;
use crate::storage::flow_table::FourTuple;
use crate::wire::mptcp_option::{ResetReason, Token};
use core::net::{IpAddr, SocketAddr};

/// What the answer to an MP_JOIN takes from the connection.
#[derive(Copy, Clone, Debug)]
pub(super) struct JoinTerms {
    pub(super) keys: JoinKeys,
    pub(super) checksum: bool,
    /// This side's identifier of its address.
    pub(super) address_id: u8,
    /// This side wants the path used as backup only.
    pub(super) backup: bool,
}

/// A connection elsewhere, and what its subflows here are set up with.
#[derive(Clone, Debug)]
pub(super) struct DistantConnection {
    pub(super) home: DistantHome,
    pub(super) options: SocketOptions,
    /// Which `options` they are, by [`ConnectionSlot::settings`](super::connection::ConnectionSlot).
    pub(super) settings: u32,
}

/// A subflow to be opened; everything that takes the connection to decide is decided.
#[derive(Clone, Debug)]
pub(super) struct SubflowOrder {
    /// With the local address and its identifier.
    pub(super) open: OpenSubflow,
    pub(super) path: Path,
    pub(super) checksum: bool,
}

impl SubflowOrder {
    /// The flow, where the port is decided too.
    pub(super) fn flow(&self) -> Option<FourTuple> {
        (self.open.local_port != 0).then_some(FourTuple {
            local: SocketAddr::new(self.path.source, self.open.local_port),
            remote: self.open.remote,
        })
    }
}

/// One step of it.
#[derive(Debug)]
pub(super) enum JoinLetter {
    /// To home: a SYN with this token came to this local address.
    Ask {
        from: WorkerId,
        held: HeldKey,
        token: Token,
        local: IpAddr,
    },
    /// From home: how to answer that SYN, or why it is refused.
    Answer {
        held: HeldKey,
        verdict: Result<(DistantConnection, JoinTerms), ResetReason>,
    },
    /// To home: the peer has proved itself, and this is the subflow.
    Made {
        connection: ConnectionKey,
        subflow: SubflowAddress,
        path: SubflowPath,
        /// Of the [`DistantConnection`] that it was set up with.
        settings: u32,
    },
    /// From home: open this subflow.
    Open {
        connection: DistantConnection,
        order: SubflowOrder,
    },
    /// To home: its SYN is on its way, or there was no port or room for it.
    Opened {
        from: WorkerId,
        connection: ConnectionKey,
        attempt: Option<u32>,
        opened: Option<(SubflowAddress, SubflowPath)>,
    },
}

impl JoinLetter {
    /// The worker that wrote it; of a refusal nobody asks.
    pub(super) fn writer(&self) -> Option<WorkerId> {
        match self {
            Self::Ask { from, .. } | Self::Opened { from, .. } => Some(*from),
            Self::Answer { verdict, .. } => {
                let accepted = verdict.as_ref().ok();
                accepted.map(|(connection, _)| connection.home.connection.worker)
            }
            Self::Made { subflow, .. } => Some(subflow.worker),
            Self::Open { connection, .. } => Some(connection.home.connection.worker),
        }
    }
}
