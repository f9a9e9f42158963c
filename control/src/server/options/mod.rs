//! Socket options: from level, name and bytes to what is meant, and from there to the socket.
//!
//! `set` and `get` parse. What is meant is an enum for each family of options, so that an option is
//! a variant, a line that parses it, and an arm that carries it out:
//!
//! - `classic`: those of SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6 and IPPROTO_TCP that programs set
//!   without knowing of Multipath TCP; they apply to all subflows (draft-scharf-mptcp-api-01
//!   section 4.3).
//! - `multipath`: those of the draft, of RFC 6897 and of Linux.
//!
//! What is set before there is a connection is kept in the socket and goes with `listen` and
//! `connect`; afterwards it goes to the connection too.

mod classic;
mod multipath;
mod tcp_info;
mod value;

pub(super) use classic::Kept;

use braid_engine::socket::{SocketError, SocketOptions};

use super::control::Control;
use super::home::ListenerName;
use super::host::WorkerGone;
use super::table::Key;
use classic::Classic;
use multipath::Multipath;

/// The result of a command: a number and bytes, or an errno.
pub(super) type Outcome = Result<(i64, Vec<u8>), i32>;

impl Control {
    /// Has a listener give other options to connections to come, at every worker.
    fn set_listener_options(
        &self,
        listeners: &[ListenerName],
        options: SocketOptions,
    ) -> Result<(), SocketError> {
        self.at_listeners(listeners, |turn, listener| {
            turn.stack.set_listener_options(listener, options)
        })
    }

    /// setsockopt().
    pub(super) fn set_option(
        &mut self,
        key: Key,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<Outcome, WorkerGone> {
        if let Some(option) = Multipath::of(level, name) {
            return self.set_multipath(key, option, value);
        }
        let Some(option) = Classic::of(level, name) else {
            return Ok(Err(libc::ENOPROTOOPT));
        };
        self.set_classic(key, option, value)
    }

    /// getsockopt() with what the caller's buffer holds and how many bytes it takes.
    pub(super) fn get_option(
        &mut self,
        key: Key,
        level: i32,
        name: i32,
        argument: &[u8],
        capacity: usize,
    ) -> Result<Outcome, WorkerGone> {
        let outcome = if let Some(option) = Multipath::of(level, name) {
            self.get_multipath(key, option, argument, capacity)?
        } else if let Some(option) = Classic::of(level, name) {
            self.get_classic(key, option)?
        } else {
            Err(libc::ENOPROTOOPT)
        };
        Ok(outcome.map(|(result, mut data)| {
            // As the kernel does: as much as fits.
            data.truncate(capacity);
            (result, data)
        }))
    }
}
