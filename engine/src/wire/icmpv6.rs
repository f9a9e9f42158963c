//! ICMP for IPv6 (RFC 4443; path MTU in RFC 8201), with neighbour discovery within.

use super::checksum::PseudoHeader;
use super::icmp::{
    Echo, EchoDirection, IcmpError, IcmpErrorKind, QuotedSegment, RawMessage, UnreachableReason,
};
use super::neighbour_discovery::NeighbourMessage;
use super::{EmitError, ParseError};

const DESTINATION_UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const UNRECOGNISED_NEXT_HEADER: u8 = 1;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

/// So much of the datagram an error quotes: the whole stays within the smallest MTU (section 2.4).
pub const MAX_QUOTATION: usize = 1280 - 40 - 8;

/// An ICMP message over IPv6.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Icmpv6<'a> {
    /// Echo request or reply.
    Echo(Echo<'a>),
    /// An error about a TCP segment.
    Error(IcmpError),
    /// Neighbour discovery. Valid only when the packet came with a hop limit of 255, which only
    /// the caller knows.
    Neighbour(NeighbourMessage),
    /// A type that is not acted on.
    Other {
        /// Type of the message.
        kind: u8,
        /// Code of the message.
        code: u8,
    },
}

impl<'a> Icmpv6<'a> {
    /// Reads a message and checks its checksum. An error about anything but TCP is
    /// [`ParseError::Unsupported`].
    pub fn parse(bytes: &'a [u8], pseudo: &PseudoHeader) -> Result<Self, ParseError> {
        let raw = RawMessage::parse(bytes)?;
        if !pseudo.sum(bytes.len()).add_bytes(bytes).is_valid() {
            return Err(ParseError::Checksum);
        }
        match (raw.kind, raw.code) {
            (ECHO_REQUEST, 0) => return Ok(Self::Echo(raw.echo(EchoDirection::Request))),
            (ECHO_REPLY, 0) => return Ok(Self::Echo(raw.echo(EchoDirection::Reply))),
            _ => {}
        }
        if let Some(kind) = error_kind(&raw) {
            let quoted = QuotedSegment::parse_ipv6(raw.body)?;
            return Ok(Self::Error(IcmpError { kind, quoted }));
        }
        Ok(match NeighbourMessage::from_raw(&raw)? {
            Some(message) => Self::Neighbour(message),
            None => Self::Other {
                kind: raw.kind,
                code: raw.code,
            },
        })
    }
}

fn error_kind(raw: &RawMessage<'_>) -> Option<IcmpErrorKind> {
    match raw.kind {
        DESTINATION_UNREACHABLE => Some(IcmpErrorKind::Unreachable(match raw.code {
            0 => UnreachableReason::Network,
            1 => UnreachableReason::Prohibited,
            3 => UnreachableReason::Host,
            4 => UnreachableReason::Port,
            other => UnreachableReason::Other(other),
        })),
        PACKET_TOO_BIG => Some(IcmpErrorKind::PacketTooBig { mtu: raw.word }),
        TIME_EXCEEDED => Some(IcmpErrorKind::TimeExceeded),
        PARAMETER_PROBLEM if raw.code == UNRECOGNISED_NEXT_HEADER => {
            Some(IcmpErrorKind::Unreachable(UnreachableReason::Protocol))
        }
        PARAMETER_PROBLEM => Some(IcmpErrorKind::ParameterProblem),
        _ => None,
    }
}

/// Writes an echo request or reply to the front of `buffer`.
pub fn emit_echo(
    echo: &Echo<'_>,
    pseudo: &PseudoHeader,
    buffer: &mut [u8],
) -> Result<usize, EmitError> {
    let kind = match echo.direction {
        EchoDirection::Request => ECHO_REQUEST,
        EchoDirection::Reply => ECHO_REPLY,
    };
    RawMessage::from_echo(echo, kind).emit(pseudo.sum(echo.len()), buffer)
}

/// Writes an error about `datagram` (from its IP header on, quoted up to [`MAX_QUOTATION`] bytes)
/// to the front of `buffer`.
pub fn emit_error(
    kind: IcmpErrorKind,
    datagram: &[u8],
    pseudo: &PseudoHeader,
    buffer: &mut [u8],
) -> Result<usize, EmitError> {
    let (kind, code, word) = match kind {
        IcmpErrorKind::Unreachable(reason) => match reason {
            UnreachableReason::Network => (DESTINATION_UNREACHABLE, 0, 0),
            UnreachableReason::Prohibited => (DESTINATION_UNREACHABLE, 1, 0),
            UnreachableReason::Host => (DESTINATION_UNREACHABLE, 3, 0),
            UnreachableReason::Port => (DESTINATION_UNREACHABLE, 4, 0),
            // The pointer is the place of the next header field in a header without extensions.
            UnreachableReason::Protocol => (PARAMETER_PROBLEM, UNRECOGNISED_NEXT_HEADER, 6),
            UnreachableReason::Other(code) => (DESTINATION_UNREACHABLE, code, 0),
        },
        IcmpErrorKind::PacketTooBig { mtu } => (PACKET_TOO_BIG, 0, mtu),
        IcmpErrorKind::TimeExceeded => (TIME_EXCEEDED, 0, 0),
        IcmpErrorKind::ParameterProblem => (PARAMETER_PROBLEM, 0, 0),
    };
    let body = datagram.get(..MAX_QUOTATION).unwrap_or(datagram);
    let raw = RawMessage {
        kind,
        code,
        word,
        body,
    };
    raw.emit(
        pseudo.sum(super::icmp::ICMP_HEADER_LEN + body.len()),
        buffer,
    )
}
