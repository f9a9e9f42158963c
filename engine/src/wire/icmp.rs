//! What ICMP has in common for IPv4 and IPv6: echoes, and errors about segments that were sent
//! (RFC 792, RFC 4443; their meaning to TCP in RFC 5461).

use super::checksum::Sum;
use super::cursor::{Reader, Writer};
use super::ip::{IpHeader, Protocol};
use super::ipv4::Ipv4Header;
use super::ipv6::Ipv6Header;
use super::{EmitError, ParseError};
use crate::sequence::SequenceNumber;
use core::net::SocketAddr;

/// Length of the part that all messages share: type, code, checksum, and four bytes more.
pub const ICMP_HEADER_LEN: usize = 8;

/// Which way an echo goes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum EchoDirection {
    /// Asks to be sent back.
    Request,
    /// The answer.
    Reply,
}

/// An echo request or reply.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Echo<'a> {
    /// Request or reply.
    pub direction: EchoDirection,
    /// Tells the askers apart.
    pub identifier: u16,
    /// Tells the requests of one asker apart.
    pub sequence: u16,
    /// What is to be sent back.
    pub payload: &'a [u8],
}

impl Echo<'_> {
    /// Length of the message in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub const fn len(&self) -> usize {
        ICMP_HEADER_LEN + self.payload.len()
    }
}

/// Why a destination is unreachable.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum UnreachableReason {
    /// No route to the network.
    Network,
    /// The host does not answer on its link.
    Host,
    /// The host does not speak the protocol.
    Protocol,
    /// Nobody listens on the port.
    Port,
    /// A filter forbids it.
    Prohibited,
    /// Another code of the message.
    Other(u8),
}

/// What an ICMP error reports.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum IcmpErrorKind {
    /// The datagram cannot reach its destination.
    Unreachable(UnreachableReason),
    /// The datagram is longer than the next link takes (RFC 1191, RFC 8201).
    PacketTooBig {
        /// What the next link takes, IP header included; 0 from routers older than RFC 1191.
        mtu: u32,
    },
    /// The hop limit ran out, or the fragments did not all arrive.
    TimeExceeded,
    /// A field of the header was not understood.
    ParameterProblem,
}

impl IcmpErrorKind {
    /// True for the errors that RFC 1122 section 4.2.3.9 calls hard: trying again will not help.
    /// Whether a connection gives up on them is for TCP to judge (RFC 5461).
    pub const fn is_hard(self) -> bool {
        use UnreachableReason::{Port, Prohibited, Protocol};
        matches!(self, Self::Unreachable(Protocol | Port | Prohibited))
    }
}

/// The segment an ICMP error is about, as its sender wrote it.
///
/// Anybody can send an ICMP error. That the sequence number lies in what is in flight is the only
/// sign that its sender saw the segment (RFC 5927).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct QuotedSegment {
    /// Where the segment came from: the receiver of the error.
    pub source: SocketAddr,
    /// Where the segment went.
    pub destination: SocketAddr,
    /// Its sequence number.
    pub sequence: SequenceNumber,
}

impl QuotedSegment {
    /// Reads a quoted datagram. [`ParseError::Unsupported`] when it is not TCP.
    fn parse(header: &IpHeader, payload: &[u8]) -> Result<Self, ParseError> {
        if header.protocol() != Protocol::Tcp {
            return Err(ParseError::Unsupported);
        }
        let mut reader = Reader::new(payload);
        Ok(Self {
            source: SocketAddr::new(header.source(), reader.u16()?),
            destination: SocketAddr::new(header.destination(), reader.u16()?),
            sequence: SequenceNumber(reader.u32()?),
        })
    }

    pub(super) fn parse_ipv4(quotation: &[u8]) -> Result<Self, ParseError> {
        let (header, start) = Ipv4Header::parse_quoted(quotation)?;
        let payload = quotation.get(start..).ok_or(ParseError::Truncated)?;
        Self::parse(&IpHeader::V4(header), payload)
    }

    pub(super) fn parse_ipv6(quotation: &[u8]) -> Result<Self, ParseError> {
        let (header, start) = Ipv6Header::parse_quoted(quotation)?;
        let payload = quotation.get(start..).ok_or(ParseError::Truncated)?;
        Self::parse(&IpHeader::V6(header), payload)
    }
}

/// An ICMP error about a TCP segment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct IcmpError {
    /// What went wrong.
    pub kind: IcmpErrorKind,
    /// With which segment.
    pub quoted: QuotedSegment,
}

/// A message as it stands on the wire: what all types share, and the body after it.
#[derive(Copy, Clone, Debug)]
pub(super) struct RawMessage<'a> {
    pub(super) kind: u8,
    pub(super) code: u8,
    /// The second four bytes, whose meaning depends on the type.
    pub(super) word: u32,
    pub(super) body: &'a [u8],
}

impl<'a> RawMessage<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(bytes);
        let [kind, code] = reader.array()?;
        let _checksum = reader.u16()?;
        let word = reader.u32()?;
        Ok(Self {
            kind,
            code,
            word,
            body: reader.rest(),
        })
    }

    /// Writes the message with a checksum that begins from `pseudo`.
    pub(super) fn emit(&self, pseudo: Sum, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let checksum = pseudo
            .add_u16(u16::from_be_bytes([self.kind, self.code]))
            .add_u32(self.word)
            .add_bytes(self.body)
            .finish();
        let mut writer = Writer::new(buffer);
        writer.array([self.kind, self.code])?;
        writer.u16(checksum)?;
        writer.u32(self.word)?;
        writer.slice(self.body)?;
        Ok(ICMP_HEADER_LEN + self.body.len())
    }

    pub(super) const fn echo(&self, direction: EchoDirection) -> Echo<'a> {
        Echo {
            direction,
            identifier: (self.word >> 16) as u16,
            sequence: self.word as u16,
            payload: self.body,
        }
    }

    pub(super) fn from_echo(echo: &Echo<'a>, kind: u8) -> Self {
        let word = u32::from(echo.identifier) << 16 | u32::from(echo.sequence);
        Self {
            kind,
            code: 0,
            word,
            body: echo.payload,
        }
    }
}
