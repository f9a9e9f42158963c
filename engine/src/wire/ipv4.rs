//! The IPv4 header (RFC 791). Options are skipped, fragments refused.

use super::checksum::{PseudoHeader, Sum};
use super::cursor::{Reader, Writer};
use super::ip::{Protocol, TrafficClass};
use super::{EmitError, ParseError};
use core::net::Ipv4Addr;
use core::ops::Range;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3fff;

/// An IPv4 header without options, of a datagram that is not a fragment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Ipv4Header {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// The protocol of the payload.
    pub protocol: Protocol,
    /// Time to live.
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// Tells the fragments of datagrams apart; without meaning when `dont_fragment` is set
    /// (RFC 6864).
    pub identification: u16,
    /// Routers must not fragment the datagram, but report that it is too big.
    pub dont_fragment: bool,
}

/// The fixed fields in the order of the wire, before they are judged.
struct Fields {
    header_length: usize,
    total_length: usize,
    fragment: u16,
    header: Ipv4Header,
}

impl Fields {
    fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        let version_and_length = reader.u8()?;
        if version_and_length >> 4 != 4 {
            return Err(ParseError::Version);
        }
        let header_length = usize::from(version_and_length & 0xf) * 4;
        if header_length < Ipv4Header::LEN {
            return Err(ParseError::Length);
        }
        if header_length > bytes.len() {
            return Err(ParseError::Truncated);
        }
        let traffic_class = TrafficClass::from_byte(reader.u8()?);
        let total_length = usize::from(reader.u16()?);
        let identification = reader.u16()?;
        let fragment = reader.u16()?;
        let hop_limit = reader.u8()?;
        let protocol = Protocol::from_number(reader.u8()?);
        let _checksum = reader.u16()?;
        let header = Ipv4Header {
            source: Ipv4Addr::from(reader.array::<4>()?),
            destination: Ipv4Addr::from(reader.array::<4>()?),
            protocol,
            hop_limit,
            traffic_class,
            identification,
            dont_fragment: fragment & DONT_FRAGMENT != 0,
        };
        Ok(Self {
            header_length,
            total_length,
            fragment,
            header,
        })
    }
}

impl Ipv4Header {
    /// Length of the header as this type emits it.
    pub const LEN: usize = 20;

    /// Reads a header and checks its checksum. Returns the range of the payload within `bytes`,
    /// without what the link padded.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Range<usize>), ParseError> {
        let fields = Fields::read(bytes)?;
        let header_bytes = bytes
            .get(..fields.header_length)
            .ok_or(ParseError::Truncated)?;
        if !Sum::of(header_bytes).is_valid() {
            return Err(ParseError::Checksum);
        }
        if fields.total_length < fields.header_length {
            return Err(ParseError::Length);
        }
        if fields.total_length > bytes.len() {
            return Err(ParseError::Truncated);
        }
        if fields.fragment & MORE_FRAGMENTS_AND_OFFSET != 0 {
            return Err(ParseError::Fragment);
        }
        Ok((fields.header, fields.header_length..fields.total_length))
    }

    /// Reads the header of a datagram that an ICMP error quotes, and returns where its payload
    /// begins. The quotation is cut and routers have changed it, so neither its total length nor
    /// its checksum is checked; the first fragment of a datagram passes.
    pub(super) fn parse_quoted(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        const OFFSET: u16 = 0x1fff;
        let fields = Fields::read(bytes)?;
        if fields.fragment & OFFSET != 0 {
            return Err(ParseError::Fragment);
        }
        Ok((fields.header, fields.header_length))
    }

    /// Writes the header of a datagram with `payload_length` bytes after it.
    pub fn emit(&self, payload_length: usize, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let total_length =
            u16::try_from(payload_length.saturating_add(Self::LEN)).map_err(|_| {
                EmitError::PayloadTooLong {
                    length: payload_length,
                }
            })?;
        let fragment = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        let mut header = [0; Self::LEN];
        let mut writer = Writer::new(&mut header);
        writer.array([0x45, self.traffic_class.byte()])?;
        writer.u16(total_length)?;
        writer.u16(self.identification)?;
        writer.u16(fragment)?;
        writer.array([self.hop_limit, self.protocol.number()])?;
        writer.u16(0)?;
        writer.array(self.source.octets())?;
        writer.array(self.destination.octets())?;
        let [checksum_high, checksum_low] = Sum::of(&header).finish().to_be_bytes();
        header[10] = checksum_high;
        header[11] = checksum_low;
        Writer::new(buffer).array(header)?;
        Ok(Self::LEN)
    }

    /// The pseudo header that the payload's checksum covers.
    pub const fn pseudo_header(&self) -> PseudoHeader {
        PseudoHeader::V4 {
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
        }
    }
}
