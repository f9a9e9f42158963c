//! New connections and subflows enter the tables, all of a kind or nothing, and what they are set
//! up with.

use super::Stack;
use super::batch::PortId;
use super::config::{MAX_BUFFER, MIN_BUFFER, SmallBuffer};
use super::connection::{ConnectionKey, ConnectionSlot};
use super::event::Pending;
use super::flow::Flow;
use super::handshake::{SynAnswer, SynWish};
use super::rest::Form;
use super::route::Path;
use super::subflow::{Home, SubflowKey, SubflowSlot};
use super::timer::Deadline;
use crate::mptcp::connection::{Connection, ConnectionConfig, Role, SubflowPath};
use crate::mptcp::crypto::DigestedKey;
use crate::mptcp::path_manager::{LocalAddresses, MAX_SUBFLOWS};
use crate::mptcp::scheduler::Scheduler;
use crate::mptcp::subflow::Subflow;
use crate::socket::{Profile, SocketOptions};
use crate::storage::flow_table::FourTuple;
use crate::tcp::TcbConfig;
use crate::time::Instant;
use crate::wire::mptcp_option::Key;
use core::net::{IpAddr, SocketAddr};

/// Headers of IP and TCP without options, which an MTU has room for besides the segment.
const HEADERS_IPV4: u16 = 40;
const HEADERS_IPV6: u16 = 60;

/// The largest window field, unscaled.
const MAX_UNSCALED: u32 = 65_535;
/// The largest shift (RFC 7323 section 2.3).
const MAX_SHIFT: u8 = 14;

/// A connection that is to be, with its first subflow.
#[derive(Debug)]
pub(super) struct NewConnection {
    pub(super) subflow: Box<Subflow>,
    pub(super) flow: FourTuple,
    pub(super) path: Path,
    pub(super) role: Role,
    pub(super) local_key: DigestedKey,
    /// Its token is to be known: MPTCP was asked for.
    pub(super) multipath: bool,
    pub(super) options: SocketOptions,
    pub(super) single_path: bool,
}

impl Stack {
    /// Adds a connection with its first subflow. `None` when a table is full or the token taken.
    pub(super) fn add_connection(
        &mut self,
        now: Instant,
        new: NewConnection,
    ) -> Option<(ConnectionKey, SubflowKey)> {
        let connection = self.connections.vacant_key()?;
        let token = new.local_key.digest.token;
        if new.multipath && self.tokens.contains(token) {
            return None;
        }
        let subflow =
            self.admit_subflow(new.subflow, new.flow, new.path, Home::Here(connection))?;
        // Both addresses of the first subflow have the identifier zero.
        let path = SubflowPath {
            local: new.flow.local,
            remote: new.flow.remote,
            local_address_id: 0,
            remote_address_id: 0,
            backup: false,
        };
        let config = self.connection_config(&new.options);
        let config = self.connection_configs.share(&config);
        // Its further subflows are set up like the first, whatever the defaults are by then.
        let mut options = new.options;
        options.congestion.get_or_insert(self.config.congestion);
        options
            .receive_buffer
            .get_or_insert(self.config.receive_buffer);
        let (nodelay, cork) = (options.nodelay, options.cork);
        let local = LocalAddresses::new(&options.local_addresses)?;
        let options = self.options.share(&options);
        let first = self.address(subflow).handle();
        let slot = ConnectionSlot {
            connection: match new.role {
                Role::Client => Connection::connect(config, new.local_key, first, path),
                Role::Server => Connection::accept(config, new.local_key, first, path),
            },
            options,
            single_path: new.single_path,
            joins: 0,
            orders: Vec::new(),
            settings: 0,
            block: None,
            deadline: Deadline::default(),
            holds_frames: false,
            pending: Pending::default(),
            closed: false,
            discards: false,
        };
        self.connections.insert(slot).ok()?;
        if new.multipath {
            self.tokens.insert(token, connection);
        }
        self.with_connection(now, connection, |home, context| {
            if nodelay {
                home.set_nodelay(true, context);
            }
            if cork {
                home.set_cork(true, context);
            }
            if !local.as_slice().is_empty() {
                home.set_local_addresses(local, context);
            }
        });
        Some((connection, subflow))
    }

    /// Adds a subflow of a connection; a half-open connection of the same flow gives way. `None`
    /// when a table is full.
    pub(super) fn admit_subflow(
        &mut self,
        subflow: Box<Subflow>,
        flow: FourTuple,
        path: Path,
        home: Home,
    ) -> Option<SubflowKey> {
        let slot = SubflowSlot {
            subflow: Form::Awake(subflow),
            remote: flow.remote,
            local_port: flow.local.port(),
            home,
            path,
            flow_label: self.random.next_u32() & 0xf_ffff,
            lost_syns: 0,
            deadline: Deadline::default(),
            queued: false,
            touched: Instant::ZERO,
            noted: false,
        };
        let key = self.subflows.insert(slot).ok()?;
        if let Some(Flow::Request(request)) = self.flows.get(&flow).copied() {
            self.remove_request(request);
        }
        if self.flows.insert(flow, Flow::Subflow(key)).is_err() {
            self.subflows.remove(key);
            return None;
        }
        Some(key)
    }

    /// A key whose token leads here and names no connection (RFC 8684 section 3.1).
    pub(super) fn draw_key(&mut self) -> Option<DigestedKey> {
        const TRIES: u32 = 32;
        let place = self.config.place;
        (0..TRIES * u32::from(place.steering().workers())).find_map(|_| {
            let key = DigestedKey::from(Key(self.random.next_u64()));
            let token = key.digest.token;
            (place.is_home_of(token) && !self.tokens.contains(token)).then_some(key)
        })
    }

    /// A local port that no flow to `remote` and no listener has, of a flow of this worker.
    pub(super) fn ephemeral_port(&mut self, local: IpAddr, remote: SocketAddr) -> Option<u16> {
        let (flows, listeners, bindings) = (&self.flows, &self.listeners, &self.bindings);
        let place = self.config.place;
        self.ports
            .choose(&self.secrets, SocketAddr::new(local, 0), remote, |flow| {
                let port = flow.local.port();
                flow.local != flow.remote
                    && place.owns(flow)
                    && !flows.contains(flow)
                    && !listeners.uses_port(port)
                    && !bindings.uses_port(port)
            })
    }

    /// How the TCP of a subflow is set up.
    pub(super) fn tcb_config(
        &self,
        port: PortId,
        flow: &FourTuple,
        options: &SocketOptions,
    ) -> TcbConfig {
        let answer = self.syn_answer(port, flow, options.into());
        TcbConfig {
            maximum_segment_size: answer.maximum_segment_size,
            window_scale: answer.window_scale,
            receive_window: answer.window,
            congestion: options.congestion.unwrap_or(self.config.congestion),
            nodelay: options.nodelay,
            cork: options.cork,
            keepalive: options.keepalive,
            user_timeout: options.user_timeout,
            delayed_ack: self.config.delayed_ack,
            ..TcbConfig::default()
        }
    }

    /// What this side says of itself in the SYN or SYN/ACK of a flow by `port`.
    pub(super) fn syn_answer(&self, port: PortId, flow: &FourTuple, wish: SynWish) -> SynAnswer {
        let mtu = self
            .interfaces
            .by_port(port)
            .map_or(u16::MAX, |found| found.config.mtu);
        let headers = if flow.remote.is_ipv4() {
            HEADERS_IPV4
        } else {
            HEADERS_IPV6
        };
        let window = self.buffer_size(wish.receive_buffer, self.config.receive_buffer);
        let window_scale = (0..MAX_SHIFT)
            .find(|shift| MAX_UNSCALED << shift >= window)
            .unwrap_or(MAX_SHIFT);
        SynAnswer {
            maximum_segment_size: mtu
                .saturating_sub(headers)
                .min(wish.maximum_segment.unwrap_or(u16::MAX)),
            window_scale,
            window,
        }
    }

    /// The size of a buffer, after the stack's rule about small ones.
    pub(super) fn buffer_size(&self, wanted: Option<u32>, default: u32) -> u32 {
        let least = match self.config.small_buffer {
            SmallBuffer::Raise(bound) => bound.clamp(MIN_BUFFER, MAX_BUFFER),
            SmallBuffer::DisableMultipath(_) => MIN_BUFFER,
        };
        wanted.unwrap_or(default).clamp(least, MAX_BUFFER)
    }

    /// True when a buffer is so small that the connection is to be regular TCP.
    pub(super) fn is_too_small_for_multipath(&self, options: &SocketOptions) -> bool {
        match self.config.small_buffer {
            SmallBuffer::Raise(_) => false,
            SmallBuffer::DisableMultipath(bound) => [options.send_buffer, options.receive_buffer]
                .into_iter()
                .flatten()
                .any(|bytes| bytes < bound),
        }
    }

    /// What a connection with these options is to be good at.
    pub(super) fn profile_of(&self, options: &SocketOptions) -> Profile {
        let latency = options.nodelay && self.config.nodelay_selects_latency;
        options.profile.unwrap_or(if latency {
            Profile::LatencyOverflow
        } else {
            self.config.profile
        })
    }

    /// Which scheduler such a connection has: what its application chose goes before all.
    pub(super) fn scheduler_of(&self, options: &SocketOptions) -> Scheduler {
        let default = match options.profile {
            Some(_) => None,
            None => self.config.scheduler,
        };
        options
            .scheduler
            .or(default)
            .unwrap_or(self.profile_of(options).scheduler())
    }

    pub(super) fn connection_config(&self, options: &SocketOptions) -> ConnectionConfig {
        let buffer = |wanted, default| self.buffer_size(wanted, default) as usize;
        ConnectionConfig {
            send_buffer: buffer(options.send_buffer, self.config.send_buffer),
            receive_buffer: buffer(options.receive_buffer, self.config.receive_buffer),
            congestion: options.congestion.unwrap_or(self.config.congestion),
            scheduler: self.scheduler_of(options),
            redundancy: options.redundancy,
            profile: self.profile_of(options),
            path_management: options
                .path_management
                .unwrap_or(self.config.path_management),
            max_subflows: options.max_subflows.unwrap_or(MAX_SUBFLOWS as u8),
            fate_sharing: self.config.fate_sharing,
            fastclose: self.config.fastclose,
            distant_subflows: self.config.message_delay.is_some(),
            ..ConnectionConfig::default()
        }
    }
}
