//! getsockname(2) and getpeername(2).

use super::of;
use crate::descriptor::OpenSocket;
use crate::errno::Errno;
use braid_shm::abi::{EMULTIPATH, Operation};
use braid_shm::{SlotFlags, SlotState};
use std::os::fd::RawFd;

/// The local sockaddr: that of the connection's first subflow, also when that is gone (the draft's
/// section 4.2). Errors: EMULTIPATH on a multipath-aware socket (5.2).
pub fn local_name(fd: RawFd) -> Result<Vec<u8>, Errno> {
    let (socket, fd) = of(fd)?;
    refuse_aware(&socket)?;
    Ok(socket.call(fd, Operation::LocalAddress, &[])?.data)
}

/// The peer's sockaddr, as [`local_name`]. Errors: EMULTIPATH; ENOTCONN, also while it connects and
/// once the connection is over, by which programs learn whether connect() went well.
pub fn peer_name(fd: RawFd) -> Result<Vec<u8>, Errno> {
    let (socket, fd) = of(fd)?;
    refuse_aware(&socket)?;
    if matches!(
        socket.slot().state(),
        SlotState::Connecting | SlotState::Closed
    ) {
        return Err(Errno::new(libc::ENOTCONN));
    }
    Ok(socket.call(fd, Operation::PeerAddress, &[])?.data)
}

fn refuse_aware(socket: &OpenSocket) -> Result<(), Errno> {
    if socket.slot().flags().contains(SlotFlags::AWARE) {
        return Err(Errno::new(EMULTIPATH));
    }
    Ok(())
}
