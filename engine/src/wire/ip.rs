//! What IPv4 and IPv6 have in common, and a packet of either.

use super::ParseError;
use super::checksum::PseudoHeader;
use super::ethernet::EtherType;
use super::ipv4::Ipv4Header;
use super::ipv6::Ipv6Header;
use core::net::IpAddr;
use core::ops::Range;

/// The protocol above IP (the IANA registry of protocol numbers).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// 1
    Icmpv4,
    /// 6
    Tcp,
    /// 58
    Icmpv6,
    /// Any other number.
    Other(u8),
}

impl Protocol {
    /// The protocol of a number.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Icmpv4,
            6 => Self::Tcp,
            58 => Self::Icmpv6,
            other => Self::Other(other),
        }
    }

    /// The number of a protocol.
    pub const fn number(self) -> u8 {
        match self {
            Self::Icmpv4 => 1,
            Self::Tcp => 6,
            Self::Icmpv6 => 58,
            Self::Other(number) => number,
        }
    }
}

/// The ECN field of the IP header (RFC 3168 section 5).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Ecn {
    /// 00: the transport does not understand ECN.
    #[default]
    NotCapable,
    /// 01: ECT(1).
    Capable1,
    /// 10: ECT(0), what RFC 3168 senders set.
    Capable0,
    /// 11: a router saw congestion.
    CongestionExperienced,
}

/// The byte that is called type of service in IPv4 and traffic class in IPv6.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct TrafficClass {
    dscp: u8,
    ecn: Ecn,
}

impl TrafficClass {
    /// A traffic class; only the lower six bits of `dscp` (RFC 2474) count.
    pub const fn new(dscp: u8, ecn: Ecn) -> Self {
        Self {
            dscp: dscp & 0x3f,
            ecn,
        }
    }

    /// The class of the byte in the header.
    pub const fn from_byte(byte: u8) -> Self {
        let ecn = match byte & 3 {
            0 => Ecn::NotCapable,
            1 => Ecn::Capable1,
            2 => Ecn::Capable0,
            _ => Ecn::CongestionExperienced,
        };
        Self {
            dscp: byte >> 2,
            ecn,
        }
    }

    /// The byte in the header.
    pub const fn byte(self) -> u8 {
        self.dscp << 2 | self.ecn as u8
    }

    /// The differentiated services code point, 0 to 63.
    pub const fn dscp(self) -> u8 {
        self.dscp
    }

    /// The ECN field.
    pub const fn ecn(self) -> Ecn {
        self.ecn
    }
}

/// The header of an IP packet of either version.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum IpHeader {
    /// IPv4.
    V4(Ipv4Header),
    /// IPv6.
    V6(Ipv6Header),
}

impl IpHeader {
    /// Source address.
    pub const fn source(&self) -> IpAddr {
        match self {
            Self::V4(header) => IpAddr::V4(header.source),
            Self::V6(header) => IpAddr::V6(header.source),
        }
    }

    /// Destination address.
    pub const fn destination(&self) -> IpAddr {
        match self {
            Self::V4(header) => IpAddr::V4(header.destination),
            Self::V6(header) => IpAddr::V6(header.destination),
        }
    }

    /// The protocol of the payload.
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::V4(header) => header.protocol,
            Self::V6(header) => header.protocol,
        }
    }

    /// DSCP and ECN.
    pub const fn traffic_class(&self) -> TrafficClass {
        match self {
            Self::V4(header) => header.traffic_class,
            Self::V6(header) => header.traffic_class,
        }
    }

    /// Time to live or hop limit; neighbour discovery asks for 255.
    pub const fn hop_limit(&self) -> u8 {
        match self {
            Self::V4(header) => header.hop_limit,
            Self::V6(header) => header.hop_limit,
        }
    }

    /// The pseudo header that the payload's checksum covers.
    pub const fn pseudo_header(&self) -> PseudoHeader {
        match self {
            Self::V4(header) => header.pseudo_header(),
            Self::V6(header) => header.pseudo_header(),
        }
    }
}

/// An IP packet of either version: its header, and where its payload lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IpPacket {
    /// The header.
    pub header: IpHeader,
    /// The payload within the bytes that were parsed, without link padding.
    pub payload: Range<usize>,
}

impl IpPacket {
    /// Reads the IP packet at the start of an Ethernet payload.
    ///
    /// [`ParseError::Unsupported`] when `ether_type` is neither IPv4 nor IPv6.
    pub fn parse(ether_type: EtherType, bytes: &[u8]) -> Result<Self, ParseError> {
        match ether_type {
            EtherType::Ipv4 => {
                let (header, payload) = Ipv4Header::parse(bytes)?;
                Ok(Self {
                    header: IpHeader::V4(header),
                    payload,
                })
            }
            EtherType::Ipv6 => {
                let (header, payload) = Ipv6Header::parse(bytes)?;
                Ok(Self {
                    header: IpHeader::V6(header),
                    payload,
                })
            }
            EtherType::Arp | EtherType::Other(_) => Err(ParseError::Unsupported),
        }
    }
}
