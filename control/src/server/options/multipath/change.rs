//! What can be set on a socket of any state: kept for connections to come, handed to a listener,
//! or told to the connection that is there.

use std::net::IpAddr;

use braid_dataplane::application::errno;
use braid_engine::mptcp::path_manager::PathManagement;
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::{Profile, SocketError, SocketOptions};
use braid_engine::stack::ConnectionId;

use super::snapshot::is_over;
use super::{DONE, Outcome};
use crate::server::control::Control;
use crate::server::host::{Turn, WorkerGone};
use crate::server::socket::State;
use crate::server::table::Key;

/// A value that was judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Profile(Profile),
    MaxSubflows(u8),
    Scheduler(Scheduler),
    PathManagement(PathManagement),
    Redundancy(u8),
    /// None stands for all.
    Addresses(Vec<IpAddr>),
}

impl Change {
    /// Keeps it for connections to come.
    fn record(&self, options: &mut SocketOptions) {
        match self {
            Self::Profile(profile) => {
                options.profile = Some(*profile);
                // As on a connection: a profile brings its own.
                options.scheduler = None;
            }
            Self::MaxSubflows(max) => options.max_subflows = Some(*max),
            Self::Scheduler(scheduler) => options.scheduler = Some(*scheduler),
            Self::PathManagement(management) => options.path_management = Some(*management),
            Self::Redundancy(copies) => options.redundancy = Some(*copies),
            Self::Addresses(addresses) => options.local_addresses.clone_from(addresses),
        }
    }

    /// Changes a connection that is there.
    fn tell(&self, turn: &mut Turn<'_>, connection: ConnectionId) -> Result<(), SocketError> {
        let (now, stack) = (turn.now, &mut *turn.stack);
        if is_over(stack, connection) {
            return Err(SocketError::BadHandle);
        }
        match self {
            Self::Profile(profile) => stack.set_profile(now, connection, *profile),
            Self::MaxSubflows(max) => stack.set_max_subflows(now, connection, *max),
            Self::Scheduler(scheduler) => stack.set_scheduler(now, connection, *scheduler),
            Self::PathManagement(management) => {
                stack.set_path_management(now, connection, *management)
            }
            Self::Redundancy(copies) => stack.set_redundancy(now, connection, *copies),
            Self::Addresses(addresses) => stack.set_local_addresses(now, connection, addresses),
        }
    }
}

impl Control {
    /// Has a change take effect. A connection that is over takes none: EINVAL, as POSIX has it for
    /// sockets that were shut down.
    pub(super) fn apply(&mut self, key: Key, change: Change) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let mut options = socket.options.clone();
        change.record(&mut options);
        let told = match socket.state {
            State::Open { .. } => {
                let addresses = options.local_addresses.clone();
                self.hosts.call_first(move |turn| {
                    addresses
                        .iter()
                        .all(|&address| turn.stack.owns(address))
                        .then_some(())
                        .ok_or(SocketError::AddressNotAvailable)
                })?
            }
            State::Listening { ref listeners, .. } => {
                self.set_listener_options(listeners, options.clone())
            }
            State::Connected { connection, .. } => self
                .hosts
                .call_home(connection, move |turn, id| change.tell(turn, id))?,
            State::Lost { .. } | State::Ending { .. } => Err(SocketError::BadHandle),
        };
        match told {
            Ok(()) => {
                if let Some(socket) = self.sockets.get_mut(key) {
                    socket.options = options;
                }
                Ok(DONE)
            }
            Err(SocketError::BadHandle) => Ok(Err(libc::EINVAL)),
            Err(error) => Ok(Err(errno(error))),
        }
    }
}
