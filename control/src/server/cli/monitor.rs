//! What monitors are told: events as they happen, in order, each monitor with a bounded queue of
//! its own.

use braid_engine::mptcp::connection::SubflowHandle;
use braid_engine::socket::SubflowInfo;
use braid_engine::stack::{ConnectionId, Event, Stack};

use super::super::control::Control;
use super::super::host::WorkerGone;
use super::super::table::Key;
use super::session::packets_of;
use super::show::micros;
use crate::management::{EventKind, EventRecord, SubflowTotals, subflow_end_name};

impl Control {
    /// A connection is told from now on what happens.
    pub(super) fn begin_to_watch(&mut self, key: Key) -> Result<(), WorkerGone> {
        let in_stack = self
            .host
            .call(|turn| turn.stack.counters().stack.events_lost)?;
        let lost = in_stack.saturating_add(self.host.reports().lost());
        if let Some(peer) = self.peers.get_mut(key) {
            peer.cli.watch(lost);
        }
        self.host.reports().set_watching(true);
        Ok(())
    }

    /// After a connection ended: the worker need not report what nobody wants to know.
    pub(in super::super) fn update_watching(&self) {
        let watched = self.peers.iter().any(|(_, peer)| peer.cli.is_watching());
        self.host.reports().set_watching(watched);
    }

    /// Things happened that monitors want to know of.
    pub(in super::super) fn on_watched(&mut self, events: Vec<Event>) -> Result<(), WorkerGone> {
        if events.is_empty() {
            return Ok(());
        }
        let (kinds, in_stack): (Vec<EventKind>, u64) = self.host.call(move |turn| {
            let kinds = events
                .into_iter()
                .filter_map(|event| kind_of(turn.stack, event))
                .collect();
            (kinds, turn.stack.counters().stack.events_lost)
        })?;
        self.tell(kinds, in_stack)
    }

    /// Something happened that is no event of the stack.
    pub(in super::super) fn tell_monitors(
        &mut self,
        kinds: Vec<EventKind>,
    ) -> Result<(), WorkerGone> {
        let in_stack = self
            .host
            .call(|turn| turn.stack.counters().stack.events_lost)?;
        self.tell(kinds, in_stack)
    }

    /// Queues events for all monitors; `in_stack` is how many the stack has lost so far.
    fn tell(&mut self, kinds: Vec<EventKind>, in_stack: u64) -> Result<(), WorkerGone> {
        let monitors: Vec<Key> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.cli.is_watching())
            .map(|(key, _)| key)
            .collect();
        let lost = in_stack.saturating_add(self.host.reports().lost());
        for kind in kinds {
            let packets = packets_of(&EventRecord::now(kind));
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

/// The event as monitors see it.
fn kind_of(stack: &Stack, event: Event) -> Option<EventKind> {
    Some(match event {
        Event::Connected(connection) => EventKind::Connected {
            connection: connection.to_u64(),
            local: stack.local_address(connection),
            remote: stack.remote_address(connection),
            multipath: stack
                .connection_settings(connection)
                .is_some_and(|settings| settings.multipath),
        },
        Event::Closed(connection, result) => EventKind::Closed {
            connection: connection.to_u64(),
            error: result.err().map(|error| error.to_string()),
        },
        Event::SubflowEstablished(connection, handle) => {
            let subflow = find(stack, connection, handle);
            EventKind::SubflowEstablished {
                connection: connection.to_u64(),
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
            connection: connection.to_u64(),
            subflow: info.id,
            local: info.path.local,
            remote: info.path.remote,
            reason: subflow_end_name(end).into(),
            totals: totals_of(&info),
        },
        Event::FellBack(connection, reason) => EventKind::FellBack {
            connection: connection.to_u64(),
            reason: reason.name().into(),
        },
        Event::AddressAnnounced {
            connection,
            address_id,
            address,
        } => EventKind::AddressAnnounced {
            connection: connection.to_u64(),
            address_id,
            address,
        },
        Event::AddressRemoved {
            connection,
            address_id,
        } => EventKind::AddressRemoved {
            connection: connection.to_u64(),
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
