//! The socket calls on raw descriptors: what the Rust API, the C ABI and the preload library are
//! made of. They behave as Linux's TCP does (socket(7), tcp(7)); where the draft's API
//! (draft-scharf-mptcp-api-01) says otherwise it is told at the call.
//!
//! Each finds the socket behind its descriptor by itself ([`crate::descriptor`]); a descriptor that is
//! none of the engine's fails with ENOTSOCK. After the engine has died, all fail with ECONNRESET; a
//! receive gives what had come before.

mod accept;
mod connect;
mod control;
mod full_info;
mod names;
mod open;
mod options;
mod poll;
mod receive;
mod send;

pub use accept::{Accepted, accept};
pub use connect::connect;
pub use control::{
    is_nonblocking, not_sent_bytes, send_queue_bytes, set_nonblocking, unlist, unread_bytes,
    wait_until_shown, watch_for_good,
};
pub use names::{local_name, peer_name};
pub use open::{bind, close, close_marks, listen, shutdown, socket};
pub use options::{get_option, set_option};
pub use poll::{poll, readiness, take_back};
pub use receive::{discard, receive, receive_one};
pub use send::{send, send_one};

use crate::descriptor::{self, Descriptor};
use crate::errno::Errno;
use crate::sys::descriptor::borrow;
use std::os::fd::{BorrowedFd, RawFd};

/// The socket behind a descriptor, and the descriptor.
fn of<'a>(fd: RawFd) -> Result<(Descriptor, BorrowedFd<'a>), Errno> {
    let borrowed = borrow(fd).ok_or(Errno::new(libc::EBADF))?;
    Ok((descriptor::get(fd)?, borrowed))
}
