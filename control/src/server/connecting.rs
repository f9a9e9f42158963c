//! connect(): how a socket comes by its connection, and what a failure leaves behind.
//!
//! A sockaddr_multipath (section 5.3 of draft-scharf-mptcp-api-01) has several addresses of one peer.
//! The first that answers is the first subflow's; to the others further subflows go.
//!
//! A socket whose connect has failed is as before, bound or not, and may connect again: its descriptor
//! was never told of an end. The error waits for whoever asks first.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use braid_dataplane::application::{Handshake, errno};
use braid_engine::socket::{ConnectOptions, SocketError};
use braid_engine::stack::WorkerId;
use braid_shm::SlotState;

use super::attachment::region_id;
use super::attempts::{Addresses, Attempts};
use super::commands::{addresses, canonical};
use super::control::Control;
use super::home::ConnectionName;
use super::host::WorkerGone;
use super::options::Outcome;
use super::socket::State;
use super::table::Key;

impl Control {
    /// Begins a connection; EALREADY while one is under way, EISCONN when there is or was one.
    pub(super) fn connect(&mut self, key: Key, argument: &[u8]) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        match socket.state {
            State::Open { .. } => {}
            State::Lost { .. } => return Ok(Err(libc::EISCONN)),
            State::Listening { .. } | State::Ending { .. } => return Ok(Err(libc::EINVAL)),
            State::Connected { connection, .. } => return self.connect_again(connection),
        }
        let user_timeout = socket.options.user_timeout;
        let begun = match addresses(socket.domain, argument) {
            Ok(all) => {
                let all = all.into_iter().map(canonical).collect();
                let addresses = Addresses::new(all, Instant::now(), user_timeout);
                self.try_next(key, addresses, libc::EINVAL)
            }
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

    /// Sends a socket off to the first of the addresses that does not fail at once. `Err`: there is
    /// none; the errno of the last one, or `before` if none was tried.
    fn try_next(&mut self, key: Key, mut addresses: Addresses, before: i32) -> Result<(), i32> {
        let mut failure = before;
        while let Some((remote, due)) = addresses.next(Instant::now()) {
            let others = addresses.but(remote);
            // A worker that has just ended leaves the socket as an address without an answer does.
            let begun = self.begin_connection(key, remote, &others);
            match begun.unwrap_or(Err(libc::ECONNRESET)) {
                Ok(connection) => {
                    // One address has the time that TCP gives it.
                    if addresses.are_several() {
                        self.attempts.push(Attempts {
                            socket: key,
                            connection,
                            due,
                            rest: addresses,
                        });
                    }
                    return Ok(());
                }
                Err(errno) => failure = errno,
            }
        }
        Err(failure)
    }

    /// How long until an attempt gives way to the next.
    pub(super) fn time_of_attempts(&self) -> Option<Duration> {
        let first = self.attempts.iter().map(|attempts| attempts.due).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    /// Ends the attempts whose time is over.
    pub(super) fn end_late_attempts(&mut self) -> Result<(), WorkerGone> {
        let now = Instant::now();
        let late: Vec<(Key, ConnectionName)> = self
            .attempts
            .iter()
            .filter(|attempts| attempts.due <= now)
            .map(|attempts| (attempts.socket, attempts.connection))
            .collect();
        for (key, connection) in late {
            let under_way = self.hosts.call_home(connection, |turn, connection| {
                turn.applications.is_under_way(connection)
            })?;
            if under_way {
                self.connect_failed(key, connection, SocketError::TimedOut)?;
            } else {
                self.attempts
                    .retain(|attempts| attempts.connection != connection);
            }
        }
        Ok(())
    }

    /// Sends a socket off to `remote`, with `others` for further subflows. An error is one that is
    /// there at once.
    fn begin_connection(
        &mut self,
        key: Key,
        remote: SocketAddr,
        others: &[SocketAddr],
    ) -> Result<Result<ConnectionName, i32>, WorkerGone> {
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
        let mut begun = Err(SocketError::AddressNotAvailable);
        for home in self.homes_for(&options)? {
            let at_home = self.begin_at(key, home, &options, others);
            // Every worker has local ports of its own to choose from; one that has just ended has none.
            begun = at_home.unwrap_or(Err(SocketError::AddressNotAvailable));
            if begun != Err(SocketError::AddressNotAvailable) {
                break;
            }
        }
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
        Ok(Ok(connection))
    }

    /// The workers at which a connection may begin, the one to try first at the front: where its local
    /// port belongs or, if it has none yet, each in its turn.
    fn homes_for(&self, options: &ConnectOptions) -> Result<Vec<WorkerId>, WorkerGone> {
        if options.local.is_some_and(|local| local.port() != 0) {
            let options = options.clone();
            let home = self
                .hosts
                .call_first(move |turn| turn.stack.worker_for(&options))?;
            if let Some(home) = home {
                let living = Some(home).filter(|home| self.hosts.is_living(*home));
                return Ok(living.into_iter().collect());
            }
        }
        self.hosts.in_turn()
    }

    fn begin_at(
        &self,
        key: Key,
        home: WorkerId,
        options: &ConnectOptions,
        others: &[SocketAddr],
    ) -> Result<Result<(ConnectionName, SocketAddr), SocketError>, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(SocketError::BadHandle));
        };
        let (region, handle) = (region_id(socket.attachment), socket.handle.clone());
        let end = Arc::clone(&socket.end);
        let (options, others) = (options.clone(), others.to_vec());
        handle.set_worker(home.number());
        handle.set_state(SlotState::Connecting);
        let begun = self.hosts.call_on(home, move |turn| {
            let connection = turn.stack.connect(turn.now, options)?;
            let local = turn.stack.local_address(connection);
            let under_way = Handshake::UnderWay;
            let applications = &mut turn.applications;
            if !applications.bind(region, &handle, end, connection, under_way) {
                turn.stack.abort(turn.now, connection);
                return Err(SocketError::NoBuffers);
            }
            applications.join_to(connection, others);
            local
                .map(|local| (connection, local))
                .ok_or(SocketError::NoBuffers)
        })?;
        Ok(begun.map(|(id, local)| (ConnectionName { home, id }, local)))
    }

    /// A connection could not be made: the next address is tried; without one the socket is as before.
    pub(super) fn connect_failed(
        &mut self,
        key: Key,
        connection: ConnectionName,
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
        // A worker that has ended since it gave the connection up holds nothing of it; the program waits
        // for its answer all the same.
        let _ = self.hosts.call_home(connection, |turn, connection| {
            turn.applications.let_go(turn.now, turn.stack, connection);
        });
        let mut failure = errno(error);
        let of_this = |attempts: &Attempts| attempts.connection == connection;
        if let Some(found) = self.attempts.iter().position(of_this) {
            let rest = self.attempts.swap_remove(found).rest;
            match self.try_next(key, rest, failure) {
                Ok(()) => return Ok(()),
                Err(errno) => failure = errno,
            }
        }
        handle.reopen(failure.unsigned_abs(), &end.as_fd());
        Ok(())
    }

    fn connect_again(&self, connection: ConnectionName) -> Result<Outcome, WorkerGone> {
        use braid_engine::mptcp::connection::DataState;
        let state = self.hosts.call_home(connection, |turn, connection| {
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
