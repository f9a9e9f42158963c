//! What a connection and the stack exchange at each call.

use super::error::ConnectionError;
use crate::mptcp::counters::MptcpCounters;
use crate::mptcp::info::SubflowInfo;
use crate::mptcp::message::{FallbackReason, SubflowEnd, ToSubflow};
use crate::mptcp::path_manager::Endpoints;
use crate::storage::frame::FramePool;
use crate::time::Instant;
use crate::wire::mptcp_option::{Key, Token};
use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

/// The stack's key of a subflow; opaque to the connection.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct SubflowHandle(pub u64);

/// The path of a subflow.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SubflowPath {
    /// Address and port of this side.
    pub local: SocketAddr,
    /// Address and port of the peer.
    pub remote: SocketAddr,
    /// Identifier of the local address; 0 on the first subflow.
    pub local_address_id: u8,
    /// Identifier of the peer's address; 0 on the first subflow.
    pub remote_address_id: u8,
    /// This side wants it used as backup only.
    pub backup: bool,
}

/// A subflow that the path manager wants opened.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct OpenSubflow {
    /// Which attempt of the path manager this is, `None` for one of the application; goes back in
    /// `subflow_opened` or `subflow_not_opened`.
    pub attempt: Option<u32>,
    /// Local address, or `None` for the one that the route to `remote` selects.
    pub local: Option<IpAddr>,
    /// Local port; zero for an ephemeral one.
    pub local_port: u16,
    /// Where to.
    pub remote: SocketAddr,
    /// Identifier of the local address, for MP_JOIN.
    pub local_address_id: u8,
    /// Identifier of the peer's address.
    pub remote_address_id: u8,
    /// The backup flag of MP_JOIN.
    pub backup: bool,
    /// Token of the peer, for MP_JOIN.
    pub remote_token: Token,
    /// Key of this side, for the HMACs.
    pub local_key: Key,
    /// Key of the peer, for the HMACs.
    pub remote_key: Key,
}

/// What the connection asks of the stack.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Open a subflow by MP_JOIN; answered by `subflow_opened` or `subflow_not_opened`.
    OpenSubflow(OpenSubflow),
    /// The application has closed, no subflow is left: forget the connection.
    Gone,
}

/// What happened to a connection, for its application and for whoever watches.
#[derive(Clone, PartialEq, Debug)]
pub enum ConnectionEvent {
    /// The handshake is complete.
    Connected,
    /// There are bytes, or the end of the stream, to read.
    Readable,
    /// There is room to write after there was none.
    Writable,
    /// The peer has sent all it will.
    PeerFinished,
    /// A subflow is ready for data.
    SubflowEstablished(SubflowHandle),
    /// A subflow is gone.
    SubflowClosed {
        /// Why.
        end: SubflowEnd,
        /// Its last state.
        info: Box<SubflowInfo>,
    },
    /// The connection is regular TCP from here on.
    FellBack(FallbackReason),
    /// The peer announced an address.
    AddressAnnounced {
        /// Its identifier.
        address_id: u8,
        /// Address and port.
        address: SocketAddr,
    },
    /// The peer withdrew an address.
    AddressRemoved {
        /// Its identifier.
        address_id: u8,
    },
    /// Nothing more will be sent or received.
    Closed(Result<(), ConnectionError>),
}

/// What the stack carries out after each call; the order of `messages` is kept per subflow.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Messages to subflows.
    pub messages: VecDeque<(SubflowHandle, ToSubflow)>,
    /// Requests to the stack.
    pub requests: VecDeque<Request>,
    /// Events.
    pub events: VecDeque<ConnectionEvent>,
}

impl Outbox {
    /// Queues a message.
    pub fn send(&mut self, to: SubflowHandle, message: ToSubflow) {
        self.messages.push_back((to, message));
    }

    /// True when there is nothing to carry out.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.requests.is_empty() && self.events.is_empty()
    }
}

/// What a connection needs at each call.
#[derive(Debug)]
pub struct Context<'a> {
    /// The present.
    pub now: Instant,
    /// Endpoints and limits of the host.
    pub endpoints: &'a Endpoints,
    /// Where frames go once their bytes are copied.
    pub pool: &'a mut FramePool,
    /// Counters of the core.
    pub counters: &'a mut MptcpCounters,
    /// What the stack is to do.
    pub out: &'a mut Outbox,
}
