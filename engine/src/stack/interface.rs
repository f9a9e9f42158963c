//! Interfaces: a port with addresses (RFC 1122 section 3.3.4.2, the strong host model).

use super::batch::{Capabilities, PortId};
use super::config::ConfigError;
use super::loopback;
use super::route::Prefix;
use crate::wire::ethernet::{EthernetHeader, MacAddress};
use crate::wire::neighbour_discovery::solicited_node_multicast;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How an interface is to be set up.
#[derive(Clone, PartialEq, Debug)]
pub struct InterfaceConfig {
    /// The port it sends and receives by.
    pub port: PortId,
    /// Its name in messages, such as `eth0`.
    pub name: String,
    /// Its link address.
    pub mac: MacAddress,
    /// The largest IP packet in bytes; at least 576, with IPv6 1280.
    pub mtu: u16,
    /// Its addresses, each with the length of the prefix that is on the link.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Routers to everywhere else, on one of the prefixes; the first of each family is used.
    pub gateways: Vec<IpAddr>,
    /// What the port takes over.
    pub capabilities: Capabilities,
}

const MIN_MTU_IPV4: u16 = 576;
const MIN_MTU_IPV6: u16 = 1280;

impl InterfaceConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let name = || self.name.clone();
        if !self.mac.is_unicast() {
            return Err(ConfigError::MacAddress { name: name() });
        }
        let has_ipv6 = self.addresses.iter().any(|(address, _)| address.is_ipv6());
        let least = if has_ipv6 { MIN_MTU_IPV6 } else { MIN_MTU_IPV4 };
        if self.mtu < least {
            return Err(ConfigError::Mtu {
                name: name(),
                mtu: self.mtu,
            });
        }
        let needed = usize::from(self.mtu) + EthernetHeader::LEN;
        if needed > self.capabilities.max_frame {
            let max_frame = self.capabilities.max_frame;
            return Err(ConfigError::FrameSize {
                name: name(),
                mtu: self.mtu,
                needed,
                max_frame,
            });
        }
        for &(address, prefix) in &self.addresses {
            if !is_host_address(address) || Prefix::new(address, prefix).is_none() {
                return Err(ConfigError::Address {
                    name: name(),
                    address,
                    prefix,
                });
            }
        }
        for &gateway in &self.gateways {
            if !self.is_on_link(gateway) && !is_link_local(gateway) {
                return Err(ConfigError::Gateway {
                    name: name(),
                    gateway,
                });
            }
        }
        Ok(())
    }

    fn is_on_link(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|&(own, length)| {
            Prefix::new(own, length).is_some_and(|prefix| prefix.contains(address))
        })
    }
}

/// True for an address that one host can have on a link and reach others from.
/// The address and port alone, by the family that goes on the wire: an IPv4 address mapped to IPv6 is
/// how a socket of IPv6 names it (RFC 4291 section 2.5.5.2).
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

pub(super) fn is_host_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.is_loopback())
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast() || v6.is_loopback()),
    }
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// An interface that is in use.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) config: InterfaceConfig,
    pub(super) up: bool,
}

impl Interface {
    pub(super) fn port(&self) -> PortId {
        self.config.port
    }

    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.config.addresses.iter().any(|(own, _)| *own == address)
    }

    pub(super) fn is_on_link(&self, address: IpAddr) -> bool {
        self.config.is_on_link(address)
    }

    /// True for the address that means every host of one of the interface's IPv4 networks.
    pub(super) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address.is_broadcast()
            || self
                .config
                .addresses
                .iter()
                .any(|&(own, length)| match own {
                    IpAddr::V4(own) if length < 31 => {
                        let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                        address.to_bits() == own.to_bits() | host
                    }
                    _ => false,
                })
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.config.addresses.iter().map(|(own, _)| *own)
    }

    /// True for the link addresses whose frames this interface takes: its own, broadcast, all
    /// IPv6 nodes, and the solicited-node groups of its addresses (RFC 4291 section 2.7.1).
    pub(super) fn takes_frames_to(&self, destination: MacAddress) -> bool {
        if destination == self.config.mac || destination == MacAddress::BROADCAST {
            return true;
        }
        if !destination.is_multicast() {
            return false;
        }
        destination == MacAddress::of_ipv6_multicast(ALL_NODES)
            || self.addresses().any(|own| match own {
                IpAddr::V6(own) => {
                    destination == MacAddress::of_ipv6_multicast(solicited_node_multicast(own))
                }
                IpAddr::V4(_) => false,
            })
    }
}

/// Every node of the link.
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// All interfaces of a stack, in the order in which they were added.
#[derive(Debug)]
pub(super) struct Interfaces {
    list: Vec<Interface>,
    /// Not in the list, for it has no addresses.
    loopback: Interface,
}

impl Interfaces {
    /// None but the loopback, with frames of the pool.
    pub(super) fn new(frame_capacity: usize) -> Self {
        Self {
            list: Vec::new(),
            loopback: loopback::interface(frame_capacity),
        }
    }

    pub(super) fn add(&mut self, config: InterfaceConfig) -> Result<(), ConfigError> {
        config.check()?;
        if self.by_port(config.port).is_some() {
            return Err(ConfigError::PortTaken {
                port: config.port.0,
                name: config.name,
            });
        }
        let taken = config
            .addresses
            .iter()
            .find(|(address, _)| self.owner(*address).is_some());
        if let Some(&(address, _)) = taken {
            return Err(ConfigError::AddressTaken {
                name: config.name,
                address,
            });
        }
        self.list.push(Interface { config, up: true });
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Interface> + '_ {
        self.list.iter()
    }

    /// The interface of a port, that of the loopback among them.
    pub(super) fn by_port(&self, port: PortId) -> Option<&Interface> {
        if port == PortId::LOOPBACK {
            return Some(&self.loopback);
        }
        self.list.iter().find(|interface| interface.port() == port)
    }

    pub(super) fn by_port_mut(&mut self, port: PortId) -> Option<&mut Interface> {
        self.list
            .iter_mut()
            .find(|interface| interface.port() == port)
    }

    /// The interface that has `address`.
    pub(super) fn owner(&self, address: IpAddr) -> Option<&Interface> {
        self.list.iter().find(|interface| interface.owns(address))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn config(port: u16, addresses: &[(&str, u8)]) -> InterfaceConfig {
        InterfaceConfig {
            port: PortId(port),
            name: format!("eth{port}"),
            mac: MacAddress([2, 0, 0, 0, 0, port as u8 + 1]),
            mtu: 1500,
            addresses: addresses
                .iter()
                .map(|(text, length)| (ip(text), *length))
                .collect(),
            gateways: Vec::new(),
            capabilities: Capabilities {
                checksum: false,
                segmentation: false,
                attach: false,
                max_frame: 1514,
            },
        }
    }

    pub(in super::super) fn ip(text: &str) -> IpAddr {
        text.parse().expect("the test gives a valid address")
    }

    fn refused(config: InterfaceConfig) -> String {
        let mut interfaces = Interfaces::new(2048);
        interfaces
            .add(super::tests::config(7, &[("10.9.9.9", 24)]))
            .unwrap();
        interfaces.add(config).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_fix() {
        let good = || config(0, &[("10.0.0.1", 24)]);
        assert_eq!(
            refused(InterfaceConfig {
                mac: MacAddress::BROADCAST,
                ..good()
            }),
            "interface eth0: its MAC address is a group address or zero; use a unicast one"
        );
        assert_eq!(
            refused(InterfaceConfig {
                mtu: 1000,
                ..config(0, &[("fd00::1", 64)])
            }),
            "interface eth0: an MTU of 1000 bytes is too small; \
             IPv4 needs at least 576 bytes, IPv6 1280"
        );
        assert_eq!(
            refused(InterfaceConfig {
                mtu: 9000,
                ..good()
            }),
            "interface eth0: an MTU of 9000 bytes needs frames of 9014 bytes, but its port \
             carries at most 1514: lower the MTU"
        );
        assert_eq!(
            refused(config(0, &[("10.0.0.1", 33)])),
            "interface eth0: 10.0.0.1/33 is no unicast address with a valid prefix length"
        );
        assert_eq!(
            refused(config(0, &[("10.9.9.9", 24)])),
            "interface eth0: 10.9.9.9 belongs to another interface already"
        );
        assert_eq!(
            refused(InterfaceConfig {
                gateways: vec![ip("10.0.1.1")],
                ..good()
            }),
            "interface eth0: gateway 10.0.1.1 is on none of its prefixes; \
             add an address of the gateway's network"
        );
        assert_eq!(
            refused(config(7, &[("10.0.0.1", 24)])),
            "port 7 has an interface already: give interface eth7 a port of its own"
        );
    }

    #[test]
    fn takes_frames_to_itself_and_its_groups_only() {
        let mut interfaces = Interfaces::new(2048);
        interfaces.add(config(0, &[("fd00::1:2:3", 64)])).unwrap();
        let interface = interfaces.by_port(PortId(0)).unwrap();
        let takes = |mac| interface.takes_frames_to(MacAddress(mac));
        assert!(takes([2, 0, 0, 0, 0, 1]));
        assert!(takes([0xff; 6]));
        assert!(takes([0x33, 0x33, 0, 0, 0, 1]));
        assert!(takes([0x33, 0x33, 0xff, 2, 0, 3]));
        assert!(!takes([0x33, 0x33, 0xff, 2, 0, 4]));
        assert!(!takes([2, 0, 0, 0, 0, 2]));
    }

    #[test]
    fn broadcast_addresses_follow_the_prefix() {
        let mut interfaces = Interfaces::new(2048);
        interfaces
            .add(config(0, &[("10.1.2.3", 20), ("10.7.0.0", 31)]))
            .unwrap();
        let interface = interfaces.by_port(PortId(0)).unwrap();
        assert!(interface.is_broadcast(Ipv4Addr::new(10, 1, 15, 255)));
        assert!(interface.is_broadcast(Ipv4Addr::BROADCAST));
        assert!(!interface.is_broadcast(Ipv4Addr::new(10, 1, 2, 255)));
        assert!(!interface.is_broadcast(Ipv4Addr::new(10, 7, 0, 1)));
    }
}
