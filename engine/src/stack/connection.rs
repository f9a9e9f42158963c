//! A connection as the stack keeps it: its home, and what the sockets need beside it.

use super::event::Pending;
use super::timer::{Timer, TimerId};
use crate::mptcp::connection::Connection;
use crate::mptcp::subflow::SendBytes;
use crate::sequence::DataSequenceNumber;
use crate::socket::SocketOptions;
use crate::storage::flow_table::FourTuple;
use crate::storage::slab::Key;

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
    pub(super) timer: Option<TimerId<Timer>>,
    pub(super) pending: Pending,
    /// The application has no handle any more.
    pub(super) closed: bool,
    /// The application reads no more: what comes is thrown away.
    pub(super) discards: bool,
}

/// The send buffer of a connection, for a subflow to copy from.
pub(super) struct Buffered<'a>(pub(super) &'a Connection);

impl SendBytes for Buffered<'_> {
    fn slices(&self, start: DataSequenceNumber, length: usize) -> (&[u8], &[u8]) {
        self.0.send_slices(start, length)
    }
}
