//! Errors of the socket calls, with the meaning that POSIX gives them.

/// Why a socket call failed, or why a connection is gone.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum SocketError {
    /// EAGAIN: nothing to read, or no room to write.
    #[error("the call would block: wait for the next event of the connection")]
    WouldBlock,
    /// ECONNREFUSED: the peer answered the SYN with a RST.
    #[error("connection refused: nothing listens at the peer's address and port")]
    ConnectionRefused,
    /// ECONNRESET: the peer reset the connection or closed it with MP_FASTCLOSE.
    #[error("connection reset by the peer")]
    ConnectionReset,
    /// ECONNABORTED: this side aborted the connection.
    #[error("connection aborted on this side")]
    ConnectionAborted,
    /// ETIMEDOUT: the peer did not answer in time on any path.
    #[error("connection timed out: no path to the peer carried an answer in time")]
    TimedOut,
    /// EHOSTUNREACH: ICMP or the neighbour discovery reported that the peer cannot be reached.
    #[error("no route to host: the peer or its gateway does not answer on the link")]
    HostUnreachable,
    /// ENETUNREACH: no route leads to the peer.
    #[error("network unreachable: add a route, a gateway, or an address of the peer's family")]
    NetworkUnreachable,
    /// ENOTCONN: the handshake is not complete, or the connection is over.
    #[error("not connected: wait until the connection is established")]
    NotConnected,
    /// EPIPE: the sending direction is closed.
    #[error("broken pipe: the connection no longer takes data to send")]
    BrokenPipe,
    /// EADDRINUSE: another socket has the address and port.
    #[error("address in use: choose another port or close the socket that has it")]
    AddressInUse,
    /// EADDRNOTAVAIL: the address is of no interface, or no ephemeral port is free.
    #[error("address not available: use an address of an interface, or wait for a free port")]
    AddressNotAvailable,
    /// EINVAL: an argument contradicts another or has no meaning.
    #[error("invalid argument: local and remote address must be unicast and of one family")]
    InvalidArgument,
    /// ENOBUFS: a bound of the configuration is reached.
    #[error("no buffer space: a configured bound on connections or subflows is reached")]
    NoBuffers,
    /// EOPNOTSUPP: the connection is regular TCP, or not established with MPTCP yet.
    #[error("not supported: the connection does not use MPTCP, or not yet")]
    NotSupported,
    /// EPERM: the peer or a setting of the connection forbids it.
    #[error("not permitted: the peer or the connection's own addresses rule that path out")]
    NotPermitted,
    /// ENOENT: the connection has no subflow of that identifier.
    #[error("no such subflow: list the subflows for their identifiers")]
    NoSuchSubflow,
    /// EBUSY: the last subflow cannot be taken away.
    #[error("busy: it is the only subflow that works; add another one first")]
    LastSubflow,
    /// EBADF: the connection or listener has been closed.
    #[error("bad handle: the connection or listener has been closed")]
    BadHandle,
}
