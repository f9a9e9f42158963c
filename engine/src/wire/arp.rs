//! Address resolution for IPv4 on Ethernet (RFC 826).

use super::cursor::{Reader, Writer};
use super::ethernet::{EtherType, MacAddress};
use super::{EmitError, ParseError};
use core::net::Ipv4Addr;

/// What the sender wants.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ArpOperation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// An ARP packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ArpPacket {
    /// Request or reply.
    pub operation: ArpOperation,
    /// Link address of the sender.
    pub sender_mac: MacAddress,
    /// Address of the sender; 0.0.0.0 in a probe (RFC 5227).
    pub sender_address: Ipv4Addr,
    /// Link address of the target; without meaning in a request.
    pub target_mac: MacAddress,
    /// The address asked for, or that of who asked.
    pub target_address: Ipv4Addr,
}

const HARDWARE_ETHERNET: u16 = 1;

impl ArpPacket {
    /// Length of the packet in bytes, without the padding of a short frame.
    pub const LEN: usize = 28;

    /// Reads a packet; padding after it is ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        let hardware = reader.u16()?;
        let protocol = reader.u16()?;
        if hardware != HARDWARE_ETHERNET || protocol != EtherType::Ipv4.number() {
            return Err(ParseError::Unsupported);
        }
        if reader.array()? != [6, 4] {
            return Err(ParseError::Length);
        }
        let operation = match reader.u16()? {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            _ => return Err(ParseError::Unsupported),
        };
        Ok(Self {
            operation,
            sender_mac: MacAddress(reader.array()?),
            sender_address: Ipv4Addr::from(reader.array::<4>()?),
            target_mac: MacAddress(reader.array()?),
            target_address: Ipv4Addr::from(reader.array::<4>()?),
        })
    }

    /// Writes the packet to the front of `buffer`.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let mut writer = Writer::new(buffer);
        writer.u16(HARDWARE_ETHERNET)?;
        writer.u16(EtherType::Ipv4.number())?;
        writer.array([6, 4])?;
        writer.u16(match self.operation {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
        })?;
        writer.array(self.sender_mac.0)?;
        writer.array(self.sender_address.octets())?;
        writer.array(self.target_mac.0)?;
        writer.array(self.target_address.octets())?;
        Ok(Self::LEN)
    }
}
