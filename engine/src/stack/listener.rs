//! Listeners and their accept queues (RFC 9293 section 3.10.1, RFC 1122 section 4.2.4.4).

use super::batch::PortId;
use super::bind::{BindOptions, Scope};
use super::connection::ConnectionSlot;
use crate::socket::{ListenOptions, SocketError};
use crate::storage::flow_table::FourTuple;
use crate::storage::slab::{Key, Slab};
use core::net::{IpAddr, SocketAddr};
use std::collections::{HashMap, VecDeque};

pub(super) type ListenerKey = Key<Listener>;

/// A socket that takes connections.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) options: ListenOptions,
    backlog: usize,
    accepted: VecDeque<Key<ConnectionSlot>>,
    /// An event says that the queue is not empty.
    pub(super) announced: bool,
}

impl Listener {
    /// True when no further connection may wait.
    pub(super) fn is_full(&self) -> bool {
        self.accepted.len() >= self.backlog
    }

    /// How many connections may wait, and how many do.
    pub(super) fn queue(&self) -> (usize, usize) {
        (self.backlog, self.accepted.len())
    }

    pub(super) fn push(&mut self, connection: Key<ConnectionSlot>) {
        self.accepted.push_back(connection);
    }

    pub(super) fn pop(&mut self) -> Option<Key<ConnectionSlot>> {
        self.accepted.pop_front()
    }

    /// Connections stay on one path when the listener is bound to an address or a device.
    pub(super) fn is_single_path(&self) -> bool {
        !self.address.ip().is_unspecified() || self.options.socket.device.is_some()
    }

    fn bind_options(&self) -> BindOptions {
        bind_options(&self.options)
    }

    /// How closely it is meant by segments to an address that it takes.
    fn rank(&self, address: IpAddr) -> ((bool, bool), bool) {
        let own = self.address.ip();
        let rank = (!own.is_unspecified(), own.is_ipv4() == address.is_ipv4());
        (rank, self.options.socket.device.is_some())
    }

    fn takes(&self, address: IpAddr, port: PortId) -> bool {
        let own = self.address.ip();
        // Listening on all IPv6 addresses takes IPv4 too, but for IPV6_V6ONLY.
        let both = own.is_ipv6() && !self.options.ipv6_only;
        let of_address = own == address
            || (own.is_unspecified() && (both || own.is_ipv4() == address.is_ipv4()));
        let local = &self.options.socket.local_addresses;
        of_address
            && (local.is_empty() || local.contains(&address))
            && self
                .options
                .socket
                .device
                .is_none_or(|device| device == port)
    }
}

fn bind_options(options: &ListenOptions) -> BindOptions {
    BindOptions {
        ipv6_only: options.ipv6_only,
        shared_by: options.shared_by,
    }
}

/// All listeners.
#[derive(Debug)]
pub(super) struct Listeners {
    slab: Slab<Listener>,
    by_port: HashMap<u16, Vec<ListenerKey>, ahash::RandomState>,
    accept_queue: usize,
}

impl Listeners {
    pub(super) fn new(max: usize, accept_queue: usize, seeds: [u64; 4]) -> Self {
        let [a, b, c, d] = seeds;
        let hasher = ahash::RandomState::with_seeds(a, b, c, d);
        Self {
            slab: Slab::new(max),
            by_port: HashMap::with_hasher(hasher),
            accept_queue,
        }
    }

    pub(super) fn add(
        &mut self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> Result<ListenerKey, SocketError> {
        let backlog = self.backlog(options.backlog);
        let of_port = self.by_port.entry(address.port()).or_default();
        let device = options.socket.device;
        let taken = of_port
            .iter()
            .filter_map(|key| self.slab.get(*key))
            .any(|other| {
                other.address == address
                    && other.options.socket.device == device
                    && !other.bind_options().share(bind_options(&options))
            });
        if taken {
            return Err(SocketError::AddressInUse);
        }
        let accepted = VecDeque::with_capacity(backlog.min(128));
        let listener = Listener {
            address,
            options,
            backlog,
            accepted,
            announced: false,
        };
        let key = self
            .slab
            .insert(listener)
            .map_err(|_| SocketError::NoBuffers)?;
        of_port.push(key);
        Ok(key)
    }

    fn backlog(&self, wanted: usize) -> usize {
        wanted.clamp(1, self.accept_queue.max(1))
    }

    /// Changes how many connections may wait; those that do stay. False without that listener.
    pub(super) fn set_backlog(&mut self, key: ListenerKey, wanted: usize) -> bool {
        let backlog = self.backlog(wanted);
        let listener = self.slab.get_mut(key);
        listener.map(|found| found.backlog = backlog).is_some()
    }

    pub(super) fn remove(&mut self, key: ListenerKey) -> Option<Listener> {
        let listener = self.slab.remove(key)?;
        if let Some(of_port) = self.by_port.get_mut(&listener.address.port()) {
            of_port.retain(|other| *other != key);
        }
        Some(listener)
    }

    pub(super) fn get(&self, key: ListenerKey) -> Option<&Listener> {
        self.slab.get(key)
    }

    pub(super) fn get_mut(&mut self, key: ListenerKey) -> Option<&mut Listener> {
        self.slab.get_mut(key)
    }

    /// The listener that takes a SYN of `flow` which came in by `port`: one of that very address goes
    /// first. Among those that share an address the flow decides, so each of its segments finds the
    /// same one for as long as they stay.
    pub(super) fn find(&self, flow: &FourTuple, port: PortId) -> Option<ListenerKey> {
        let address = flow.local.ip();
        let of_port = self.by_port.get(&flow.local.port())?;
        let ranked = || {
            of_port
                .iter()
                .filter_map(|key| Some((*key, self.slab.get(*key)?)))
                .filter(|(_, listener)| listener.takes(address, port))
                .map(|(key, listener)| (key, listener.rank(address)))
        };
        let best = ranked().map(|(_, rank)| rank).max()?;
        let mut meant = ranked().filter(|(_, rank)| *rank == best);
        let count = meant.clone().count() as u64;
        let chosen = if count > 1 {
            self.by_port.hasher().hash_one(flow) % count
        } else {
            0
        };
        meant.nth(chosen as usize).map(|(key, _)| key)
    }

    /// All listeners, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ListenerKey, &Listener)> + '_ {
        self.slab.iter()
    }

    /// Where listeners of that port number listen.
    pub(super) fn of_port(&self, port: u16) -> impl Iterator<Item = Scope> + '_ {
        let keys = self.by_port.get(&port).map_or(&[][..], Vec::as_slice);
        keys.iter()
            .filter_map(|key| self.slab.get(*key))
            .map(|listener| Scope {
                address: listener.address.ip(),
                options: listener.bind_options(),
            })
    }

    /// True when somebody listens on that port number.
    pub(super) fn uses_port(&self, port: u16) -> bool {
        self.by_port
            .get(&port)
            .is_some_and(|listeners| !listeners.is_empty())
    }
}
