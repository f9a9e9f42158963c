//! How sockets and regions end: by the last close, by the death of a program, or because one is
//! cut off.

use braid_dataplane::application::{Ending, RegionId};
use braid_shm::Linger;
use std::time::Duration;

use super::attachment::region_id;
use super::control::Control;
use super::home::ListenerName;
use super::host::WorkerGone;
use super::socket::State;
use super::table::Key;

impl Control {
    /// No process has the socket any more.
    pub(super) fn on_hangup(&mut self, key: Key) -> Result<(), WorkerGone> {
        let Some(socket) = self.sockets.get_mut(key) else {
            return Ok(());
        };
        self.poller.remove(&socket.end);
        // From here on nobody can adopt it.
        self.by_cookie.remove(&socket.cookie);
        let in_order =
            socket.handle.orderly() && socket.handle.linger() != Linger::For(Duration::ZERO);
        match socket.state {
            State::Connected {
                connection, bound, ..
            } => {
                let home = connection.home;
                let ending = if in_order {
                    Ending::Closed
                } else {
                    Ending::Abort
                };
                socket.state = State::Ending { home, bound };
                self.hosts.call_home(connection, move |turn, connection| {
                    turn.applications
                        .end(turn.now, turn.stack, connection, ending);
                })
            }
            State::Ending { .. } => Ok(()),
            State::Open { .. } | State::Listening { .. } | State::Lost { .. } => {
                self.forget_socket(key);
                self.after_sockets()
            }
        }
    }

    /// Takes a socket out of all tables and gives its slot back. What the stack still holds for it
    /// is given back by [`Self::after_sockets`].
    pub(super) fn forget_socket(&mut self, key: Key) {
        let Some(socket) = self.sockets.remove(key) else {
            return;
        };
        let home = socket.home();
        let in_use = home.is_some_and(|home| self.hosts.is_silent(home));
        self.poller.remove(&socket.end);
        self.by_cookie.remove(&socket.cookie);
        self.attempts.retain(|attempts| attempts.socket != key);
        match socket.state {
            State::Listening {
                listeners, address, ..
            } => {
                self.leavings.listeners.extend(listeners);
                self.leavings.addresses.push(address);
            }
            State::Open { bound }
            | State::Connected { bound, .. }
            | State::Lost { bound, .. }
            | State::Ending { bound, .. } => {
                self.leavings.addresses.extend(bound);
            }
        }
        if let Some(attachment) = self.attachments.get_mut(socket.attachment) {
            if in_use {
                attachment.abandon_slot(&socket.handle);
            } else {
                attachment.release_slot(&socket.handle);
            }
            if attachment.is_deserted() {
                self.leavings.regions.push(socket.attachment);
            }
        }
    }

    /// Gives back to the workers what sockets that were forgotten held.
    pub(super) fn after_sockets(&mut self) -> Result<(), WorkerGone> {
        let Leavings {
            listeners,
            addresses,
            regions,
        } = std::mem::take(&mut self.leavings);
        self.close_listeners(&listeners);
        if !addresses.is_empty() {
            self.hosts.call_all(move |turn| {
                for address in addresses {
                    turn.stack.release(address);
                }
            })?;
        }
        for region in regions {
            self.drop_if_deserted(region)?;
        }
        Ok(())
    }

    /// Ends a region that has neither sockets nor the control connection that made it.
    pub(super) fn drop_if_deserted(&mut self, key: Key) -> Result<(), WorkerGone> {
        let deserted = self
            .attachments
            .get(key)
            .is_some_and(super::attachment::Attachment::is_deserted);
        if deserted {
            self.drop_region(key)?;
        }
        Ok(())
    }

    /// Ends a region, and what connections are left in it.
    pub(super) fn drop_region(&mut self, key: Key) -> Result<(), WorkerGone> {
        let Some(attachment) = self.attachments.remove(key) else {
            return Ok(());
        };
        self.poller.remove(attachment.region.control_bell());
        attachment.region.retire();
        let id = region_id(key);
        self.unserve(id)
    }

    /// Has every worker let go of a region.
    fn unserve(&self, id: RegionId) -> Result<(), WorkerGone> {
        self.hosts
            .call_all(move |turn| turn.applications.remove_region(turn.now, turn.stack, id))
            .map(drop)
    }

    /// Ends an application that does not keep to the rules: its connections are aborted, its
    /// descriptors and its control connections end. Nobody else notices.
    pub(super) fn cut_off(&mut self, key: Key, reason: &str) -> Result<(), WorkerGone> {
        let Some(attachment) = self.attachments.get(key) else {
            return Ok(());
        };
        eprintln!(
            "braid: process {} ({}) was cut off: {reason}",
            attachment.owner.process, attachment.program
        );
        let sockets = attachment.sockets();
        // Whoever took over a socket of it goes on with its own.
        if let Some(maker) = self.maker_of(key) {
            // The region goes in any case, below.
            self.drop_peer(maker)?;
        }
        // The workers let go first: then nothing is written to slots that are given back.
        self.unserve(region_id(key))?;
        for socket in sockets {
            self.forget_socket(socket);
        }
        self.after_sockets()?;
        self.drop_region(key)
    }

    /// The engine ends: every connection is closed once what its program wrote is on its way.
    pub(super) fn end_all_sockets(&mut self) {
        let mut connections = Vec::new();
        let mut listeners = Vec::new();
        for (_, socket) in self.sockets.iter() {
            match &socket.state {
                State::Connected { connection, .. } => {
                    socket.handle.close_write();
                    connections.push((connection.home, connection.id));
                }
                State::Listening { listeners: all, .. } => listeners.extend(all),
                State::Open { .. } | State::Lost { .. } | State::Ending { .. } => {}
            }
        }
        self.close_listeners(&listeners);
        self.hosts.call_each(connections, |turn, connection| {
            turn.applications
                .end(turn.now, turn.stack, connection, Ending::InOrder);
        });
    }
}

/// What sockets that were forgotten held in the workers.
#[derive(Debug, Default)]
pub(super) struct Leavings {
    listeners: Vec<ListenerName>,
    addresses: Vec<std::net::SocketAddr>,
    regions: Vec<Key>,
}
