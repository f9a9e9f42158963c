//! From a destination to an interface, a next hop and a source address (RFC 1122 section 3.3.1,
//! source selection after RFC 6724).
//!
//! A packet that has a source address leaves by the interface that owns it: each subflow of a
//! connection keeps to its path.

use super::batch::PortId;
use super::config::ConfigError;
use super::interface::{Interface, Interfaces, is_link_local};
use core::cmp::Reverse;
use core::net::IpAddr;

/// A range of addresses that share their leading bits.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The addresses whose first `length` bits are those of `address`; `None` when the family
    /// has fewer bits.
    pub const fn new(address: IpAddr, length: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if length > bits {
            None
        } else {
            Some(Self { address, length })
        }
    }

    /// Number of bits that the addresses share.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// True when `address` is in the range.
    pub fn contains(self, address: IpAddr) -> bool {
        common_bits(self.address, address).is_some_and(|bits| bits >= u32::from(self.length))
    }

    /// Every address of the family of `like`.
    const fn everywhere(like: IpAddr) -> Self {
        Self {
            address: like,
            length: 0,
        }
    }
}

/// How many leading bits two addresses of one family share.
fn common_bits(one: IpAddr, other: IpAddr) -> Option<u32> {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            Some((one.to_bits() ^ other.to_bits()).leading_zeros())
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            Some((one.to_bits() ^ other.to_bits()).leading_zeros())
        }
        _ => None,
    }
}

#[derive(Copy, Clone, Debug)]
struct Route {
    prefix: Prefix,
    port: PortId,
    gateway: Option<IpAddr>,
}

/// How packets reach a destination.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Path {
    /// The port they leave by.
    pub(super) port: PortId,
    /// The source address.
    pub(super) source: IpAddr,
    /// The neighbour they are handed to.
    pub(super) next_hop: IpAddr,
}

/// What a packet's way depends on besides its destination.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Constraint {
    /// It has this source address.
    pub(super) source: Option<IpAddr>,
    /// It leaves by this port.
    pub(super) port: Option<PortId>,
}

/// The routes of all interfaces, longest prefix first.
#[derive(Debug, Default)]
pub(super) struct Routes {
    list: Vec<Route>,
}

impl Routes {
    /// Adds the routes that follow from an interface: its networks, and its gateways.
    pub(super) fn add_interface(&mut self, interface: &Interface) {
        let port = interface.port();
        for &(address, length) in &interface.config.addresses {
            if let Some(prefix) = Prefix::new(address, length) {
                self.insert(Route {
                    prefix,
                    port,
                    gateway: None,
                });
            }
        }
        for &gateway in &interface.config.gateways {
            let prefix = Prefix::everywhere(gateway);
            self.insert(Route {
                prefix,
                port,
                gateway: Some(gateway),
            });
        }
    }

    /// Adds a route to `prefix` by `gateway`, or directly on the link.
    pub(super) fn add(
        &mut self,
        interfaces: &Interfaces,
        port: PortId,
        prefix: Prefix,
        gateway: Option<IpAddr>,
    ) -> Result<(), ConfigError> {
        let interface = interfaces
            .by_port(port)
            .ok_or(ConfigError::NoInterface { port: port.0 })?;
        if let Some(gateway) = gateway
            && !interface.is_on_link(gateway)
            && !is_link_local(gateway)
        {
            return Err(ConfigError::Gateway {
                name: interface.config.name.clone(),
                gateway,
            });
        }
        self.insert(Route {
            prefix,
            port,
            gateway,
        });
        Ok(())
    }

    fn insert(&mut self, route: Route) {
        let key = |route: &Route| Reverse(route.prefix.length());
        let place = self.list.partition_point(|other| key(other) <= key(&route));
        self.list.insert(place, route);
    }

    /// The address of the interface that a packet to `destination` is sent from.
    pub(super) fn source_on(&self, interface: &Interface, destination: IpAddr) -> Option<IpAddr> {
        select_source(interface, destination)
    }

    /// The way to an address of this host, from that address itself unless another is asked for.
    /// A socket that is bound to a device reaches it too, as Linux has it.
    fn loopback(
        interfaces: &Interfaces,
        destination: IpAddr,
        constraint: Constraint,
    ) -> Option<Path> {
        let source = constraint.source.unwrap_or(destination);
        interfaces.owner(source).is_some().then_some(Path {
            port: PortId::LOOPBACK,
            source,
            next_hop: destination,
        })
    }

    /// The way to `destination`, by interfaces whose link is up, or within the host.
    pub(super) fn lookup(
        &self,
        interfaces: &Interfaces,
        destination: IpAddr,
        constraint: Constraint,
    ) -> Option<Path> {
        let mixed = |source: IpAddr| source.is_ipv4() != destination.is_ipv4();
        if constraint.source.is_some_and(mixed) {
            return None;
        }
        if interfaces.owner(destination).is_some() {
            return Self::loopback(interfaces, destination, constraint);
        }
        self.list
            .iter()
            .filter(|route| route.prefix.contains(destination))
            .find_map(|route| {
                if constraint.port.is_some_and(|port| port != route.port) {
                    return None;
                }
                let interface = interfaces
                    .by_port(route.port)
                    .filter(|interface| interface.up)?;
                let source = match constraint.source {
                    Some(source) => interface.owns(source).then_some(source)?,
                    None => select_source(interface, destination)?,
                };
                let next_hop = route.gateway.unwrap_or(destination);
                Some(Path {
                    port: route.port,
                    source,
                    next_hop,
                })
            })
    }
}

/// The address of the interface that suits the destination: of its scope if there is one, then
/// the one with the longest common prefix, then the first.
fn select_source(interface: &Interface, destination: IpAddr) -> Option<IpAddr> {
    let mut best: Option<((bool, u32), IpAddr)> = None;
    for own in interface.addresses() {
        let Some(bits) = common_bits(own, destination) else {
            continue;
        };
        let rank = (is_link_local(own) == is_link_local(destination), bits);
        if best.is_none_or(|(former, _)| rank > former) {
            best = Some((rank, own));
        }
    }
    best.map(|(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::super::interface::tests::{config, ip};
    use super::*;

    fn set_up() -> (Interfaces, Routes) {
        let mut interfaces = Interfaces::new(2048);
        let mut first = config(0, &[("10.0.0.1", 24), ("fe80::1", 64), ("fd00::1", 64)]);
        first.gateways = vec![ip("10.0.0.254")];
        interfaces.add(first).unwrap();
        interfaces
            .add(config(1, &[("10.0.1.1", 24), ("10.0.1.2", 24)]))
            .unwrap();
        let mut routes = Routes::default();
        for port in [PortId(0), PortId(1)] {
            routes.add_interface(interfaces.by_port(port).unwrap());
        }
        (interfaces, routes)
    }

    fn path(port: u16, source: &str, next_hop: &str) -> Option<Path> {
        Some(Path {
            port: PortId(port),
            source: ip(source),
            next_hop: ip(next_hop),
        })
    }

    #[test]
    fn the_longest_prefix_wins_and_the_gateway_takes_the_rest() {
        let (interfaces, mut routes) = set_up();
        let any = Constraint::default();
        let way = |routes: &Routes, to| routes.lookup(&interfaces, ip(to), any);
        assert_eq!(way(&routes, "10.0.1.9"), path(1, "10.0.1.1", "10.0.1.9"));
        assert_eq!(way(&routes, "192.0.2.1"), path(0, "10.0.0.1", "10.0.0.254"));
        assert_eq!(way(&routes, "2001:db8::1"), None);
        let narrow = Prefix::new(ip("192.0.2.0"), 24).unwrap();
        routes
            .add(&interfaces, PortId(1), narrow, Some(ip("10.0.1.254")))
            .unwrap();
        assert_eq!(way(&routes, "192.0.2.1"), path(1, "10.0.1.1", "10.0.1.254"));
    }

    #[test]
    fn a_source_address_keeps_to_its_interface() {
        let (interfaces, routes) = set_up();
        let from = |source| Constraint {
            source: Some(ip(source)),
            port: None,
        };
        let way = |to, constraint| routes.lookup(&interfaces, ip(to), constraint);
        assert_eq!(
            way("10.0.1.9", from("10.0.1.2")),
            path(1, "10.0.1.2", "10.0.1.9")
        );
        assert_eq!(
            way("10.0.1.9", from("10.0.0.1")),
            path(0, "10.0.0.1", "10.0.0.254")
        );
        assert_eq!(way("10.0.0.9", from("10.0.1.1")), None);
        assert_eq!(way("10.0.0.9", from("10.0.9.9")), None);
        let by_port = Constraint {
            source: None,
            port: Some(PortId(1)),
        };
        assert_eq!(way("192.0.2.1", by_port), None);
    }

    #[test]
    fn the_source_has_the_scope_of_the_destination() {
        let (interfaces, routes) = set_up();
        let way = |to| routes.lookup(&interfaces, ip(to), Constraint::default());
        assert_eq!(way("fe80::9"), path(0, "fe80::1", "fe80::9"));
        assert_eq!(way("fd00::9"), path(0, "fd00::1", "fd00::9"));
    }

    #[test]
    fn a_dead_link_carries_nothing() {
        let (mut interfaces, routes) = set_up();
        interfaces.by_port_mut(PortId(1)).unwrap().up = false;
        let way = |to| routes.lookup(&interfaces, ip(to), Constraint::default());
        assert_eq!(way("10.0.1.9"), path(0, "10.0.0.1", "10.0.0.254"));
    }

    #[test]
    fn an_own_address_is_reached_within_the_host() {
        let (mut interfaces, routes) = set_up();
        // Whatever its link does.
        interfaces.by_port_mut(PortId(1)).unwrap().up = false;
        let way = |to, source: Option<&str>| {
            let constraint = Constraint {
                source: source.map(ip),
                port: Some(PortId(1)),
            };
            routes.lookup(&interfaces, ip(to), constraint)
        };
        let loopback = |source, to| path(PortId::LOOPBACK.0, source, to);
        assert_eq!(way("10.0.1.1", None), loopback("10.0.1.1", "10.0.1.1"));
        assert_eq!(
            way("10.0.1.1", Some("10.0.0.1")),
            loopback("10.0.0.1", "10.0.1.1")
        );
        assert_eq!(way("10.0.1.1", Some("10.0.0.9")), None);
        assert_eq!(way("10.0.1.1", Some("fd00::1")), None);
    }
}
