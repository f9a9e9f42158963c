//! ICMP for IPv4 (RFC 792; path MTU in RFC 1191).

use super::checksum::Sum;
use super::icmp::{
    Echo, EchoDirection, IcmpError, IcmpErrorKind, QuotedSegment, RawMessage, UnreachableReason,
};
use super::{EmitError, ParseError};

const ECHO_REPLY: u8 = 0;
const DESTINATION_UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const FRAGMENTATION_NEEDED: u8 = 4;

/// So much of the datagram an error quotes: the whole stays within 576 bytes (RFC 1812 section
/// 4.3.2.3).
pub const MAX_QUOTATION: usize = 576 - 20 - 8;

/// An ICMP message over IPv4.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Icmpv4<'a> {
    /// Echo request or reply.
    Echo(Echo<'a>),
    /// An error about a TCP segment.
    Error(IcmpError),
    /// A type that is not acted on.
    Other {
        /// Type of the message.
        kind: u8,
        /// Code of the message.
        code: u8,
    },
}

impl<'a> Icmpv4<'a> {
    /// Reads a message and checks its checksum. An error about anything but TCP is
    /// [`ParseError::Unsupported`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let raw = RawMessage::parse(bytes)?;
        if !Sum::of(bytes).is_valid() {
            return Err(ParseError::Checksum);
        }
        match (raw.kind, raw.code) {
            (ECHO_REQUEST, 0) => Ok(Self::Echo(raw.echo(EchoDirection::Request))),
            (ECHO_REPLY, 0) => Ok(Self::Echo(raw.echo(EchoDirection::Reply))),
            (kind, code) => match error_kind(kind, code, raw.word) {
                Some(kind) => {
                    let quoted = QuotedSegment::parse_ipv4(raw.body)?;
                    Ok(Self::Error(IcmpError { kind, quoted }))
                }
                None => Ok(Self::Other { kind, code }),
            },
        }
    }
}

fn error_kind(kind: u8, code: u8, word: u32) -> Option<IcmpErrorKind> {
    match kind {
        DESTINATION_UNREACHABLE if code == FRAGMENTATION_NEEDED => {
            Some(IcmpErrorKind::PacketTooBig { mtu: word & 0xffff })
        }
        DESTINATION_UNREACHABLE => Some(IcmpErrorKind::Unreachable(match code {
            0 | 6 | 11 => UnreachableReason::Network,
            1 | 7 | 12 => UnreachableReason::Host,
            2 => UnreachableReason::Protocol,
            3 => UnreachableReason::Port,
            9 | 10 | 13 => UnreachableReason::Prohibited,
            other => UnreachableReason::Other(other),
        })),
        TIME_EXCEEDED => Some(IcmpErrorKind::TimeExceeded),
        PARAMETER_PROBLEM => Some(IcmpErrorKind::ParameterProblem),
        _ => None,
    }
}

/// Writes an echo request or reply to the front of `buffer`.
pub fn emit_echo(echo: &Echo<'_>, buffer: &mut [u8]) -> Result<usize, EmitError> {
    let kind = match echo.direction {
        EchoDirection::Request => ECHO_REQUEST,
        EchoDirection::Reply => ECHO_REPLY,
    };
    RawMessage::from_echo(echo, kind).emit(Sum::ZERO, buffer)
}

/// Writes an error about `datagram` (from its IP header on, quoted up to [`MAX_QUOTATION`] bytes)
/// to the front of `buffer`.
pub fn emit_error(
    kind: IcmpErrorKind,
    datagram: &[u8],
    buffer: &mut [u8],
) -> Result<usize, EmitError> {
    let (kind, code, word) = match kind {
        IcmpErrorKind::Unreachable(reason) => {
            let code = match reason {
                UnreachableReason::Network => 0,
                UnreachableReason::Host => 1,
                UnreachableReason::Protocol => 2,
                UnreachableReason::Port => 3,
                UnreachableReason::Prohibited => 13,
                UnreachableReason::Other(code) => code,
            };
            (DESTINATION_UNREACHABLE, code, 0)
        }
        IcmpErrorKind::PacketTooBig { mtu } => (
            DESTINATION_UNREACHABLE,
            FRAGMENTATION_NEEDED,
            mtu.min(0xffff),
        ),
        IcmpErrorKind::TimeExceeded => (TIME_EXCEEDED, 0, 0),
        IcmpErrorKind::ParameterProblem => (PARAMETER_PROBLEM, 0, 0),
    };
    let body = datagram.get(..MAX_QUOTATION).unwrap_or(datagram);
    RawMessage {
        kind,
        code,
        word,
        body,
    }
    .emit(Sum::ZERO, buffer)
}
