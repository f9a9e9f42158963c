//! The functions that programs call instead of the C library's. Each parses what C passes and decides
//! whose descriptor it is; a descriptor of the kernel's goes to the function behind ours, untouched.
//!
//! # Safety of all of them
//!
//! A caller in C keeps the contract of the function's manual page: pointers are null or valid for what
//! the lengths beside them say, for the time of the call, and nobody else writes there meanwhile.

mod aliases;
mod descriptors;
mod epoll;
mod files;
mod messages;
mod options;
mod poll;
mod process;
mod signals;
mod sockets;
pub(crate) mod stdio;
mod stream;
#[cfg(target_arch = "x86_64")]
mod variadic;

use braid_socket::descriptor;
use std::os::fd::RawFd;

/// Whether the descriptor is a socket of the engine.
fn is_ours(fd: RawFd) -> bool {
    descriptor::find(fd).is_some()
}
