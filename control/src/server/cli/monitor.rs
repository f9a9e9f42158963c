//! What monitors are told: events as they happen, in order, each monitor with a bounded queue of
//! its own.

use braid_engine::mptcp::connection::SubflowHandle;
use braid_engine::socket::SubflowInfo;
use braid_engine::stack::{ConnectionId, Event, Stack, WorkerId};

use super::super::control::Control;
use super::super::home::ConnectionName;
use super::super::host::WorkerGone;
use super::super::table::Key;
use super::session::packets_of;
use super::show::micros;
use crate::management::{EventKind, EventRecord, SubflowTotals, subflow_end_name};

impl Control {
    /// A connection is told from now on what happens.
    pub(super) fn begin_to_watch(&mut self, key: Key) -> Result<(), WorkerGone> {
        let lost = self.events_lost()?;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.cli.watch(lost);
        }
        self.hosts.reports().set_watching(true);
        Ok(())
    }

    /// After a connection ended: the workers need not report what nobody wants to know.
    pub(in super::super) fn update_watching(&self) {
        let watched = self.peers.iter().any(|(_, peer)| peer.cli.is_watching());
        self.hosts.reports().set_watching(watched);
    }

    /// How many events were lost before they came here.
    fn events_lost(&self) -> Result<u64, WorkerGone> {
        let lost = self
            .hosts
            .call_all(|turn| turn.stack.counters().stack.events_lost)?;
        let lost = lost.into_iter().map(|(_, lost)| lost);
        Ok(lost.fold(self.hosts.reports().lost(), u64::saturating_add))
    }

    /// Things happened that monitors want to know of.
    pub(in super::super) fn on_watched(
        &mut self,
        events: Vec<(WorkerId, Event)>,
    ) -> Result<(), WorkerGone> {
        let mut records = Vec::new();
        // Events of one worker in a row in one go; those of several stay in their order.
        let mut events = events.into_iter().peekable();
        while let Some((worker, first)) = events.next() {
            let mut in_a_row = vec![first];
            while let Some((_, event)) = events.next_if(|(next, _)| *next == worker) {
                in_a_row.push(event);
            }
            let told = self.hosts.call_on(worker, move |turn| {
                let record = |event| {
                    let at = worker_of(&event).unwrap_or(worker).number();
                    Some(EventRecord::at(at, kind_of(turn.stack, worker, event)?))
                };
                in_a_row.into_iter().filter_map(record).collect::<Vec<_>>()
            });
            // Of one that has ended there is nothing more to be known.
            records.extend(told.unwrap_or_default());
        }
        self.tell_monitors(&records)
    }

    /// Something happened: it is queued for all monitors.
    pub(in super::super) fn tell_monitors(
        &mut self,
        records: &[EventRecord],
    ) -> Result<(), WorkerGone> {
        if records.is_empty() {
            return Ok(());
        }
        let monitors: Vec<Key> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.cli.is_watching())
            .map(|(key, _)| key)
            .collect();
        let lost = self.events_lost()?;
        for record in records {
            let packets = packets_of(record);
            for &monitor in &monitors {
                if let Some(peer) = self.peers.get_mut(monitor) {
                    peer.cli.tell(&packets, lost);
                }
            }
        }
        for monitor in monitors {
            if !self.flush_session(monitor) {
                self.drop_peer(monitor)?;
            }
        }
        Ok(())
    }
}

/// The worker that has the subflow which an event is about.
fn worker_of(event: &Event) -> Option<WorkerId> {
    match event {
        Event::SubflowEstablished(_, handle) => Some(handle.worker()),
        Event::SubflowClosed { info, .. } => Some(info.handle.worker()),
        _ => None,
    }
}

/// The event as monitors see it.
fn kind_of(stack: &Stack, home: WorkerId, event: Event) -> Option<EventKind> {
    let number = |id| ConnectionName { home, id }.to_number();
    Some(match event {
        Event::Connected(connection) => EventKind::Connected {
            connection: number(connection),
            local: stack.local_address(connection),
            remote: stack.remote_address(connection),
            multipath: stack
                .connection_settings(connection)
                .is_some_and(|settings| settings.multipath),
        },
        Event::Closed(connection, result) => EventKind::Closed {
            connection: number(connection),
            error: result.err().map(|error| error.to_string()),
        },
        Event::SubflowEstablished(connection, handle) => {
            let subflow = find(stack, connection, handle);
            EventKind::SubflowEstablished {
                connection: number(connection),
                subflow: subflow.map(|subflow| subflow.id),
                local: subflow.map(|subflow| subflow.path.local),
                remote: subflow.map(|subflow| subflow.path.remote),
                backup: subflow.is_some_and(|subflow| subflow.backup),
            }
        }
        Event::SubflowClosed {
            connection,
            end,
            info,
        } => EventKind::SubflowClosed {
            connection: number(connection),
            subflow: info.id,
            local: info.path.local,
            remote: info.path.remote,
            reason: subflow_end_name(end).into(),
            totals: totals_of(&info),
        },
        Event::FellBack(connection, reason) => EventKind::FellBack {
            connection: number(connection),
            reason: reason.name().into(),
        },
        Event::AddressAnnounced {
            connection,
            address_id,
            address,
        } => EventKind::AddressAnnounced {
            connection: number(connection),
            address_id,
            address,
        },
        Event::AddressRemoved {
            connection,
            address_id,
        } => EventKind::AddressRemoved {
            connection: number(connection),
            address_id,
        },
        Event::Acceptable(_) | Event::Readable(_) | Event::Writable(_) | Event::PeerFinished(_) => {
            return None;
        }
    })
}

fn totals_of(info: &SubflowInfo) -> SubflowTotals {
    SubflowTotals {
        established: info.established,
        bytes_sent: info.bytes_sent,
        bytes_received: info.bytes_received,
        retransmissions: info.retransmissions,
        srtt_us: info.smoothed_rtt.map(micros),
    }
}

fn find(stack: &Stack, connection: ConnectionId, handle: SubflowHandle) -> Option<SubflowInfo> {
    stack
        .subflows(connection)
        .into_iter()
        .find(|subflow| subflow.handle == handle)
}
