//! A connection at one moment: everything that an option tells of it comes from one look.

use braid_engine::mptcp::connection::DataState;
use braid_engine::mptcp::path_manager::{EndpointFlags, Limits};
use braid_engine::socket::{ConnectionInfo, SubflowInfo};
use braid_engine::stack::{ConnectionId, ConnectionSettings, Stack};
use braid_engine::time::Instant;

use crate::server::control::Control;
use crate::server::host::WorkerGone;
use crate::server::table::Key;

/// How many endpoints of the host are for what.
#[derive(Copy, Clone, Debug)]
pub(super) struct EndpointCounts {
    pub(super) signal: usize,
    pub(super) subflow: usize,
    pub(super) fullmesh: usize,
}

/// A connection at one moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) now: Instant,
    pub(super) info: ConnectionInfo,
    pub(super) subflows: Vec<SubflowInfo>,
    pub(super) settings: ConnectionSettings,
    pub(super) limits: Limits,
    pub(super) endpoints: EndpointCounts,
}

/// Whether a connection has come to its end: nothing that is set can mean anything any more.
pub(super) fn is_over(stack: &Stack, connection: ConnectionId) -> bool {
    stack
        .connection_info(connection)
        .is_none_or(|info| info.state == DataState::Closed)
}

impl Control {
    /// The socket's connection; ENOTCONN when it has none, or it is over.
    pub(super) fn snapshot(&self, key: Key) -> Result<Result<Snapshot, i32>, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let Some(connection) = socket.connection() else {
            return Ok(Err(libc::ENOTCONN));
        };
        let Some(seen) = self.hosts.look_at(connection)? else {
            return Ok(Err(libc::ENOTCONN));
        };
        if seen.info.state == DataState::Closed {
            return Ok(Err(libc::ENOTCONN));
        }
        let (limits, endpoints) = self.hosts.call_first(|turn| {
            let endpoints = turn.stack.endpoints();
            let with = |flags| endpoints.with(flags).count();
            let counts = EndpointCounts {
                signal: with(EndpointFlags::SIGNAL),
                subflow: with(EndpointFlags::SUBFLOW),
                fullmesh: with(EndpointFlags::FULLMESH),
            };
            (endpoints.limits, counts)
        })?;
        Ok(Ok(Snapshot {
            now: seen.now,
            info: seen.info,
            subflows: seen.subflows,
            settings: seen.settings,
            limits,
            endpoints,
        }))
    }
}
