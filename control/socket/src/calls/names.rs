//! getsockname(2) and getpeername(2).

use super::of;
use crate::errno::Errno;
use braid_shm::SlotFlags;
use braid_shm::abi::{EMULTIPATH, Operation};
use std::os::fd::RawFd;

/// The local sockaddr: that of the connection's first subflow, also when that is gone (the draft's
/// section 4.2). Errors: EMULTIPATH on a multipath-aware socket (5.2).
pub fn local_name(fd: RawFd) -> Result<Vec<u8>, Errno> {
    name(fd, Operation::LocalAddress)
}

/// The peer's sockaddr, as [`local_name`]. Errors: ENOTCONN; EMULTIPATH.
pub fn peer_name(fd: RawFd) -> Result<Vec<u8>, Errno> {
    name(fd, Operation::PeerAddress)
}

fn name(fd: RawFd, operation: Operation) -> Result<Vec<u8>, Errno> {
    let (socket, fd) = of(fd)?;
    if socket.slot().flags().contains(SlotFlags::AWARE) {
        return Err(Errno::new(EMULTIPATH));
    }
    Ok(socket.call(fd, operation, &[])?.data)
}
