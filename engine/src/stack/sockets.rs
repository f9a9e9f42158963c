//! The calls of the sockets (RFC 9293 section 3.9.1, RFC 6897); their options are in `options`, what
//! they tell in `inspect`.

use super::Stack;
use super::admit::NewConnection;
use super::connection::{ConnectionId, ConnectionKey, ConnectionSlot, ListenerId};
use super::interface::{canonical, is_host_address};
use super::route::Constraint;
use super::steering::WorkerId;
use crate::mptcp::connection::{
    Connection, ConnectionError, IoError, MAX_REDUNDANCY, Role, SubflowError,
};
use crate::mptcp::subflow::{CapableConfig, Subflow};
use crate::socket::{ConnectOptions, ListenOptions, Shutdown, SocketError};
use crate::storage::copy::copy;
use crate::storage::flow_table::FourTuple;
use crate::time::Instant;
use crate::wire::mptcp_option::Key;
use core::net::SocketAddr;

impl From<ConnectionError> for SocketError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Refused => Self::ConnectionRefused,
            ConnectionError::TimedOut | ConnectionError::PathsLost => Self::TimedOut,
            ConnectionError::Unreachable => Self::HostUnreachable,
            ConnectionError::Reset => Self::ConnectionReset,
            ConnectionError::Aborted => Self::ConnectionAborted,
        }
    }
}

impl From<SubflowError> for SocketError {
    fn from(error: SubflowError) -> Self {
        match error {
            SubflowError::NotYet | SubflowError::NotMultipath => Self::NotSupported,
            SubflowError::Closing => Self::NotConnected,
            SubflowError::NoSuchSubflow => Self::NoSuchSubflow,
            SubflowError::LastSubflow => Self::LastSubflow,
            SubflowError::TooMany => Self::NoBuffers,
            SubflowError::LocalAddress | SubflowError::PeerForbids => Self::NotPermitted,
            SubflowError::Addresses => Self::InvalidArgument,
        }
    }
}

impl From<IoError> for SocketError {
    fn from(error: IoError) -> Self {
        match error {
            IoError::WouldBlock => Self::WouldBlock,
            IoError::Shutdown => Self::BrokenPipe,
            IoError::Failed(error) => error.into(),
        }
    }
}

/// True for a number of copies that can be asked for.
pub(super) fn is_redundancy(redundancy: Option<u8>) -> bool {
    redundancy.is_none_or(|copies| (1..=MAX_REDUNDANCY).contains(&copies))
}

impl Stack {
    /// Takes connections to `address`; the unspecified address stands for every one of the host,
    /// that of IPv6 for those of IPv4 too. With a specific address, or a device, its connections
    /// stay on a single path.
    ///
    /// # Errors
    ///
    /// [`SocketError::AddressInUse`], [`SocketError::AddressNotAvailable`] when the address is of
    /// no interface, [`SocketError::InvalidArgument`] for port 0 or redundancy 0, [`SocketError::NoBuffers`] when
    /// there are as many listeners as may be.
    pub fn listen(
        &mut self,
        address: SocketAddr,
        mut options: ListenOptions,
    ) -> Result<ListenerId, SocketError> {
        let address = canonical(address);
        if address.port() == 0 || !is_redundancy(options.socket.redundancy) {
            return Err(SocketError::InvalidArgument);
        }
        if !address.ip().is_unspecified() && !self.owns(address.ip()) {
            return Err(SocketError::AddressNotAvailable);
        }
        self.take_addresses(&mut options.socket)?;
        self.listeners.add(address, options).map(ListenerId)
    }

    /// Changes how many connections may wait at a listener, within the stack's bound. Those that wait
    /// stay.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such listener.
    pub fn set_backlog(&mut self, listener: ListenerId, backlog: usize) -> Result<(), SocketError> {
        let found = self.listeners.set_backlog(listener.0, backlog);
        found.then_some(()).ok_or(SocketError::BadHandle)
    }

    /// Takes the oldest connection that waits at a listener. After [`super::Event::Acceptable`] call
    /// until `None`: the event does not come again for those that are left.
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnectionId> {
        let listener = self.listeners.get_mut(listener.0)?;
        listener.pop().map(ConnectionId)
    }

    /// Takes no more connections; those that wait are aborted.
    pub fn close_listener(&mut self, now: Instant, listener: ListenerId) {
        let Some(mut closed) = self.listeners.remove(listener.0) else {
            return;
        };
        while let Some(connection) = closed.pop() {
            self.abort(now, ConnectionId(connection));
        }
    }

    /// Opens a connection; [`super::Event::Connected`] or [`super::Event::Closed`] tells how that
    /// ended. Data can be sent at once and goes when the handshake is complete.
    ///
    /// # Errors
    ///
    /// [`SocketError::InvalidArgument`] when the addresses or the redundancy make no sense,
    /// [`SocketError::NetworkUnreachable`] without a route,
    /// [`SocketError::AddressNotAvailable`] when the local address is of no interface, all ports are
    /// taken, or the one asked for is another worker's ([`Self::worker_for`]), [`SocketError::AddressInUse`] when the very flow exists,
    /// [`SocketError::NoBuffers`] when a bound is reached.
    pub fn connect(
        &mut self,
        now: Instant,
        mut options: ConnectOptions,
    ) -> Result<ConnectionId, SocketError> {
        let remote = canonical(options.remote);
        options.local = options.local.map(canonical);
        self.take_addresses(&mut options.socket)?;
        let redundancy = options.socket.redundancy;
        if !is_host_address(remote.ip()) || remote.port() == 0 || !is_redundancy(redundancy) {
            return Err(SocketError::InvalidArgument);
        }
        let source = options
            .local
            .map(|local| local.ip())
            .filter(|ip| !ip.is_unspecified());
        if options
            .local
            .is_some_and(|local| local.is_ipv4() != remote.is_ipv4())
        {
            return Err(SocketError::InvalidArgument);
        }
        if source.is_some_and(|source| self.interfaces.owner(source).is_none()) {
            return Err(SocketError::AddressNotAvailable);
        }
        let constraint = Constraint {
            source,
            port: options.socket.device,
        };
        let path = self.path_from(remote.ip(), constraint, &options.socket.local_addresses)?;
        if self.subflows.is_full() || self.connections.is_full() {
            self.counters.table_full += 1;
            return Err(SocketError::NoBuffers);
        }
        let wanted = options.local.map_or(0, |local| local.port());
        let local_port = match wanted {
            0 => self
                .ephemeral_port(path.source, remote)
                .ok_or(SocketError::AddressNotAvailable)?,
            port => port,
        };
        let flow = FourTuple {
            local: SocketAddr::new(path.source, local_port),
            remote,
        };
        if !self.config.place.owns(&flow) {
            return Err(SocketError::AddressNotAvailable);
        }
        // A socket does not connect to itself.
        if self.flows.contains(&flow) || flow.local == flow.remote {
            return Err(SocketError::AddressInUse);
        }
        let multipath = options.multipath
            && self.config.multipath
            && !self.is_too_small_for_multipath(&options.socket);
        let local_key = if multipath {
            self.draw_key().ok_or(SocketError::NoBuffers)?
        } else {
            Key(self.random.next_u64()).into()
        };
        let single_path = source.is_some() || options.socket.device.is_some();
        let tcp = self.tcb_config(path.port, &flow, &options.socket);
        let (iss, offset) = self.secrets.numbers(&flow, now);
        let subflow = if multipath {
            let config = CapableConfig {
                checksum: self.config.checksum,
                long_sequence: self.config.long_data_sequence,
                ..CapableConfig::default()
            };
            Box::new(Subflow::connect_capable(
                tcp,
                now,
                iss,
                offset,
                local_key.key,
                config,
            ))
        } else {
            Box::new(Subflow::connect_plain(tcp, now, iss, offset))
        };
        let new = NewConnection {
            subflow,
            flow,
            path,
            role: Role::Client,
            local_key,
            multipath,
            options: options.socket,
            single_path,
        };
        let (connection, first) = self
            .add_connection(now, new)
            .ok_or(SocketError::NoBuffers)?;
        self.counters.active_opens += 1;
        self.after_subflow(now, first);
        self.deliver_messages(now);
        Ok(ConnectionId(connection))
    }

    /// The worker on which [`Self::connect`] takes these options; `None` when any does, for they leave
    /// the port open.
    pub fn worker_for(&self, options: &ConnectOptions) -> Option<WorkerId> {
        let local = canonical(options.local.filter(|local| local.port() != 0)?);
        let remote = canonical(options.remote);
        let constraint = Constraint {
            source: Some(local.ip()).filter(|ip| !ip.is_unspecified()),
            port: options.socket.device,
        };
        let named = &options.socket.local_addresses;
        let path = self.path_from(remote.ip(), constraint, named).ok()?;
        let flow = FourTuple {
            local: SocketAddr::new(path.source, local.port()),
            remote,
        };
        Some(self.config.place.steering().worker_of(&flow))
    }

    /// Appends to the stream what there is room for and returns how much that was.
    ///
    /// # Errors
    ///
    /// [`SocketError::WouldBlock`] when there is no room: [`super::Event::Writable`] follows;
    /// [`SocketError::BrokenPipe`] after [`Self::shutdown`]; else why the connection is gone.
    pub fn send(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> Result<usize, SocketError> {
        self.call(now, connection, |home, context| home.write(bytes, context))?
            .map_err(SocketError::from)
    }

    /// As [`Self::send`] of `length` bytes that lie elsewhere: `fill` writes as many of them as
    /// there is room for in place, piece by piece. It saves a copy.
    ///
    /// # Errors
    ///
    /// As [`Self::send`]; `fill` is not called then.
    pub fn send_with(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        length: usize,
        fill: impl FnMut(&mut [u8]),
    ) -> Result<usize, SocketError> {
        self.call(now, connection, |home, context| {
            home.write_with(length, fill, context)
        })?
        .map_err(SocketError::from)
    }

    /// Takes the oldest bytes received and returns how many; `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    ///
    /// [`SocketError::WouldBlock`] when nothing waits: [`super::Event::Readable`] follows; else
    /// why the connection is gone.
    pub fn recv(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        into: &mut [u8],
    ) -> Result<usize, SocketError> {
        let mut read = 0;
        self.recv_with(now, connection, into.len(), |piece| {
            copy(&mut into[read..read + piece.len()], piece);
            read += piece.len();
        })
    }

    /// As [`Self::recv`] of up to `length` bytes that are to lie elsewhere: `take` is shown them in
    /// place, piece by piece. It saves a copy.
    ///
    /// # Errors
    ///
    /// As [`Self::recv`]; `take` is called only when there are bytes.
    pub fn recv_with(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        length: usize,
        take: impl FnMut(&[u8]),
    ) -> Result<usize, SocketError> {
        if let Some(slot) = self.connections.get(connection.0) {
            if slot.discards {
                return Ok(0);
            }
            // Most of those who ask find nothing, which changes nothing.
            if !slot.closed && slot.connection.has_nothing_to_read() {
                return Err(SocketError::WouldBlock);
            }
        }
        self.call(now, connection, |home, context| {
            home.read_with(length, take, context)
        })?
        .map_err(SocketError::from)
    }

    /// Ends one or both directions of a connection in order.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn shutdown(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        how: Shutdown,
    ) -> Result<(), SocketError> {
        if matches!(how, Shutdown::Read | Shutdown::Both)
            && let Some(slot) = self.live_mut(connection)
        {
            slot.discards = true;
        }
        self.call(now, connection, |home, context| {
            if matches!(how, Shutdown::Write | Shutdown::Both) {
                home.shutdown_write(context);
            }
        })?;
        self.discard_received(now, connection.0);
        self.deliver_messages(now);
        Ok(())
    }

    /// Gives the connection up in order: what is written still goes out. The handle is void.
    pub fn close(&mut self, now: Instant, connection: ConnectionId) {
        let closed = self.call(now, connection, |home, context| home.close(context));
        if closed.is_ok() {
            self.let_go(connection);
        }
    }

    /// Ends the connection at once, by MP_FASTCLOSE or RST. The handle is void.
    pub fn abort(&mut self, now: Instant, connection: ConnectionId) {
        let aborted = self.call(now, connection, |home, context| home.abort(context));
        if aborted.is_ok() {
            // An aborted connection is not forgotten before it is closed too.
            let _ = self.call(now, connection, |home, context| home.close(context));
            self.let_go(connection);
        }
    }

    fn let_go(&mut self, connection: ConnectionId) {
        if let Some(slot) = self.connections.get_mut(connection.0) {
            slot.closed = true;
        }
    }

    /// Calls the home of a connection that has a handle, and lets everything follow.
    pub(super) fn call<R>(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        call: impl FnOnce(&mut Connection, &mut crate::mptcp::connection::Context<'_>) -> R,
    ) -> Result<R, SocketError> {
        if self.live_mut(connection).is_none() {
            return Err(SocketError::BadHandle);
        }
        let result = self
            .with_connection(now, connection.0, call)
            .ok_or(SocketError::BadHandle);
        self.deliver_messages(now);
        result
    }

    pub(super) fn live_mut(&mut self, connection: ConnectionId) -> Option<&mut ConnectionSlot> {
        self.connections
            .get_mut(connection.0)
            .filter(|slot| !slot.closed)
    }

    pub(super) fn live(&self, connection: ConnectionId) -> Option<&ConnectionSlot> {
        self.connections
            .get(connection.0)
            .filter(|slot| !slot.closed)
    }

    /// Throws away what arrived for an application that reads no more.
    pub(super) fn discard_received(&mut self, now: Instant, key: ConnectionKey) {
        let discards = self.connections.get(key).is_some_and(|slot| slot.discards);
        if !discards {
            return;
        }
        let mut scratch = [0; 4096];
        while self
            .connections
            .get(key)
            .is_some_and(|slot| slot.connection.readable() > 0)
        {
            self.with_connection(now, key, |home, context| {
                // A failure is reported by its event.
                let _ = home.read(&mut scratch, context);
            });
        }
    }
}
