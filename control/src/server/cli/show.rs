//! Requests that only look.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use braid_engine::mptcp::connection::Role;
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, PathManagement};
use braid_engine::socket::SubflowInfo;
use braid_engine::stack::{
    ConnectionId, ConnectionSettings, ListenerInfo, PortId, Stack, WorkerId,
};

use super::super::control::Control;
use super::super::home::{ConnectionName, ListenerName};
use super::super::host::{Turn, WorkerGone};
use super::super::socket::Socket;
use super::super::table::Key;
use crate::management::{
    ConnectionRow, EndpointFlag, EndpointRow, ListenerRow, PortRow, SettingsRow, Statistics,
    SubflowRow, state_name,
};

/// Connections that are looked at in one turn of the worker, so that packets do not wait for many.
const CONNECTIONS: usize = 64;

/// A program and its process.
type Owner = (String, i32);

impl Control {
    pub(super) fn connection_rows(&self) -> Result<Vec<ConnectionRow>, WorkerGone> {
        let mut owners: HashMap<u64, Owner> = HashMap::new();
        for (_, socket) in self.sockets.iter() {
            if let (Some(connection), Some(owner)) = (socket.connection(), self.owner_of(socket)) {
                owners.insert(connection.to_number(), owner);
            }
        }
        let mut rows = self.for_connections(None, connection_row)?;
        for row in &mut rows {
            (row.program, row.process) = owners.remove(&row.id).unzip();
        }
        Ok(rows)
    }

    fn owner_of(&self, socket: &Socket) -> Option<Owner> {
        let attachment = self.attachments.get(socket.attachment)?;
        Some((attachment.program.clone(), attachment.owner.process))
    }

    pub(super) fn subflow_rows(
        &self,
        connection: Option<u64>,
    ) -> Result<Result<Vec<SubflowRow>, String>, WorkerGone> {
        let rows = self.for_connections(connection, subflow_rows)?;
        Ok(match connection {
            Some(id) if rows.is_empty() => Err(no_connection(id)),
            _ => Ok(rows.into_iter().flatten().collect()),
        })
    }

    /// What `look` makes of one connection, or of every connection, a few in a turn.
    fn for_connections<T: Send + 'static>(
        &self,
        connection: Option<u64>,
        look: fn(&Stack, ConnectionName) -> Option<T>,
    ) -> Result<Vec<T>, WorkerGone> {
        let all: Vec<(WorkerId, Vec<ConnectionId>)> =
            match connection.map(ConnectionName::of_number) {
                Some(name) => vec![(name.home, vec![name.id])],
                None => self
                    .hosts
                    .call_all(|turn| turn.stack.connections().collect())?
                    .into_iter()
                    .collect(),
            };
        let mut results = Vec::new();
        for (home, all) in all {
            for some in all.chunks(CONNECTIONS) {
                let some = some.to_vec();
                let looked = self.hosts.call_on(home, move |turn| {
                    some.into_iter()
                        .filter_map(|id| look(turn.stack, ConnectionName { home, id }))
                        .collect::<Vec<T>>()
                });
                // With a worker that has ended its connections have.
                results.extend(looked.unwrap_or_default());
            }
        }
        Ok(results)
    }

    pub(super) fn listener_rows(&self) -> Result<Vec<ListenerRow>, WorkerGone> {
        let of_workers = self.hosts.call_all(|turn| {
            let stack = &*turn.stack;
            let named = |listener: ListenerInfo| {
                let port = listener.device.map(|port| port_name(stack, port));
                (listener, port)
            };
            stack.listeners().map(named).collect::<Vec<_>>()
        })?;
        // One row for what a program sees as one listener.
        let mut rows: Vec<(Key, ListenerRow)> = Vec::new();
        for (worker, listeners) in of_workers {
            for (listener, port) in listeners {
                let ListenerInfo { id, waiting, .. } = listener;
                let Some(&socket) = self.by_listener.get(&ListenerName { worker, id }) else {
                    continue;
                };
                if let Some((_, row)) = rows.iter_mut().find(|(key, _)| *key == socket) {
                    row.waiting += waiting;
                    continue;
                }
                let owner = self
                    .sockets
                    .get(socket)
                    .and_then(|socket| self.owner_of(socket));
                let (program, process) = owner.unzip();
                let row = ListenerRow {
                    address: listener.address,
                    multipath: listener.multipath,
                    port,
                    backlog: listener.backlog,
                    waiting,
                    program,
                    process,
                };
                rows.push((socket, row));
            }
        }
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    pub(super) fn port_rows(&self) -> Result<Vec<PortRow>, WorkerGone> {
        let of_workers = self.hosts.call_all(|turn| {
            turn.stack
                .interfaces()
                .map(|interface| PortRow {
                    name: interface.name.to_owned(),
                    mac: interface.mac.to_string(),
                    mtu: interface.mtu,
                    addresses: interface
                        .addresses
                        .iter()
                        .map(|(address, length)| format!("{address}/{length}"))
                        .collect(),
                    gateways: interface.gateways.to_vec(),
                    up: interface.up,
                    counters: port_counters(turn, interface.port),
                })
                .collect::<Vec<_>>()
        })?;
        let merged = of_workers.merge(|rows, others| {
            for (row, other) in rows.iter_mut().zip(others) {
                row.up |= other.up;
                add(&mut row.counters, other.counters);
            }
        });
        Ok(merged)
    }

    pub(super) fn endpoint_rows(&self) -> Result<Vec<EndpointRow>, WorkerGone> {
        self.hosts
            .call_first(|turn| turn.stack.endpoints().iter().map(endpoint_row).collect())
    }

    pub(super) fn statistics(&self) -> Result<Statistics, WorkerGone> {
        let of_workers = self.hosts.call_all(|turn| Statistics {
            counters: owned(turn.stack.counters().named()),
            ports: turn
                .stack
                .interfaces()
                .map(|interface| {
                    let counters = port_counters(turn, interface.port);
                    (interface.name.to_owned(), counters)
                })
                .collect(),
        })?;
        let mut merged = of_workers.merge(|statistics, other| {
            add(&mut statistics.counters, other.counters);
            for (port, counters) in other.ports {
                add(statistics.ports.entry(port).or_default(), counters);
            }
        });
        add(&mut merged.counters, owned(self.counters().into_iter()));
        Ok(merged)
    }

    /// What the control thread counts of its workers: those that panicked and those that did not answer,
    /// reports of theirs for which there was no room, and orders that had to wait for room.
    fn counters(&self) -> [(&'static str, u64); 4] {
        let (panicked, silent) = self.losses.counts();
        [
            ("WorkersPanicked", panicked),
            ("WorkersSilent", silent),
            ("WorkerReportsLost", self.hosts.reports().lost()),
            ("WorkerOrdersDelayed", self.hosts.crowded()),
        ]
    }
}

/// Adds counters to those of the same names.
fn add(counters: &mut BTreeMap<String, u64>, others: BTreeMap<String, u64>) {
    for (name, value) in others {
        let sum = counters.entry(name).or_default();
        *sum = sum.saturating_add(value);
    }
}

/// Says that a request names a connection that is gone or never was.
pub(super) fn no_connection(id: u64) -> String {
    format!("there is no connection {id}: `braid show connections` lists them")
}

fn owned<'a>(counters: impl Iterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    counters
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn port_counters(turn: &Turn<'_>, port: PortId) -> BTreeMap<String, u64> {
    let counters = turn.ports.counters(port).unwrap_or_default();
    let mut counters = owned(counters.iter());
    let of_device = turn.ports.device_counters(port).into_iter();
    counters.extend(of_device.map(|(name, value)| (format!("Device_{name}"), value)));
    counters
}

fn port_name(stack: &Stack, port: PortId) -> String {
    stack
        .interfaces()
        .find(|interface| interface.port == port)
        .map_or_else(|| port.0.to_string(), |interface| interface.name.to_owned())
}

fn connection_row(stack: &Stack, name: ConnectionName) -> Option<ConnectionRow> {
    let connection = name.id;
    let info = stack.connection_info(connection)?;
    let settings = stack.connection_settings(connection)?;
    let role = match info.role {
        Role::Client => "client",
        Role::Server => "server",
    };
    Some(ConnectionRow {
        id: name.to_number(),
        worker: name.home.number(),
        state: state_name(info.state).into(),
        role: role.into(),
        local: stack.local_address(connection)?,
        remote: stack.remote_address(connection)?,
        multipath: settings.multipath,
        fallback: info.fallback.map(|reason| reason.name().into()),
        settings: settings_row(&settings),
        checksum: info.checksum,
        subflows: info.subflows,
        subflows_total: info.subflows_total,
        bytes_sent: info.bytes_written,
        bytes_acknowledged: info.bytes_acknowledged,
        bytes_received: info.bytes_received,
        bytes_reinjected: info.bytes_reinjected,
        local_token: info.local_token.0,
        remote_token: info.remote_token.map(|token| token.0),
        program: None,
        process: None,
    })
}

/// The settings by their names.
pub(super) fn settings_row(settings: &ConnectionSettings) -> SettingsRow {
    SettingsRow {
        profile: settings.profile.name().into(),
        scheduler: settings.scheduler.name().into(),
        congestion: settings.congestion.name().into(),
        path_manager: settings.path_management.name().into(),
        threshold: threshold(settings.path_management),
    }
}

/// With `ondemand`: bytes before the first further subflow.
pub(super) fn threshold(management: PathManagement) -> Option<u64> {
    match management {
        PathManagement::OnDemand { after_bytes } => Some(after_bytes),
        _ => None,
    }
}

fn subflow_rows(stack: &Stack, connection: ConnectionName) -> Option<Vec<SubflowRow>> {
    let (_, subflows) = stack.snapshot(connection.id)?;
    let row = |subflow: SubflowInfo| SubflowRow {
        connection: connection.to_number(),
        id: subflow.id,
        worker: subflow.handle.worker().number(),
        state: subflow_state(&subflow).into(),
        local: subflow.path.local,
        remote: subflow.path.remote,
        local_address_id: subflow.path.local_address_id,
        remote_address_id: subflow.path.remote_address_id,
        priority: subflow.priority.name().into(),
        backup: subflow.backup,
        opened_by_peer: subflow.opened_by_peer,
        bytes_sent: subflow.bytes_sent,
        bytes_received: subflow.bytes_received,
        bytes_reinjected: subflow.bytes_reinjected,
        retransmissions: subflow.retransmissions,
        srtt_us: subflow.smoothed_rtt.map(micros),
        congestion_window: subflow.congestion_window,
        in_flight: subflow.in_flight,
    };
    Some(subflows.into_iter().map(row).collect())
}

fn subflow_state(subflow: &SubflowInfo) -> &'static str {
    match subflow {
        SubflowInfo { closing: true, .. } => "closing",
        SubflowInfo {
            established: false, ..
        } => "handshake",
        SubflowInfo { stale: true, .. } => "stale",
        _ => "established",
    }
}

/// A time in microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The flags of endpoints by their names.
pub(super) const FLAGS: [(EndpointFlag, EndpointFlags); 4] = [
    (EndpointFlag::Signal, EndpointFlags::SIGNAL),
    (EndpointFlag::Subflow, EndpointFlags::SUBFLOW),
    (EndpointFlag::Backup, EndpointFlags::BACKUP),
    (EndpointFlag::Fullmesh, EndpointFlags::FULLMESH),
];

/// An endpoint by the names of its flags.
pub(super) fn endpoint_row(endpoint: &Endpoint) -> EndpointRow {
    let flags = FLAGS
        .into_iter()
        .filter(|(_, flag)| endpoint.flags.contains(*flag));
    EndpointRow {
        id: endpoint.id,
        address: endpoint.address,
        port: endpoint.port,
        flags: flags.map(|(name, _)| name).collect(),
    }
}
