//! Options of connections that live: each changes at once what there is, and what further subflows
//! are set up with (RFC 6897, draft-scharf-mptcp-api section 5).

use super::Stack;
use super::connection::{ConnectionId, ListenerId};
use super::interface::canonical;
use super::route::{Constraint, Path};
use super::sockets::is_redundancy;
use crate::congestion::ControllerKind;
use crate::mptcp::connection::SubflowHandle;
use crate::mptcp::info::SubflowPriority;
use crate::mptcp::message::ToSubflow;
use crate::mptcp::path_manager::{LocalAddresses, PathManagement};
use crate::mptcp::scheduler::Scheduler;
use crate::socket::{Profile, SocketError, SocketOptions};
use crate::tcp::Keepalive;
use crate::time::{Duration, Instant};
use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

impl Stack {
    /// TCP_NODELAY, on all subflows.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_nodelay(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        nodelay: bool,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| options.nodelay = nodelay)?;
        self.call(now, connection, |home, context| {
            home.set_nodelay(nodelay, context);
        })?;
        self.apply_profile(now, connection)
    }

    /// TCP_CORK, on all subflows.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_cork(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        cork: bool,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| options.cork = cork)?;
        self.call(now, connection, |home, context| {
            home.set_cork(cork, context);
        })
    }

    /// MSG_MORE: whether what is sent from now on waits for more, as with TCP_CORK, whose setting it
    /// leaves alone.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_more(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        more: bool,
    ) -> Result<(), SocketError> {
        self.call(now, connection, |home, context| {
            home.set_more(more, context);
        })
    }

    /// SO_KEEPALIVE, on all subflows.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_keepalive(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        keepalive: Option<Keepalive>,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| options.keepalive = keepalive)?;
        self.call(now, connection, |home, context| {
            home.broadcast(&ToSubflow::SetKeepalive(keepalive), context);
        })
    }

    /// TCP_CONGESTION: the congestion controller of all subflows, those to come among them. Windows
    /// and thresholds stay what they are.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_congestion(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        kind: ControllerKind,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| options.congestion = Some(kind))?;
        self.call(now, connection, |home, context| {
            home.set_congestion(kind, context);
        })
    }

    /// Makes a subflow a backup or a regular one, and tells the peer by MP_PRIO. False when the
    /// connection has no such subflow.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_backup(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        subflow: SubflowHandle,
        backup: bool,
    ) -> Result<bool, SocketError> {
        self.call(now, connection, |home, context| {
            home.set_backup(subflow, backup, context)
        })
    }

    /// TCP_USER_TIMEOUT, on all subflows; `None` leaves it to the retransmission limit.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_user_timeout(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        user_timeout: Option<Duration>,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| options.user_timeout = user_timeout)?;
        self.call(now, connection, |home, context| {
            home.broadcast(&ToSubflow::SetUserTimeout(user_timeout), context);
        })
    }

    /// SO_SNDBUF in bytes, within the bounds of [`super::StackConfig::small_buffer`] and
    /// [`super::MAX_BUFFER`]. What is written is kept whatever the size.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_send_buffer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        bytes: u32,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| options.send_buffer = Some(bytes))?;
        let size = self.buffer_size(Some(bytes), bytes) as usize;
        self.call(now, connection, |home, context| {
            home.set_send_buffer(size, context);
        })
    }

    /// SO_RCVBUF in bytes, within the same bounds. The window grows as far as the scale of each
    /// subflow's handshake lets it; when it shrinks, what the peer was told still holds.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_receive_buffer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        bytes: u32,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| options.receive_buffer = Some(bytes))?;
        let size = self.buffer_size(Some(bytes), bytes) as usize;
        self.call(now, connection, |home, context| {
            home.set_receive_buffer(size, context);
        })
    }

    /// IP_TTL and IPV6_UNICAST_HOPS, for all packets from now on; `None` takes the stack's.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection,
    /// [`SocketError::InvalidArgument`] for zero.
    pub fn set_hop_limit(
        &mut self,
        connection: ConnectionId,
        hop_limit: Option<u8>,
    ) -> Result<(), SocketError> {
        if hop_limit == Some(0) {
            return Err(SocketError::InvalidArgument);
        }
        self.change(connection, |options| options.hop_limit = hop_limit)
    }

    /// IP_TOS and IPV6_TCLASS, for all packets from now on; the lower two bits mean nothing.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_traffic_class(
        &mut self,
        connection: ConnectionId,
        traffic_class: u8,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| options.traffic_class = traffic_class)
    }

    /// What the connection is to be good at: changes the scheduler, and which subflows there are.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_profile(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        profile: Profile,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| {
            options.profile = Some(profile);
            options.scheduler = None;
        })?;
        self.call(now, connection, |home, context| {
            home.set_profile(profile, profile.scheduler(), context);
        })
    }

    /// TCP_MP_SCHEDULER: which subflow carries the next bytes, from now on and until a change of
    /// profile.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_scheduler(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        scheduler: Scheduler,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| options.scheduler = Some(scheduler))?;
        self.call(now, connection, |home, context| {
            home.set_scheduler(scheduler, context);
        })
    }

    /// TCP_MP_REDUNDANCY: on how many subflows each byte goes out from now on, 1 to
    /// [`MAX_REDUNDANCY`](crate::mptcp::connection::MAX_REDUNDANCY), whatever the scheduler.
    ///
    /// # Errors
    ///
    /// [`SocketError::InvalidArgument`] for another number, [`SocketError::BadHandle`] when there
    /// is no such connection.
    pub fn set_redundancy(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        redundancy: u8,
    ) -> Result<(), SocketError> {
        if !is_redundancy(Some(redundancy)) {
            return Err(SocketError::InvalidArgument);
        }
        self.change(connection, |options| options.redundancy = Some(redundancy))?;
        self.call(now, connection, |home, context| {
            home.set_redundancy(Some(redundancy), context);
        })
    }

    /// Takes over the profile that the options lead to, where that is another.
    fn apply_profile(&mut self, now: Instant, connection: ConnectionId) -> Result<(), SocketError> {
        let slot = self.live(connection).ok_or(SocketError::BadHandle)?;
        let profile = self.profile_of(&slot.options);
        let scheduler = self.scheduler_of(&slot.options);
        // Without the policy TCP_NODELAY says nothing about the profile.
        if !self.config.nodelay_selects_latency || slot.connection.profile() == profile {
            return Ok(());
        }
        self.call(now, connection, |home, context| {
            home.set_profile(profile, scheduler, context);
        })
    }

    /// Which of the host's endpoints the connection makes use of from now on.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_path_management(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        management: PathManagement,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| {
            options.path_management = Some(management);
        })?;
        self.call(now, connection, |home, context| {
            home.set_path_management(management, context);
        })
    }

    /// Bounds the subflows of a connection; zero counts as one. Those beyond are closed: first the
    /// ones in their handshake, then those that do not answer, backups, and those that carried the
    /// least. What they carried goes out on the others.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection.
    pub fn set_max_subflows(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        max: u8,
    ) -> Result<(), SocketError> {
        self.change(connection, |options| {
            options.max_subflows = Some(max.max(1));
        })?;
        self.call(now, connection, |home, context| {
            home.set_max_subflows(max, context);
        })
    }

    /// The local addresses that a connection may use from now on; none stands for all. Subflows on
    /// others are closed, make before break: the last one only once another one works. An address
    /// that is no endpoint is used as though it were one with the flag `subflow`.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection,
    /// [`SocketError::AddressNotAvailable`] for an address of no interface,
    /// [`SocketError::InvalidArgument`] for more than 32 of them,
    /// [`SocketError::NotSupported`] when the connection is regular TCP on another address.
    pub fn set_local_addresses(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        addresses: &[IpAddr],
    ) -> Result<(), SocketError> {
        let local = LocalAddresses::new(addresses).ok_or(SocketError::InvalidArgument)?;
        self.check_addresses(local.as_slice())?;
        let slot = self.live(connection).ok_or(SocketError::BadHandle)?;
        let stays = local.allow(slot.flow().local.ip());
        if !stays && slot.connection.info().fallback.is_some() {
            return Err(SocketError::NotSupported);
        }
        self.change(connection, |options| {
            options.local_addresses = local.as_slice().to_vec();
        })?;
        self.call(now, connection, |home, context| {
            home.set_local_addresses(local, context);
        })
    }

    /// Opens a subflow whatever the path management says, from `local` (port 0 for an ephemeral one,
    /// the unspecified address or `None` for what the route selects) to `remote` (port 0 for the
    /// port of the first subflow, `None` for the peer's address of the first subflow). Either side may
    /// do so. [`super::Event::SubflowEstablished`] or [`super::Event::SubflowClosed`] tells how that
    /// ended; it is not tried again.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection, [`SocketError::NotSupported`] when
    /// it does not use MPTCP (yet), [`SocketError::NotConnected`] when it is closing,
    /// [`SocketError::InvalidArgument`] when the addresses make no sense,
    /// [`SocketError::AddressNotAvailable`] when the local one is of no interface,
    /// [`SocketError::NotPermitted`] when the connection may not use the local one, or the peer takes
    /// no joins to the remote one, [`SocketError::NetworkUnreachable`] without a route,
    /// [`SocketError::AddressInUse`] when the very flow exists, [`SocketError::NoBuffers`] when the
    /// limits allow no more.
    pub fn add_subflow(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
        backup: bool,
    ) -> Result<(), SocketError> {
        let (local, remote) = (local.map(canonical), remote.map(canonical));
        let source = local
            .map(|local| local.ip())
            .filter(|ip| !ip.is_unspecified());
        if source.is_some_and(|source| !self.owns(source)) {
            return Err(SocketError::AddressNotAvailable);
        }
        let slot = self
            .connections
            .get_mut(connection.0)
            .filter(|slot| !slot.closed)
            .ok_or(SocketError::BadHandle)?;
        let open = slot
            .connection
            .want_subflow(local, remote, backup, &self.endpoints)?;
        let opened = self.try_open_subflow(now, connection.0, &open)?;
        self.call(now, connection, |home, _| {
            match opened {
                Some((subflow, path)) => home.subflow_opened(None, subflow, path),
                // It is made known by a letter.
                None => home.subflow_ordered(),
            }
        })
    }

    /// Closes a subflow by its number ([`crate::socket::SubflowInfo::id`]). What it carries goes out
    /// on the others, and its path is not opened again until the path management changes.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection, [`SocketError::NotSupported`] when
    /// it does not use MPTCP, [`SocketError::NoSuchSubflow`], and [`SocketError::LastSubflow`] when no
    /// other subflow is established.
    pub fn remove_subflow(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        subflow: u32,
    ) -> Result<(), SocketError> {
        self.call(now, connection, |home, context| {
            home.remove_subflow(subflow, context)
        })?
        .map_err(SocketError::from)
    }

    /// Ranks a subflow by its number: before others while it has room, like others, or as a backup,
    /// which the peer is told by MP_PRIO.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such connection, [`SocketError::NotSupported`] when
    /// it does not use MPTCP, [`SocketError::NoSuchSubflow`].
    pub fn set_priority(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        subflow: u32,
        priority: SubflowPriority,
    ) -> Result<(), SocketError> {
        self.call(now, connection, |home, context| {
            home.set_priority(subflow, priority, context)
        })?
        .map_err(SocketError::from)
    }

    /// Options of the connections that a listener takes from now on. Its device stays as it was
    /// when it began to listen.
    ///
    /// # Errors
    ///
    /// [`SocketError::BadHandle`] when there is no such listener,
    /// [`SocketError::AddressNotAvailable`] for a local address of no interface,
    /// [`SocketError::InvalidArgument`] for a redundancy out of bounds.
    pub fn set_listener_options(
        &mut self,
        listener: ListenerId,
        options: SocketOptions,
    ) -> Result<(), SocketError> {
        if !is_redundancy(options.redundancy) {
            return Err(SocketError::InvalidArgument);
        }
        self.check_addresses(&options.local_addresses)?;
        let listener = self
            .listeners
            .get_mut(listener.0)
            .ok_or(SocketError::BadHandle)?;
        let device = listener.options.socket.device;
        listener.options.socket = SocketOptions { device, ..options };
        Ok(())
    }

    /// Changes what further subflows of a connection are set up with.
    fn change(
        &mut self,
        connection: ConnectionId,
        change: impl FnOnce(&mut SocketOptions),
    ) -> Result<(), SocketError> {
        let slot = self.live_mut(connection).ok_or(SocketError::BadHandle)?;
        change(Arc::make_mut(&mut slot.options));
        slot.settings = slot.settings.wrapping_add(1);
        slot.refresh_block();
        Ok(())
    }

    /// Judges the addresses that options name, and puts each as it goes on the wire.
    pub(super) fn take_addresses(&self, options: &mut SocketOptions) -> Result<(), SocketError> {
        for address in &mut options.local_addresses {
            *address = address.to_canonical();
        }
        self.check_addresses(&options.local_addresses)
    }

    /// Every address must be of an interface.
    fn check_addresses(&self, addresses: &[IpAddr]) -> Result<(), SocketError> {
        if addresses.iter().all(|address| self.owns(*address)) {
            Ok(())
        } else {
            Err(SocketError::AddressNotAvailable)
        }
    }

    /// The way to `remote` from one of the addresses named, any if there are none.
    pub(super) fn path_from(
        &self,
        remote: IpAddr,
        constraint: Constraint,
        named: &[IpAddr],
    ) -> Result<Path, SocketError> {
        let lookup = |constraint| self.routes.lookup(&self.interfaces, remote, constraint);
        let path = lookup(constraint);
        let allowed = |path: &Path| named.is_empty() || named.contains(&path.source);
        match (path, constraint.source) {
            (Some(path), _) if allowed(&path) => return Ok(path),
            (Some(_), Some(_)) => return Err(SocketError::InvalidArgument),
            (None, Some(_)) => return Err(SocketError::NetworkUnreachable),
            (_, None) => {}
        }
        named
            .iter()
            .filter(|own| own.is_ipv4() == remote.is_ipv4())
            .find_map(|own| {
                lookup(Constraint {
                    source: Some(*own),
                    ..constraint
                })
            })
            .ok_or(SocketError::NetworkUnreachable)
    }
}
