//! Options of sockets; those of a connection are taken over by all of its subflows.

use super::profile::Profile;
use crate::congestion::ControllerKind;
use crate::mptcp::path_manager::PathManagement;
use crate::mptcp::scheduler::Scheduler;
use crate::stack::PortId;
use crate::tcp::Keepalive;
use crate::time::Duration;
use core::net::{IpAddr, SocketAddr};

/// What can be set on a connection, or on a listener for the connections it accepts.
#[derive(Clone, PartialEq, Debug)]
pub struct SocketOptions {
    /// TCP_NODELAY: small segments are sent at once (no Nagle).
    pub nodelay: bool,
    /// TCP_CORK: only full segments are sent.
    pub cork: bool,
    /// SO_KEEPALIVE with its times; `None` is off.
    pub keepalive: Option<Keepalive>,
    /// TCP_USER_TIMEOUT: how long data may stay unacknowledged (RFC 5482); `None` leaves it to
    /// the retransmission limit.
    pub user_timeout: Option<Duration>,
    /// SO_SNDBUF in bytes; `None` takes the stack's default.
    pub send_buffer: Option<u32>,
    /// SO_RCVBUF in bytes; `None` takes the stack's default.
    pub receive_buffer: Option<u32>,
    /// TCP_CONGESTION; `None` takes the stack's default.
    pub congestion: Option<ControllerKind>,
    /// What the connection is to be good at; `None` takes the stack's default.
    pub profile: Option<Profile>,
    /// Which endpoints it makes use of; `None` takes the stack's default.
    pub path_management: Option<PathManagement>,
    /// Subflows at a time, beside the stack's limits; `None` leaves it to those.
    pub max_subflows: Option<u8>,
    /// The local addresses it may use, of which the first subflow takes one too; empty for all.
    pub local_addresses: Vec<IpAddr>,
    /// IP_TTL and IPV6_UNICAST_HOPS; `None` takes the stack's default.
    pub hop_limit: Option<u8>,
    /// IP_TOS and IPV6_TCLASS; the lower two bits, those of ECN, mean nothing.
    pub traffic_class: u8,
    /// TCP_MP_SCHEDULER; `None` takes that of the profile, or without one the stack's default.
    pub scheduler: Option<Scheduler>,
    /// TCP_MP_REDUNDANCY: on how many subflows each byte goes out, 1 to 32; `None` leaves it to the
    /// scheduler, which means all of them with [`Scheduler::Redundant`] and one with any other.
    pub redundancy: Option<u8>,
    /// TCP_MAXSEG: bytes of a segment at most, in both directions; what the link allows bounds it
    /// too. Of subflows to come.
    pub maximum_segment: Option<u16>,
    /// SO_BINDTODEVICE: the connection stays on this port, on a single path.
    pub device: Option<PortId>,
}

impl Default for SocketOptions {
    /// Nagle on, everything else off or at the stack's default.
    fn default() -> Self {
        Self {
            nodelay: false,
            cork: false,
            keepalive: None,
            user_timeout: None,
            send_buffer: None,
            receive_buffer: None,
            congestion: None,
            profile: None,
            path_management: None,
            max_subflows: None,
            local_addresses: Vec::new(),
            hop_limit: None,
            traffic_class: 0,
            scheduler: None,
            redundancy: None,
            maximum_segment: None,
            device: None,
        }
    }
}

/// How to listen.
#[derive(Clone, PartialEq, Debug)]
pub struct ListenOptions {
    /// How many established connections wait for [`crate::stack::Stack::accept`] at most; cut to
    /// the stack's own bound, and at least one.
    pub backlog: usize,
    /// MPTCP is offered to peers that ask for it.
    pub multipath: bool,
    /// IPV6_V6ONLY: listening on all IPv6 addresses leaves those of IPv4 to others.
    pub ipv6_only: bool,
    /// SO_REUSEPORT: the user whose other listeners may be on the same address and port, if they ask
    /// for it too. Connections are spread over them by their addresses and ports.
    pub shared_by: Option<u32>,
    /// Options of the connections.
    pub socket: SocketOptions,
}

impl Default for ListenOptions {
    /// A backlog of 128, with MPTCP.
    fn default() -> Self {
        Self {
            backlog: 128,
            multipath: true,
            ipv6_only: false,
            shared_by: None,
            socket: SocketOptions::default(),
        }
    }
}

/// How to connect.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectOptions {
    /// The address to connect from. An address that is not the unspecified one keeps the
    /// connection on that address, on a single path; port 0 asks for an ephemeral one.
    pub local: Option<SocketAddr>,
    /// The peer.
    pub remote: SocketAddr,
    /// Ask the peer for MPTCP.
    pub multipath: bool,
    /// Options of the connection.
    pub socket: SocketOptions,
}

impl ConnectOptions {
    /// A connection to `remote` from any address, with MPTCP and default options.
    pub fn to(remote: SocketAddr) -> Self {
        Self {
            local: None,
            remote,
            multipath: true,
            socket: SocketOptions::default(),
        }
    }
}

/// Which directions of a connection to shut down.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// No more data is sent; the peer reads the end of the stream.
    Write,
    /// Data that arrives is acknowledged and thrown away.
    Read,
    /// Both.
    Both,
}
