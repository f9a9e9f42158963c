//! Addresses and ports that sockets hold before they listen or connect (RFC 9293 section 3.9.1, as
//! POSIX `bind` has it).

use super::Stack;
use super::route::Constraint;
use crate::socket::SocketError;
use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

/// The addresses that are held. Bounded, as each belongs to a socket.
#[derive(Debug)]
pub(super) struct Bindings {
    /// By port and address.
    held: BTreeMap<(u16, IpAddr), Held>,
    max: usize,
    /// Where the search for a free port goes on.
    next: u32,
}

impl Bindings {
    pub(super) fn new(max: usize) -> Self {
        Self {
            held: BTreeMap::new(),
            max: max.max(1),
            next: 0,
        }
    }

    /// True when the port is held on any address.
    pub(super) fn uses_port(&self, port: u16) -> bool {
        self.of_port(port).next().is_some()
    }

    fn of_port(&self, port: u16) -> impl Iterator<Item = Scope> + '_ {
        // IPv4 addresses come before those of IPv6 in their order.
        let first = IpAddr::from([0; 4]);
        let last = IpAddr::from([u8::MAX; 16]);
        self.held
            .range((port, first)..=(port, last))
            .map(|(&(_, address), held)| Scope {
                address,
                options: held.options,
            })
    }
}

/// An address that is held, by several sockets where they share it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Held {
    options: BindOptions,
    holders: u32,
}

/// How a socket is bound.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct BindOptions {
    /// IPV6_V6ONLY: the unspecified address of IPv6 leaves IPv4 to others.
    pub ipv6_only: bool,
    /// SO_REUSEPORT: the user whose other sockets may hold the address too, if they ask for it.
    pub shared_by: Option<u32>,
}

impl BindOptions {
    /// Whether sockets with these and with other options may be where both are meant.
    pub(super) fn share(self, other: Self) -> bool {
        self.shared_by.is_some() && self.shared_by == other.shared_by
    }
}

/// The addresses that a socket on one address is meant by.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Scope {
    pub(super) address: IpAddr,
    pub(super) options: BindOptions,
}

impl Scope {
    fn covers(self, some: IpAddr) -> bool {
        // The unspecified address of IPv6 stands for IPv4 too, but for IPV6_V6ONLY.
        let both = self.address.is_ipv6() && !self.options.ipv6_only;
        self.address.is_unspecified() && (both || self.address.is_ipv4() == some.is_ipv4())
    }

    /// True when one socket of each would both be meant by some packet.
    fn overlaps(self, other: Self) -> bool {
        self.address == other.address || self.covers(other.address) || other.covers(self.address)
    }

    /// True when there may not be one of each.
    fn excludes(self, other: Self) -> bool {
        let alike = self.address != other.address || self.options == other.options;
        self.overlaps(other) && !(alike && self.options.share(other.options))
    }
}

impl Stack {
    /// True when the address is one of an interface.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.interfaces.owner(address).is_some()
    }

    /// True when packets to `address` have a way: out by an interface whose link is up, or within the
    /// host to an address of its own.
    pub fn has_route(&self, address: IpAddr) -> bool {
        self.routes
            .lookup(&self.interfaces, address, Constraint::default())
            .is_some()
    }

    /// Judges whether a socket can be bound there: the address is one of an interface or the
    /// unspecified one, and no other socket holds the port on it or listens there. Returns the
    /// address with the port; for port zero a free one.
    ///
    /// # Errors
    ///
    /// [`SocketError::AddressNotAvailable`] for an address of no interface, or when no ephemeral
    /// port is free; [`SocketError::AddressInUse`].
    pub fn bind_check(&self, address: SocketAddr) -> Result<SocketAddr, SocketError> {
        self.check_bind(address, BindOptions::default())
    }

    fn check_bind(
        &self,
        address: SocketAddr,
        options: BindOptions,
    ) -> Result<SocketAddr, SocketError> {
        let ip = address.ip();
        if !ip.is_unspecified() && !self.owns(ip) {
            return Err(SocketError::AddressNotAvailable);
        }
        let port = match address.port() {
            0 => self.free_port().ok_or(SocketError::AddressNotAvailable)?,
            port if self.is_taken(ip, options, port) => return Err(SocketError::AddressInUse),
            port => port,
        };
        Ok(SocketAddr::new(ip, port))
    }

    /// Binds: as [`Self::bind_check`], and the address is held until [`Self::release`]. The holder
    /// itself may listen there and connect from there.
    ///
    /// # Errors
    ///
    /// Those of [`Self::bind_check`], and [`SocketError::NoBuffers`] when as many are held as may be.
    pub fn reserve(&mut self, address: SocketAddr) -> Result<SocketAddr, SocketError> {
        self.reserve_with(address, BindOptions::default())
    }

    /// As [`Self::reserve`], with options.
    ///
    /// # Errors
    ///
    /// Those of [`Self::reserve`].
    pub fn reserve_with(
        &mut self,
        address: SocketAddr,
        options: BindOptions,
    ) -> Result<SocketAddr, SocketError> {
        let bound = self.check_bind(address, options)?;
        if let Some(held) = self.bindings.held.get_mut(&(bound.port(), bound.ip())) {
            // Judged just now: they share it.
            held.holders += 1;
            return Ok(bound);
        }
        if self.bindings.held.len() >= self.bindings.max {
            return Err(SocketError::NoBuffers);
        }
        if address.port() == 0 {
            self.bindings.next = u32::from(bound.port()) + 1;
        }
        let held = Held {
            options,
            holders: 1,
        };
        self.bindings.held.insert((bound.port(), bound.ip()), held);
        Ok(bound)
    }

    /// Gives back an address that [`Self::reserve`] returned. One that is not held is ignored.
    pub fn release(&mut self, bound: SocketAddr) {
        let place = (bound.port(), bound.ip());
        if let Some(held) = self.bindings.held.get_mut(&place) {
            held.holders -= 1;
            if held.holders == 0 {
                self.bindings.held.remove(&place);
            }
        }
    }

    fn is_taken(&self, address: IpAddr, options: BindOptions, port: u16) -> bool {
        let wanted = Scope { address, options };
        let mut others = self
            .bindings
            .of_port(port)
            .chain(self.listeners.of_port(port));
        others.any(|other| other.excludes(wanted))
    }

    /// A port that nobody holds and nobody listens on, on any address.
    fn free_port(&self) -> Option<u16> {
        let (first, last) = (
            *self.config.ephemeral_ports.start(),
            *self.config.ephemeral_ports.end(),
        );
        let count = u32::from(last.saturating_sub(first)) + 1;
        let start = self.bindings.next.saturating_sub(first.into()) % count;
        (0..count)
            .map(|step| first.wrapping_add(((start + step) % count) as u16))
            .find(|port| !self.bindings.uses_port(*port) && !self.listeners.uses_port(*port))
    }
}
