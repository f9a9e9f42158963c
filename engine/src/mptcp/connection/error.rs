//! How a connection fails, and why an operation on it cannot be done now.

use thiserror::Error;

/// Why a connection ended before both sides had closed it.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
pub enum ConnectionError {
    /// The peer refused the first SYN.
    #[error("connection refused: nothing listens at that address and port")]
    Refused,
    /// The handshake or the data went unanswered for too long.
    #[error("connection timed out: the peer does not answer")]
    TimedOut,
    /// ICMP reported the destination unreachable.
    #[error("destination unreachable: check routes and gateways")]
    Unreachable,
    /// The peer reset the connection or closed it fast.
    #[error("connection reset by peer")]
    Reset,
    /// This side aborted it, or had to because MPTCP was broken on its only path.
    #[error("connection aborted on this side")]
    Aborted,
    /// Every subflow was lost and none was joined in time.
    #[error("every path was lost and none came back in time")]
    PathsLost,
}

/// Why bytes cannot be read or written.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
pub enum IoError {
    /// Nothing to read, or no room to write: wait for the event.
    #[error("the operation would block: wait for the connection to be ready")]
    WouldBlock,
    /// The sending direction was shut down.
    #[error("the sending direction has been shut down")]
    Shutdown,
    /// The connection has failed.
    #[error(transparent)]
    Failed(#[from] ConnectionError),
}

/// Why a subflow cannot be added, removed or changed as the application asked.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
pub enum SubflowError {
    /// The handshake is not complete, or MPTCP is not confirmed by the peer yet.
    #[error("the connection is not established with MPTCP yet: try again after its first data")]
    NotYet,
    /// The connection is regular TCP.
    #[error("the connection is regular TCP, which has one path")]
    NotMultipath,
    /// The connection is closing or closed.
    #[error("the connection is closing")]
    Closing,
    /// No subflow has that identifier.
    #[error("no subflow has that identifier")]
    NoSuchSubflow,
    /// Nothing would be left to carry the connection.
    #[error("it is the only subflow that works: add another one first, or close the connection")]
    LastSubflow,
    /// There are as many subflows as the limits allow.
    #[error("there are as many subflows as the limits allow: raise them or remove one")]
    TooMany,
    /// The local address is not among those that the connection may use.
    #[error("the connection may not use that local address")]
    LocalAddress,
    /// The peer takes no joins to the address and port of the first subflow (flag C of MP_CAPABLE).
    #[error("the peer takes no further subflows to that address: use one that it announced")]
    PeerForbids,
    /// The addresses make no sense together.
    #[error("both addresses must be those of single hosts, and of one family")]
    Addresses,
}

/// Why an MP_JOIN is refused; each has its MP_TCPRST reason.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
pub enum JoinRefusal {
    /// The keys of both sides are not known yet, or the connection is regular TCP.
    #[error("the connection does not take part in MPTCP (now)")]
    NotMultipath,
    /// The connection is closing or closed.
    #[error("the connection is closing")]
    Closing,
    /// The limit on subflows is reached.
    #[error("the connection has as many subflows as its limits allow")]
    TooMany,
}
