//! What the stack tells the sockets: a bounded queue of events, without repetitions.

use super::{ConnectionId, ListenerId};
use crate::mptcp::connection::SubflowHandle;
use crate::mptcp::info::SubflowInfo;
use crate::mptcp::message::{FallbackReason, SubflowEnd};
use crate::socket::SocketError;
use core::net::SocketAddr;
use std::collections::VecDeque;

/// Something that happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A connection waits to be accepted.
    Acceptable(ListenerId),
    /// The handshake of a connection is complete.
    Connected(ConnectionId),
    /// There are bytes, or the end of the stream, to read.
    Readable(ConnectionId),
    /// There is room to write after there was none.
    Writable(ConnectionId),
    /// The peer will send no more; the end of the stream is in the receive buffer.
    PeerFinished(ConnectionId),
    /// Nothing more will be sent or received. What has arrived in order can still be read.
    Closed(ConnectionId, Result<(), SocketError>),
    /// A subflow is ready for data.
    SubflowEstablished(ConnectionId, SubflowHandle),
    /// A subflow is gone.
    SubflowClosed {
        /// Its connection.
        connection: ConnectionId,
        /// Why.
        end: SubflowEnd,
        /// Its last state.
        info: Box<SubflowInfo>,
    },
    /// A connection is regular TCP from here on.
    FellBack(ConnectionId, FallbackReason),
    /// The peer announced an address.
    AddressAnnounced {
        /// The connection it was announced on.
        connection: ConnectionId,
        /// The peer's identifier of it.
        address_id: u8,
        /// Address and port.
        address: SocketAddr,
    },
    /// The peer withdrew an address.
    AddressRemoved {
        /// The connection.
        connection: ConnectionId,
        /// The peer's identifier of the address.
        address_id: u8,
    },
}

/// Connected, readable, writable, the peer's end, and closed.
const PER_CONNECTION: usize = 5;

/// Which events of a connection wait in the queue; each is there at most once.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Pending {
    pub(super) readable: bool,
    pub(super) writable: bool,
}

/// The events nobody has polled yet.
///
/// Those that an application must not miss are at most five for a connection and one for a
/// listener, for a second of the same kind is not queued. They have room for as many connections
/// and listeners as there may be, so they are lost only when nobody polls at all.
#[derive(Debug)]
pub(super) struct Events {
    /// Each with whether only watchers want it.
    queue: VecDeque<(Event, bool)>,
    max: usize,
    /// How many events that only watchers want are in the queue, and how many may be.
    optional: usize,
    max_optional: usize,
    lost: u64,
}

impl Event {
    /// True for an event that only watchers want.
    const fn is_optional(&self) -> bool {
        matches!(
            self,
            Self::SubflowEstablished(..)
                | Self::SubflowClosed { .. }
                | Self::FellBack(..)
                | Self::AddressAnnounced { .. }
                | Self::AddressRemoved { .. }
        )
    }
}

impl Events {
    pub(super) fn new(connections: usize, listeners: usize, max_optional: usize) -> Self {
        let max = connections
            .saturating_mul(PER_CONNECTION)
            .saturating_add(listeners);
        Self {
            queue: VecDeque::new(),
            max: max.saturating_add(max_optional),
            optional: 0,
            max_optional,
            lost: 0,
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        let optional = event.is_optional();
        self.push_as(event, optional);
    }

    /// Queues an event of a connection that no application has any more.
    pub(super) fn push_for_watchers(&mut self, event: Event) {
        self.push_as(event, true);
    }

    fn push_as(&mut self, event: Event, optional: bool) {
        if self.queue.len() >= self.max || optional && self.optional >= self.max_optional {
            self.lost += 1;
            return;
        }
        self.optional += usize::from(optional);
        self.queue.push_back((event, optional));
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let (event, optional) = self.queue.pop_front()?;
        self.optional -= usize::from(optional);
        Some(event)
    }

    /// How many events were dropped.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}
