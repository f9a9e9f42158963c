//! The links of the laboratory: numbered, each with its own IPv4 and IPv6 network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::LabError;
use super::namespace::Namespace;

/// The length of the network's part of an address of [`Link::address`], in bits.
pub const fn prefix(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}

/// The internet protocol that a run uses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// One of the two hosts that every link joins.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// The host whose Multipath TCP is the kernel's.
    Peer,
    /// The host under test.
    Engine,
}

/// A link by its number, counted from 1.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Link(pub u8);

impl Link {
    /// The first `count` links.
    pub fn all(count: u8) -> impl Iterator<Item = Self> {
        (1..=count).map(Self)
    }

    /// The name of its interface on either side.
    pub fn interface(self) -> String {
        format!("link{}", self.0)
    }

    /// The address of one side: 10.1.N.1 and fd00:N::1 for the peer, .2 and ::2 for the engine.
    pub fn address(self, family: Family, side: Side) -> IpAddr {
        let host = match side {
            Side::Peer => 1,
            Side::Engine => 2,
        };
        match family {
            Family::V4 => Ipv4Addr::new(10, 1, self.0, host).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, self.0.into(), 0, 0, 0, 0, 0, host.into()).into(),
        }
    }

    /// Gives the kernel's interface of this link the addresses of one side and brings it up.
    pub fn configure(self, namespace: &Namespace, side: Side) -> Result<(), LabError> {
        let mut routes = namespace.routes()?;
        let interface = self.interface();
        for family in [Family::V4, Family::V6] {
            routes.add_address(&interface, self.address(family, side), prefix(family))?;
        }
        routes.set_up(&interface, true)
    }

    /// Makes a veth pair for this link, one end in each namespace, without addresses and down.
    pub fn add_veth(self, engine: &Namespace, peer: &Namespace) -> Result<(), LabError> {
        engine
            .routes()?
            .add_veth(&self.interface(), peer, &self.interface())
    }
}
