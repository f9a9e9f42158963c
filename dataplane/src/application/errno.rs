//! Errors of the stack's sockets as the numbers that programs know.

use braid_engine::socket::SocketError;

/// The errno that a program gets for an error.
pub const fn errno(error: SocketError) -> i32 {
    match error {
        SocketError::WouldBlock => libc::EAGAIN,
        SocketError::ConnectionRefused => libc::ECONNREFUSED,
        SocketError::ConnectionReset => libc::ECONNRESET,
        SocketError::ConnectionAborted => libc::ECONNABORTED,
        SocketError::TimedOut => libc::ETIMEDOUT,
        SocketError::HostUnreachable => libc::EHOSTUNREACH,
        SocketError::NetworkUnreachable => libc::ENETUNREACH,
        SocketError::NotConnected => libc::ENOTCONN,
        SocketError::BrokenPipe => libc::EPIPE,
        SocketError::AddressInUse => libc::EADDRINUSE,
        SocketError::AddressNotAvailable => libc::EADDRNOTAVAIL,
        SocketError::InvalidArgument => libc::EINVAL,
        SocketError::NoBuffers => libc::ENOBUFS,
        SocketError::NotSupported => libc::EOPNOTSUPP,
        SocketError::NotPermitted => libc::EPERM,
        SocketError::NoSuchSubflow => libc::ENOENT,
        SocketError::LastSubflow => libc::EBUSY,
        SocketError::BadHandle => libc::EBADF,
    }
}
