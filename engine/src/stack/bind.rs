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
    /// By port and address; whether IPv4 is left to others.
    held: BTreeMap<(u16, IpAddr), bool>,
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
            .map(|(&(_, address), &ipv6_only)| Scope { address, ipv6_only })
    }
}

/// The addresses that a socket on one address is meant by.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Scope {
    pub(super) address: IpAddr,
    /// IPV6_V6ONLY.
    pub(super) ipv6_only: bool,
}

impl Scope {
    fn covers(self, some: IpAddr) -> bool {
        // The unspecified address of IPv6 stands for IPv4 too, but for IPV6_V6ONLY.
        let both = self.address.is_ipv6() && !self.ipv6_only;
        self.address.is_unspecified() && (both || self.address.is_ipv4() == some.is_ipv4())
    }

    /// True when one socket of each would both be meant by some packet.
    fn overlaps(self, other: Self) -> bool {
        self.address == other.address || self.covers(other.address) || other.covers(self.address)
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
        self.check_bind(address, false)
    }

    fn check_bind(&self, address: SocketAddr, ipv6_only: bool) -> Result<SocketAddr, SocketError> {
        let ip = address.ip();
        if !ip.is_unspecified() && !self.owns(ip) {
            return Err(SocketError::AddressNotAvailable);
        }
        let port = match address.port() {
            0 => self.free_port().ok_or(SocketError::AddressNotAvailable)?,
            port if self.is_taken(ip, ipv6_only, port) => return Err(SocketError::AddressInUse),
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
        self.hold(address, false)
    }

    /// As [`Self::reserve`] with IPV6_V6ONLY: the unspecified address of IPv6 leaves IPv4 to others.
    ///
    /// # Errors
    ///
    /// Those of [`Self::reserve`].
    pub fn reserve_ipv6_only(&mut self, address: SocketAddr) -> Result<SocketAddr, SocketError> {
        self.hold(address, true)
    }

    fn hold(&mut self, address: SocketAddr, ipv6_only: bool) -> Result<SocketAddr, SocketError> {
        let bound = self.check_bind(address, ipv6_only)?;
        if self.bindings.held.len() >= self.bindings.max {
            return Err(SocketError::NoBuffers);
        }
        if address.port() == 0 {
            self.bindings.next = u32::from(bound.port()) + 1;
        }
        self.bindings
            .held
            .insert((bound.port(), bound.ip()), ipv6_only);
        Ok(bound)
    }

    /// Gives back an address that [`Self::reserve`] returned. One that is not held is ignored.
    pub fn release(&mut self, bound: SocketAddr) {
        self.bindings.held.remove(&(bound.port(), bound.ip()));
    }

    fn is_taken(&self, address: IpAddr, ipv6_only: bool, port: u16) -> bool {
        let wanted = Scope { address, ipv6_only };
        let mut others = self
            .bindings
            .of_port(port)
            .chain(self.listeners.of_port(port));
        others.any(|other| other.overlaps(wanted))
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
