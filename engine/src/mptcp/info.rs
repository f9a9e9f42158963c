//! A connection and its subflows as a user sees them, after Linux's `mptcp_info` and
//! `mptcp_subflow_addrs`.

use super::connection::{DataState, Role, SubflowHandle, SubflowPath};
use super::message::FallbackReason;
use crate::time::Duration;
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
}
