//! The IPv6 header and the extension headers before the payload (RFC 8200).

use super::checksum::PseudoHeader;
use super::cursor::{Reader, Writer};
use super::ip::{Protocol, TrafficClass};
use super::{EmitError, ParseError};
use core::net::Ipv6Addr;
use core::ops::Range;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// More extension headers than this are refused: no honest packet has them.
const MAX_EXTENSION_HEADERS: usize = 8;

/// An IPv6 header, of a datagram that is not a fragment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Ipv6Header {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// The protocol of the payload, past all extension headers.
    pub protocol: Protocol,
    /// Hop limit; neighbour discovery is valid with 255 only.
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// Flow label; the lower 20 bits count (RFC 6437).
    pub flow_label: u32,
}

impl Ipv6Header {
    /// Length of the header as this type emits it.
    pub const LEN: usize = 40;

    fn read(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let mut reader = Reader::new(bytes);
        let first = reader.u32()?;
        if first >> 28 != 6 {
            return Err(ParseError::Version);
        }
        let payload_length = usize::from(reader.u16()?);
        let next_header = reader.u8()?;
        let hop_limit = reader.u8()?;
        let header = Self {
            source: Ipv6Addr::from(reader.array::<16>()?),
            destination: Ipv6Addr::from(reader.array::<16>()?),
            protocol: Protocol::from_number(next_header),
            hop_limit,
            traffic_class: TrafficClass::from_byte((first >> 20) as u8),
            flow_label: first & 0xf_ffff,
        };
        Ok((header, payload_length))
    }

    /// Reads a header and skips the extension headers. Returns the range of the payload within
    /// `bytes`, without what the link padded.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Range<usize>), ParseError> {
        let (mut header, payload_length) = Self::read(bytes)?;
        let end = Self::LEN + payload_length;
        let datagram = bytes.get(..end).ok_or(ParseError::Truncated)?;
        let (protocol, start) = skip_extension_headers(header.protocol, datagram)?;
        header.protocol = protocol;
        Ok((header, start..end))
    }

    /// Reads the header of a datagram that an ICMP error quotes, and returns where its payload
    /// begins. The quotation is cut, so its length is not checked.
    pub(super) fn parse_quoted(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let (mut header, _) = Self::read(bytes)?;
        let (protocol, start) = skip_extension_headers(header.protocol, bytes)?;
        header.protocol = protocol;
        Ok((header, start))
    }

    /// Writes the header of a datagram with `payload_length` bytes after it.
    pub fn emit(&self, payload_length: usize, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let length = u16::try_from(payload_length).map_err(|_| EmitError::PayloadTooLong {
            length: payload_length,
        })?;
        let traffic_class = u32::from(self.traffic_class.byte());
        let mut writer = Writer::new(buffer);
        writer.u32(6 << 28 | traffic_class << 20 | self.flow_label & 0xf_ffff)?;
        writer.u16(length)?;
        writer.array([self.protocol.number(), self.hop_limit])?;
        writer.array(self.source.octets())?;
        writer.array(self.destination.octets())?;
        Ok(Self::LEN)
    }

    /// The pseudo header that the payload's checksum covers.
    pub const fn pseudo_header(&self) -> PseudoHeader {
        PseudoHeader::V6 {
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
        }
    }
}

/// The protocol after the extension headers of `datagram`, and where it begins.
fn skip_extension_headers(
    first: Protocol,
    datagram: &[u8],
) -> Result<(Protocol, usize), ParseError> {
    let mut reader = Reader::new(datagram);
    reader.slice(Ipv6Header::LEN)?;
    let mut next_header = first.number();
    for _ in 0..=MAX_EXTENSION_HEADERS {
        match next_header {
            HOP_BY_HOP | DESTINATION_OPTIONS => {
                let (next, content) = extension_header(&mut reader)?;
                check_options(content)?;
                next_header = next;
            }
            ROUTING => {
                let (next, content) = extension_header(&mut reader)?;
                // No routing type is understood, and such a header is skipped only when it has
                // nothing left to route (section 4.4).
                if content.get(1) != Some(&0) {
                    return Err(ParseError::Unsupported);
                }
                next_header = next;
            }
            FRAGMENT => next_header = atomic_fragment(&mut reader)?,
            protocol => {
                let start = datagram.len() - reader.rest().len();
                return Ok((Protocol::from_number(protocol), start));
            }
        }
    }
    Err(ParseError::Unsupported)
}

/// Takes an extension header with a length field: what comes next, and its content.
fn extension_header<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), ParseError> {
    let [next, length] = reader.array()?;
    Ok((next, reader.slice(usize::from(length) * 8 + 6)?))
}

/// Refuses options that ask to be understood: the two highest bits of their type are not zero
/// (section 4.2). None of them is.
fn check_options(content: &[u8]) -> Result<(), ParseError> {
    const PAD_1: u8 = 0;
    let mut reader = Reader::new(content);
    while !reader.is_empty() {
        let kind = reader.u8()?;
        if kind >> 6 != 0 {
            return Err(ParseError::Unsupported);
        }
        if kind != PAD_1 {
            let length = reader.u8()?;
            reader.slice(usize::from(length))?;
        }
    }
    Ok(())
}

/// Takes a fragment header. One that stands for a whole datagram is skipped (RFC 6946).
fn atomic_fragment(reader: &mut Reader<'_>) -> Result<u8, ParseError> {
    const RESERVED: u16 = 0x0006;
    let [next, _reserved] = reader.array()?;
    let offset_and_more = reader.u16()?;
    let _identification = reader.u32()?;
    if offset_and_more & !RESERVED != 0 {
        return Err(ParseError::Fragment);
    }
    Ok(next)
}
