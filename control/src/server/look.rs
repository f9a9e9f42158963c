//! A look at a connection: what its home knows of it, with the TCP of subflows that are at other
//! workers, whom only those know.

use std::collections::HashMap;

use braid_engine::mptcp::connection::SubflowHandle;
use braid_engine::socket::{ConnectionInfo, SubflowInfo};
use braid_engine::stack::{ConnectionId, ConnectionSettings, Stack, WorkerId};
use braid_engine::tcp::TcpInfo;
use braid_engine::time::Instant;

use super::home::ConnectionName;
use super::host::WorkerGone;
use super::hosts::Hosts;

/// A connection at one moment.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) now: Instant,
    pub(super) info: ConnectionInfo,
    /// With their TCP, but for those whose worker has ended.
    pub(super) subflows: Vec<SubflowInfo>,
    pub(super) settings: ConnectionSettings,
}

impl Seen {
    fn at_home(now: Instant, stack: &Stack, connection: ConnectionId) -> Option<Self> {
        let (info, subflows) = stack.snapshot(connection)?;
        Some(Self {
            now,
            info,
            subflows,
            settings: stack.connection_settings(connection)?,
        })
    }

    /// The TCP of the first subflow, or of the oldest one that is there.
    pub(super) fn oldest_tcp(&self) -> Option<TcpInfo> {
        self.subflows.first()?.tcp
    }
}

impl Hosts {
    /// Looks at a connection. `None` when it is gone.
    pub(super) fn look_at(&self, connection: ConnectionName) -> Result<Option<Seen>, WorkerGone> {
        let seen = self.call_home(connection, |turn, id| {
            Seen::at_home(turn.now, turn.stack, id)
        })?;
        let Some(mut seen) = seen else {
            return Ok(None);
        };
        let mut elsewhere: HashMap<WorkerId, Vec<SubflowHandle>> = HashMap::new();
        for subflow in seen.subflows.iter().filter(|subflow| subflow.tcp.is_none()) {
            let handle = subflow.handle;
            elsewhere.entry(handle.worker()).or_default().push(handle);
        }
        elsewhere.remove(&connection.home);
        let told = self.call_each(elsewhere, |turn, handles| {
            let told = |handle| Some((handle, turn.stack.tcp_info(handle)?));
            handles.into_iter().filter_map(told).collect::<Vec<_>>()
        });
        for (handle, tcp) in told.into_iter().flat_map(|(_, told)| told) {
            let mut subflows = seen.subflows.iter_mut();
            if let Some(subflow) = subflows.find(|subflow| subflow.handle == handle) {
                subflow.tcp = Some(tcp);
            }
        }
        Ok(Some(seen))
    }
}
