//! connect(): how a socket comes by its connection, and what a failure leaves behind.
//!
//! A socket whose connect has failed is as before, bound or not, and may connect again: its descriptor
//! was never told of an end. The error waits for whoever asks first.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;

use braid_dataplane::application::{Handshake, errno};
use braid_engine::socket::{ConnectOptions, SocketError};
use braid_engine::stack::ConnectionId;
use braid_shm::SlotState;

use super::attachment::region_id;
use super::commands::{addresses, canonical};
use super::control::Control;
use super::host::WorkerGone;
use super::options::Outcome;
use super::socket::{Domain, State};
use super::table::Key;

impl Control {
    /// Begins a connection; EALREADY while one is under way, EISCONN when there is or was one.
    pub(super) fn connect(&mut self, key: Key, argument: &[u8]) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        match socket.state {
            State::Open { .. } => {}
            State::Listening { .. } | State::Ending { .. } => return Ok(Err(libc::EINVAL)),
            State::Connected { connection, .. } => return self.connect_again(connection),
        }
        let begun = match remote_address(socket.domain, argument) {
            Ok(remote) => self.begin_connection(key, remote)?,
            Err(errno) => Err(errno),
        };
        if begun.is_err()
            && let Some(socket) = self.sockets.get(key)
        {
            // The program has made it unwritable before it asked.
            socket.handle.set_state(SlotState::Open);
            socket.handle.force_writable(&socket.end.as_fd());
        }
        Ok(begun.map(|()| (0, Vec::new())))
    }

    /// Sends a socket off to `remote`. An error is one that is there at once.
    fn begin_connection(
        &mut self,
        key: Key,
        remote: SocketAddr,
    ) -> Result<Result<(), i32>, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let State::Open { bound } = socket.state else {
            return Ok(Err(libc::EINVAL));
        };
        let options = ConnectOptions {
            local: bound.map(|bound| local_for(bound, remote)),
            remote,
            multipath: self.wants_multipath(socket, Some(remote.ip())),
            socket: socket.options.clone(),
        };
        let (region, handle) = (region_id(socket.attachment), socket.handle.clone());
        let end = Arc::clone(&socket.end);
        handle.set_state(SlotState::Connecting);
        let begun = self.host.call(move |turn| {
            let connection = turn.stack.connect(turn.now, options)?;
            let local = turn.stack.local_address(connection);
            let under_way = Handshake::UnderWay;
            let applications = &mut turn.applications;
            if !applications.bind(region, &handle, end, connection, under_way) {
                turn.stack.abort(turn.now, connection);
                return Err(SocketError::NoBuffers);
            }
            local
                .map(|local| (connection, local))
                .ok_or(SocketError::NoBuffers)
        })?;
        let (connection, local) = match begun {
            Ok(begun) => begun,
            Err(error) => return Ok(Err(errno(error))),
        };
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.state = State::Connected {
                connection,
                local,
                remote,
                bound,
            };
        }
        Ok(Ok(()))
    }

    /// A connection could not be made: its socket is as before.
    pub(super) fn connect_failed(
        &mut self,
        key: Key,
        connection: ConnectionId,
        error: SocketError,
    ) -> Result<(), WorkerGone> {
        let Some(socket) = self.sockets.get_mut(key) else {
            return Ok(());
        };
        let bound = match socket.state {
            State::Connected {
                connection: current,
                bound,
                ..
            } if current == connection => bound,
            // No process has it any more.
            _ => return Ok(()),
        };
        socket.state = State::Open { bound };
        let (handle, end) = (socket.handle.clone(), Arc::clone(&socket.end));
        self.host.call(move |turn| {
            turn.applications.let_go(turn.now, turn.stack, connection);
        })?;
        handle.reopen(errno(error).unsigned_abs(), &end.as_fd());
        Ok(())
    }

    fn connect_again(&self, connection: ConnectionId) -> Result<Outcome, WorkerGone> {
        use braid_engine::mptcp::connection::DataState;
        let state = self.host.call(move |turn| {
            turn.stack
                .connection_info(connection)
                .map(|info| info.state)
        })?;
        Ok(Err(match state {
            Some(DataState::Opening) => libc::EALREADY,
            _ => libc::EISCONN,
        }))
    }
}

/// A socket bound to every address has its port alone of it.
fn local_for(bound: SocketAddr, remote: SocketAddr) -> SocketAddr {
    match (bound.ip().is_unspecified(), remote) {
        (true, SocketAddr::V4(_)) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), bound.port()),
        (true, SocketAddr::V6(_)) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), bound.port()),
        (false, _) => bound,
    }
}

/// Where to connect: of several addresses the first; the others are the peer's to announce.
fn remote_address(domain: Domain, argument: &[u8]) -> Result<SocketAddr, i32> {
    addresses(domain, argument)?
        .into_iter()
        .map(canonical)
        .next()
        .ok_or(libc::EINVAL)
}
