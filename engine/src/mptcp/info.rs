//! A connection and its subflows as a user sees them, after Linux's `mptcp_info` and
//! `mptcp_subflow_addrs`.

use super::connection::{DataState, Role, SubflowHandle, SubflowPath};
use super::message::FallbackReason;
use crate::sequence::DataSequenceNumber;
use crate::tcp::TcpInfo;
use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::Token;

/// State of a connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ConnectionInfo {
    /// Data-level state.
    pub state: DataState,
    /// Which side opened it.
    pub role: Role,
    /// Why it is regular TCP, if it is.
    pub fallback: Option<FallbackReason>,
    /// Token of this side.
    pub local_token: Token,
    /// Token of the peer, once its key is known.
    pub remote_token: Option<Token>,
    /// DSS checksums are in use.
    pub checksum: bool,
    /// Subflows there are, those in handshake included.
    pub subflows: u8,
    /// Subflows there have been at most at one time.
    pub subflows_max: u8,
    /// Subflows there have been altogether.
    pub subflows_total: u32,
    /// Addresses announced to the peer.
    pub add_addr_signaled: u8,
    /// Announced addresses of the peer that are used.
    pub add_addr_accepted: u8,
    /// Bytes that the application wrote.
    pub bytes_written: u64,
    /// Bytes that the peer acknowledged at data level.
    pub bytes_acknowledged: u64,
    /// Bytes received in order.
    pub bytes_received: u64,
    /// Bytes that the application has read.
    pub bytes_read: u64,
    /// Bytes granted to a subflow more than once.
    pub bytes_reinjected: u64,
    /// Bytes the peer would take beyond what is acknowledged.
    pub send_window: u64,
    /// Bytes that can be received beyond what is in order.
    pub receive_window: u64,
    /// Data sequence number of the next byte that the application writes.
    pub write_sequence: DataSequenceNumber,
    /// Data sequence number of the oldest byte that the peer has not acknowledged.
    pub unacknowledged_sequence: DataSequenceNumber,
    /// Data sequence number of the next byte expected.
    pub next_sequence: DataSequenceNumber,
    /// Data-level retransmission timeouts.
    pub data_timeouts: u64,
    /// When new data was last handed to a subflow.
    pub last_data_sent: Option<Instant>,
    /// When data last arrived.
    pub last_data_received: Option<Instant>,
    /// When the peer last acknowledged data.
    pub last_acknowledgment: Option<Instant>,
}

/// How gladly a subflow is used.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SubflowPriority {
    /// Before the normal ones; the peer is not told.
    Preferred,
    /// Like any other.
    #[default]
    Normal,
    /// Only when no other subflow works; the peer is told by MP_PRIO (RFC 8684 section 3.3.8).
    Backup,
}

impl SubflowPriority {
    /// Every priority.
    pub const ALL: [Self; 3] = [Self::Preferred, Self::Normal, Self::Backup];

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preferred => "preferred",
            Self::Normal => "normal",
            Self::Backup => "backup",
        }
    }

    /// The priority of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.name() == name)
    }
}

/// State of a subflow.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SubflowInfo {
    /// The stack's key of it.
    pub handle: SubflowHandle,
    /// Its number within the connection, in the order of appearance; 0 is the first subflow.
    pub id: u32,
    /// Its addresses and their identifiers.
    pub path: SubflowPath,
    /// The handshake is complete.
    pub established: bool,
    /// It is the one that the connection began with.
    pub initial: bool,
    /// The peer opened it.
    pub opened_by_peer: bool,
    /// This side is closing it, or waits to close it until another is there.
    pub closing: bool,
    /// What this side makes of it.
    pub priority: SubflowPriority,
    /// Either side wants it used as backup only.
    pub backup: bool,
    /// Its last timeouts went unanswered, or its link is down: it gets no new data.
    pub stale: bool,
    /// Payload bytes granted to it.
    pub bytes_sent: u64,
    /// Bytes of those that the peer acknowledged on it.
    pub bytes_acknowledged: u64,
    /// Payload bytes received on it.
    pub bytes_received: u64,
    /// Bytes of `bytes_sent` that another subflow had carried before.
    pub bytes_reinjected: u64,
    /// Segments retransmitted on it.
    pub retransmissions: u64,
    /// Smoothed round trip; `None` before the first sample.
    pub smoothed_rtt: Option<Duration>,
    /// Variation of the round trip.
    pub rtt_variation: Duration,
    /// Congestion window in bytes.
    pub congestion_window: u32,
    /// Slow start threshold in bytes.
    pub slow_start_threshold: u32,
    /// Bytes in flight.
    pub in_flight: u32,
    /// The state of its TCP, where it was asked for while the subflow was there.
    pub tcp: Option<TcpInfo>,
}
