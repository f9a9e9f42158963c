//! Linux's MPTCP_FULL_INFO, whose struct names two arrays of the program for the engine to fill.
//!
//! The engine reaches no memory of the program but the region. It answers with the struct and both
//! arrays one after the other, and this side puts each where the program wants it: by a system call,
//! so that an address that is none is EFAULT, as with the kernel.

use super::options::copy;
use crate::descriptor::OpenSocket;
use crate::errno::Errno;
use crate::sys::process::write_to_address;
use braid_shm::abi::{MPTCP_FULL_INFO, Operation, Plain, SOL_MPTCP};
use braid_shm::thread_block::ARGUMENT_BYTES;
use std::os::fd::BorrowedFd;

/// Bytes of `struct mptcp_full_info` before its `struct mptcp_info`: the least there is room for.
const HEADER_BYTES: usize = 40;
/// Bytes of `struct mptcp_full_info`.
const BYTES: usize = HEADER_BYTES + 96;

/// Reads the option; bytes of the struct that are in `value`. Errors: EINVAL for a buffer or a struct
/// that is none; EFAULT for an array that cannot be written; EOPNOTSUPP on regular TCP.
pub(super) fn get(
    socket: &OpenSocket,
    fd: BorrowedFd<'_>,
    value: &mut [u8],
) -> Result<usize, Errno> {
    if value.len() < HEADER_BYTES {
        return Err(Errno::new(libc::EINVAL));
    }
    let operation = Operation::GetOption {
        level: SOL_MPTCP,
        name: MPTCP_FULL_INFO,
        // Of the answer, arrays and all.
        capacity: u32::try_from(ARGUMENT_BYTES).unwrap_or(u32::MAX),
    };
    let argument = value.get(..value.len().min(BYTES)).unwrap_or_default();
    let answer = socket.call(fd, operation, argument)?.data;
    let (full, arrays) = answer
        .split_at_checked(BYTES)
        .ok_or(Errno::new(libc::EPROTO))?;
    let word = |offset: usize| u32::read(full.get(offset..).unwrap_or_default()) as usize;
    let address = |offset: usize| u64::read(full.get(offset..).unwrap_or_default());
    let (subflow_bytes, copied) = (word(12), word(16).min(word(20)));
    let (subflows, tcp) = arrays
        .split_at_checked(copied.saturating_mul(subflow_bytes))
        .ok_or(Errno::new(libc::EPROTO))?;
    write_to_address(address(24), subflows)?;
    write_to_address(address(32), tcp)?;
    Ok(copy(full, value))
}
