//! Ethernet II frames, untagged (IEEE 802.3 clause 3; RFC 894, RFC 2464).

use super::cursor::{Reader, Writer};
use super::{EmitError, ParseError};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// The address of a network interface.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Every interface of the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// True for group addresses, broadcast among them.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// True when the address can belong to one interface: neither a group nor all zero.
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::default()
    }

    /// The group address that an IPv4 multicast address maps to (RFC 1112 section 6.4).
    pub const fn of_ipv4_multicast(address: Ipv4Addr) -> Self {
        let [_, b, c, d] = address.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group address that an IPv6 multicast address maps to (RFC 2464 section 7).
    pub const fn of_ipv6_multicast(address: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = address.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a frame carries.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum EtherType {
    /// 0x0800
    Ipv4,
    /// 0x0806
    Arp,
    /// 0x86dd
    Ipv6,
    /// Any other number.
    Other(u16),
}

impl EtherType {
    /// The type of a number.
    pub const fn from_number(number: u16) -> Self {
        match number {
            0x0800 => Self::Ipv4,
            0x0806 => Self::Arp,
            0x86dd => Self::Ipv6,
            other => Self::Other(other),
        }
    }

    /// The number of a type.
    pub const fn number(self) -> u16 {
        match self {
            Self::Ipv4 => 0x0800,
            Self::Arp => 0x0806,
            Self::Ipv6 => 0x86dd,
            Self::Other(number) => number,
        }
    }
}

/// The header of a frame.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct EthernetHeader {
    /// Who the frame is for.
    pub destination: MacAddress,
    /// Who sent it.
    pub source: MacAddress,
    /// What it carries.
    pub ether_type: EtherType,
}

impl EthernetHeader {
    /// Length of the header in bytes.
    pub const LEN: usize = 14;

    /// Reads a header; what follows [`Self::LEN`] is the payload, with padding if the frame was short.
    pub fn parse(frame: &[u8]) -> Result<(Self, usize), ParseError> {
        let mut reader = Reader::new(frame);
        let header = Self {
            destination: MacAddress(reader.array()?),
            source: MacAddress(reader.array()?),
            ether_type: EtherType::from_number(reader.u16()?),
        };
        Ok((header, Self::LEN))
    }

    /// Writes the header to the front of `buffer`.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let mut writer = Writer::new(buffer);
        writer.array(self.destination.0)?;
        writer.array(self.source.0)?;
        writer.u16(self.ether_type.number())?;
        Ok(Self::LEN)
    }
}
