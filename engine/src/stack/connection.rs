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
use crate::storage::slab::Key;
use core::net::SocketAddr;
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
    /// The peer's address that it leads to.
    pub(super) remote: SocketAddr,
}

/// A connection.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    pub(super) connection: Connection,
    /// The addresses of the first subflow, for the connection's life.
    pub(super) flow: FourTuple,
    /// What further subflows are set up with.
    pub(super) options: SocketOptions,
    /// No further subflow is opened and no address announced.
    pub(super) single_path: bool,
    /// Further subflows that were opened, to spread them over the workers.
    pub(super) joins: u32,
    /// Subflows that were ordered from other workers and not answered for yet.
    pub(super) orders: Vec<Ordered>,
    /// What subflows on other workers read, once there may be any.
    pub(super) block: Option<Arc<PublishedBlock>>,
    pub(super) deadline: Deadline,
    pub(super) pending: Pending,
    /// The application has no handle any more.
    pub(super) closed: bool,
    /// The application reads no more: what comes is thrown away.
    pub(super) discards: bool,
}

impl ConnectionSlot {
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
    fn slices(&self, _: DataSequenceNumber, _: usize) -> (&[u8], &[u8]) {
        (&[], &[])
    }
}

/// The send buffer of a connection, for a subflow to copy from.
pub(super) struct Buffered<'a>(pub(super) &'a Connection);

impl SendBytes for Buffered<'_> {
    fn slices(&self, start: DataSequenceNumber, length: usize) -> (&[u8], &[u8]) {
        self.0.send_slices(start, length)
    }
}
