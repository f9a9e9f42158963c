//! Handing accepted connections to a listener's descriptor (SCM_RIGHTS).
//!
//! Each goes in a packet of its own, whose arrival is what makes the descriptor readable: who may
//! take it, in which process, and when a sleeper wakes, is the kernel's business. While the
//! descriptor has no room, connections wait in the stack.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use braid_dataplane::application::Handshake;
use braid_engine::stack::{ConnectionId, WorkerId};
use braid_shm::SlotState;
use braid_shm::abi::{AcceptedMessage, Plain, SocketAddressStorage};

use super::attachment::region_id;
use super::control::{Control, Kind};
use super::home::{ConnectionName, ListenerName};
use super::host::WorkerGone;
use super::packets;
use super::peers::NewSocket;
use super::poller::EventFlags;
use super::socket::{Domain, State};
use super::table::Key;

/// Connections accepted in one go.
const BATCH: usize = 16;

/// A connection that was taken from a listener.
#[derive(Copy, Clone, Debug)]
struct Accepted {
    connection: ConnectionId,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Control {
    /// Hands over what waits at a listener, while its descriptor has room.
    pub(super) fn accept_connections(&mut self, key: Key) -> Result<(), WorkerGone> {
        let listeners = match self.sockets.get(key).map(|socket| &socket.state) {
            Some(State::Listening { listeners, .. }) => listeners.clone(),
            _ => return Ok(()),
        };
        // All workers are looked at, so whatever waited for room is looked at now.
        self.wait_for_room(key, false);
        let mut looked = Ok(());
        for listener in listeners {
            if !self.hosts.is_living(listener.worker) {
                continue;
            }
            match self.accept_from(key, listener) {
                Ok(true) => {}
                Ok(false) => {
                    self.wait_for_room(key, true);
                    break;
                }
                // The others have told of theirs once, and do not tell again.
                Err(gone) => looked = Err(gone),
            }
        }
        looked
    }

    /// Hands over what waits at one worker for a listener. False when the descriptor has no room for all
    /// of it.
    pub(super) fn accept_from(
        &mut self,
        key: Key,
        listener: ListenerName,
    ) -> Result<bool, WorkerGone> {
        loop {
            let Some(socket) = self.sockets.get(key) else {
                return Ok(true);
            };
            if !has_room(&socket.end) {
                return Ok(false);
            }
            let id = listener.id;
            let batch = self.hosts.call_on(listener.worker, move |turn| {
                let mut batch = Vec::new();
                while batch.len() < BATCH
                    && let Some(connection) = turn.stack.accept(id)
                {
                    let local = turn.stack.local_address(connection);
                    let remote = turn.stack.remote_address(connection);
                    if let (Some(local), Some(remote)) = (local, remote) {
                        batch.push(Accepted {
                            connection,
                            local,
                            remote,
                        });
                    }
                }
                batch
            })?;
            let last = batch.len() < BATCH;
            for accepted in batch {
                let Accepted { connection, .. } = accepted;
                if !self.hand_over(key, listener.worker, accepted)? {
                    self.hosts.call_on(listener.worker, move |turn| {
                        turn.stack.abort(turn.now, connection);
                    })?;
                }
            }
            if last {
                return Ok(true);
            }
        }
    }

    /// Waits for room on a listener's descriptor, or no more.
    pub(super) fn wait_for_room(&mut self, key: Key, wait: bool) {
        if let Some(socket) = self.sockets.get_mut(key)
            && let State::Listening { full, .. } = &mut socket.state
            && *full != wait
        {
            *full = wait;
            let flags = if wait {
                EventFlags::OUT
            } else {
                EventFlags::empty()
            };
            self.poller
                .modify(&socket.end, key.token(Kind::SOCKET), flags);
        }
    }

    /// Makes a socket of an accepted connection and sends it. False when that cannot be done.
    fn hand_over(
        &mut self,
        listener: Key,
        worker: WorkerId,
        accepted: Accepted,
    ) -> Result<bool, WorkerGone> {
        let Some(parent) = self.sockets.get(listener) else {
            return Ok(false);
        };
        let (region, domain) = (parent.attachment, parent.domain);
        let new = NewSocket {
            domain,
            protocol: parent.protocol,
            wish: parent.wish,
            options: parent.options.clone(),
            kept: parent.kept,
        };
        let (key, descriptor) = match self.make_socket(region, new) {
            Ok(made) => made,
            Err(errno) => {
                self.complaints.say(format_args!(
                    "a connection from {} was dropped for want of a socket: {}",
                    accepted.remote,
                    std::io::Error::from_raw_os_error(errno)
                ));
                return Ok(false);
            }
        };
        let Some(socket) = self.sockets.get_mut(key) else {
            return Ok(false);
        };
        socket.state = State::Connected {
            connection: ConnectionName {
                home: worker,
                id: accepted.connection,
            },
            local: accepted.local,
            remote: accepted.remote,
            bound: None,
        };
        let handle = socket.handle.clone();
        handle.set_worker(worker.number());
        handle.set_state(SlotState::Established);
        let end = Arc::clone(&socket.end);
        let message = AcceptedMessage {
            region: self
                .attachments
                .get(region)
                .map_or(0, |attachment| attachment.serial),
            slot: handle.slot(),
            generation: handle.generation(),
            local: SocketAddressStorage::new(in_family(domain, accepted.local)),
            remote: SocketAddressStorage::new(in_family(domain, accepted.remote)),
        };
        let connection = accepted.connection;
        let bound = self.hosts.call_on(worker, move |turn| {
            let complete = Handshake::Complete;
            turn.applications
                .bind(region_id(region), &handle, end, connection, complete)
        })?;
        if !bound {
            self.forget_socket(key);
            self.after_sockets()?;
            return Ok(false);
        }
        self.send_accepted(listener, &message, &descriptor);
        // Whatever became of the packet, the connection is the socket's now: without a receiver its
        // descriptor ends here, and the hang-up ends the connection.
        Ok(true)
    }

    fn send_accepted(&self, listener: Key, message: &AcceptedMessage, descriptor: &OwnedFd) {
        let Some(listener) = self.sockets.get(listener) else {
            return;
        };
        let mut packet = [0; AcceptedMessage::BYTES];
        message.write(&mut packet);
        // A listener that is full is waited for before its next connection; one that is gone hangs up.
        let _ = packets::send(&listener.end, &packet, &[descriptor.as_fd()]);
    }
}

/// Whether a packet can be sent.
fn has_room(end: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(end, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// An address as a socket of that family shows it: to one of IPv6, those of IPv4 are mapped.
pub(super) fn in_family(domain: Domain, address: SocketAddr) -> SocketAddr {
    match (domain, address) {
        (Domain::Inet6, SocketAddr::V4(v4)) => {
            SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
        }
        _ => address,
    }
}
