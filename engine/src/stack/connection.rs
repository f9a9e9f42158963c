//! A connection as the stack keeps it: its home, and what the sockets need beside it.

use super::event::Pending;
use super::published_block::{Marking, PublishedBlock};
use super::steering::WorkerId;
use super::timer::Deadline;
use crate::mptcp::connection::Connection;
use crate::mptcp::subflow::SendBytes;
use crate::sequence::DataSequenceNumber;
use crate::socket::SocketOptions;
use crate::storage::flow_table::FourTuple;
use crate::storage::pieces::Pieces;
use crate::storage::slab::Key;
use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub(super) type ConnectionKey = Key<ConnectionSlot>;

/// Names a connection of a stack. One that is gone finds nothing.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub(super) ConnectionKey);

/// Names a listener of a stack. One that is closed finds nothing.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub(super) super::listener::ListenerKey);

impl ConnectionId {
    /// The identifier as one number.
    pub const fn to_u64(self) -> u64 {
        self.0.to_u64()
    }

    /// The identifier that [`Self::to_u64`] made `bits` of; any other number finds nothing.
    pub const fn from_u64(bits: u64) -> Self {
        Self(Key::from_u64(bits))
    }
}

impl ListenerId {
    /// The identifier as one number.
    pub const fn to_u64(self) -> u64 {
        self.0.to_u64()
    }

    /// The identifier that [`Self::to_u64`] made `bits` of; any other number finds nothing.
    pub const fn from_u64(bits: u64) -> Self {
        Self(Key::from_u64(bits))
    }
}

/// A subflow that another worker is to open.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Ordered {
    pub(super) worker: WorkerId,
    /// The attempt of the path manager; none of the application's own wish.
    pub(super) attempt: Option<u32>,
    /// The address that it comes from, and the peer's that it leads to.
    pub(super) local: IpAddr,
    pub(super) remote: SocketAddr,
    /// What has become of the endpoint of that address since.
    pub(super) endpoint: Since,
    /// [`ConnectionSlot::settings`] when it was ordered.
    pub(super) settings: u32,
}

/// What has become of an endpoint since a subflow from its address was ordered.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Since {
    Nothing,
    Removed,
    /// Its subflows are to be backups, or no longer.
    Backup(bool),
}

/// A connection.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    pub(super) connection: Connection,
    /// What further subflows are set up with.
    pub(super) options: Arc<SocketOptions>,
    /// No further subflow is opened and no address announced.
    pub(super) single_path: bool,
    /// Further subflows that were opened, to spread them over the workers.
    pub(super) joins: u32,
    /// Subflows that were ordered from other workers and not answered for yet.
    pub(super) orders: Vec<Ordered>,
    /// How often `options` have changed.
    pub(super) settings: u32,
    /// What subflows on other workers read, once there may be any.
    pub(super) block: Option<Arc<PublishedBlock>>,
    pub(super) deadline: Deadline,
    /// It is among the stack's landings.
    pub(super) holds_frames: bool,
    pub(super) pending: Pending,
    /// The application has no handle any more.
    pub(super) closed: bool,
    /// The application reads no more: what comes is thrown away.
    pub(super) discards: bool,
}

impl ConnectionSlot {
    /// The addresses of the first subflow, for the connection's life.
    pub(super) fn flow(&self) -> FourTuple {
        let first = self.connection.first_path();
        FourTuple {
            local: first.local,
            remote: first.remote,
        }
    }

    /// The block that subflows on other workers read.
    pub(super) fn share_block(&mut self) -> Arc<PublishedBlock> {
        let block = Arc::clone(self.block.get_or_insert_default());
        self.refresh_block();
        block
    }

    /// Brings that block up to date, where there is one.
    pub(super) fn refresh_block(&self) {
        if let Some(block) = &self.block {
            block.store(self.connection.published(), self.marking());
        }
    }

    /// Something became of an endpoint: subflows from its address that are ordered follow.
    pub(super) fn note_endpoint(&mut self, local: IpAddr, since: Since) {
        for order in self.orders.iter_mut().filter(|order| order.local == local) {
            if order.endpoint != Since::Removed {
                order.endpoint = since;
            }
        }
    }

    /// How its packets are marked.
    pub(super) fn marking(&self) -> Marking {
        Marking {
            hop_limit: self.options.hop_limit,
            traffic_class: self.options.traffic_class,
        }
    }
}

/// Nothing: a subflow away from home carries its bytes itself.
pub(super) struct Carried;

impl SendBytes for Carried {
    fn pieces(&self, _: DataSequenceNumber, _: usize) -> Pieces<'_> {
        Pieces::NONE
    }
}

/// The send buffer of a connection, for a subflow to copy from.
pub(super) struct Buffered<'a>(pub(super) &'a Connection);

impl SendBytes for Buffered<'_> {
    fn pieces(&self, start: DataSequenceNumber, length: usize) -> Pieces<'_> {
        self.0.send_pieces(start, length)
    }
}
