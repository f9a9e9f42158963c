//! Bytes to typed headers and back. Every parser is total: any input gives a header or an error.
//!
//! A parser takes a slice and returns the header with the length or range of what follows it.
//! An emitter takes a slice at least as long as the matching `len` says and returns the number of
//! bytes it wrote. Checksums of ICMP and of the IPv4 header are checked by the parser; that of TCP
//! is apart ([`tcp::verify_checksum`]), for a port may have checked it already.

pub mod arp;
pub mod checksum;
mod cursor;
pub mod ethernet;
pub mod icmp;
pub mod icmpv4;
pub mod icmpv6;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod mptcp_option;
pub mod neighbour_discovery;
pub mod tcp;
pub mod tcp_option;

pub use ip::{IpHeader, IpPacket};

/// Why bytes from the wire are no header.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    /// The bytes end before what they announce.
    #[error("cut short: the header or its announced length goes past the end of the bytes")]
    Truncated,
    /// A version field that does not match the protocol.
    #[error("the version field is not that of the protocol")]
    Version,
    /// A length field that contradicts the format.
    #[error("a length field contradicts the format")]
    Length,
    /// A field with a value that the format forbids.
    #[error("a field has a value that the format forbids")]
    Value,
    /// A checksum that does not match.
    #[error("the checksum does not match")]
    Checksum,
    /// A fragment of an IP datagram; the engine does not reassemble them.
    #[error("a fragment of a datagram; fragments are not reassembled")]
    Fragment,
    /// Well formed as far as it was read, but of a kind that is not understood.
    #[error("of a kind that is not understood")]
    Unsupported,
}

/// Why a header could not be written.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EmitError {
    /// An IPv4 and an IPv6 address in one header.
    #[error("source and destination are of different IP versions: give two of one version")]
    Families,
    /// The buffer is shorter than the header.
    #[error("the buffer is too short: give one of at least the header's length")]
    BufferTooShort,
    /// The options take more than [`tcp_option::OPTION_SPACE`] bytes.
    #[error("the options take {length} bytes, but a TCP header has room for 40: drop SACK blocks")]
    OptionSpace {
        /// What the options take, padding included.
        length: usize,
    },
    /// The payload does not fit the length field of the IP header.
    #[error("a payload of {length} bytes does not fit the length field of the IP header")]
    PayloadTooLong {
        /// Length of the payload in bytes.
        length: usize,
    },
}
