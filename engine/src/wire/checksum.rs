//! The Internet checksum (RFC 1071), of headers, payloads and the MPTCP data sequence signal
//! (RFC 8684 section 3.3.1).
//!
//! A one's complement sum does not depend on byte order, so slices are summed in words of the
//! machine and swapped once at the end.

use super::ip::Protocol;
use crate::sequence::DataSequenceNumber;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A one's complement sum on its way: add the parts in any order, then [`Sum::finish`].
#[derive(Copy, Clone, Debug, Default)]
pub struct Sum(u64);

/// Bytes that the inner loops take at a time; a whole number of vectors on every machine.
const BLOCK: usize = 64;

/// Sums of the 64-bit words at each place of a block, modulo 2^64, and of their upper halves. What is
/// added in the lower halves follows from both, so no word has to be taken apart twice.
#[derive(Default)]
struct Lanes {
    whole: [u64; BLOCK / 8],
    upper: [u64; BLOCK / 8],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, block: &[u8; BLOCK]) {
        let lanes = self.whole.iter_mut().zip(&mut self.upper);
        for ((whole, upper), word) in lanes.zip(block.as_chunks::<8>().0) {
            let word = u64::from_ne_bytes(*word);
            *whole = whole.wrapping_add(word);
            *upper += word >> 32;
        }
    }

    /// The sum of all 32-bit words; exact below 2^34 bytes.
    #[inline(always)]
    fn sum(&self) -> u64 {
        let whole = self
            .whole
            .iter()
            .fold(0, |sum: u64, lane| sum.wrapping_add(*lane));
        let upper: u64 = self.upper.iter().sum();
        whole.wrapping_sub(upper << 32) + upper
    }
}

/// From so many bytes on the widest vectors of the machine are worth asking for.
const WORTH_VECTORS: usize = 2 * BLOCK;

/// Runs a loop that the compiler can vectorize as it is compiled for the widest vectors that this machine
/// has, found out as the program runs.
#[inline(always)]
fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// The sum of a few bytes, in the machine's byte order: by pieces of fixed lengths, as a loop over so few
/// words is made ready for longer than it runs.
#[inline(always)]
fn tail(bytes: &[u8]) -> u64 {
    let (pieces, rest) = bytes.as_chunks::<32>();
    let mut sum = 0;
    for piece in pieces {
        sum += words(piece);
    }
    let (piece, rest) = rest.as_chunks::<16>();
    sum += piece.first().map_or(0, words);
    let (piece, rest) = rest.as_chunks::<8>();
    sum + piece.first().map_or(0, words) + last(rest)
}

/// The sum of the halves of all words.
#[inline(always)]
fn words<const LENGTH: usize>(bytes: &[u8; LENGTH]) -> u64 {
    let mut sum = 0;
    for word in bytes.as_chunks::<8>().0 {
        let word = u64::from_ne_bytes(*word);
        sum += (word & 0xffff_ffff) + (word >> 32);
    }
    sum
}

/// The sum of fewer bytes than a word has.
#[inline(always)]
fn last(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let (pairs, rest) = rest.as_chunks::<2>();
    let word = words.first().map_or(0, |word| u32::from_ne_bytes(*word));
    let pair = pairs.first().map_or(0, |pair| u16::from_ne_bytes(*pair));
    let odd = rest.first().map_or(0, |odd| u16::from_ne_bytes([*odd, 0]));
    u64::from(word) + u64::from(pair) + u64::from(odd)
}

/// Adds modulo 2^64 - 1, which the sum of 16-bit words divides.
const fn add(one: u64, other: u64) -> u64 {
    let (sum, carry) = one.overflowing_add(other);
    sum + carry as u64
}

const fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// The sum of `bytes`; an odd length counts as if a zero byte followed.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.len() < WORTH_VECTORS {
            return Self::from_native(tail(bytes));
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let sum: u64 = vectorized(|| {
            let mut lanes = Lanes::default();
            for block in blocks {
                lanes.add(block);
            }
            lanes.sum()
        });
        Self::from_native(sum + tail(rest))
    }

    /// A sum in the machine's byte order.
    const fn from_native(sum: u64) -> Self {
        Self(u16::from_be(fold(sum)) as u64)
    }

    /// Adds bytes that begin at an even offset of the whole.
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        self.add(Self::of(bytes))
    }

    /// Adds a 16-bit field.
    #[must_use]
    pub const fn add_u16(self, value: u16) -> Self {
        Self(add(self.0, value as u64))
    }

    /// Adds a 32-bit field.
    #[must_use]
    pub const fn add_u32(self, value: u32) -> Self {
        Self(add(self.0, value as u64))
    }

    /// Adds a 64-bit field.
    #[must_use]
    pub const fn add_u64(self, value: u64) -> Self {
        Self(add(self.0, value))
    }

    /// Adds the sum of a part that begins at an even offset of the whole.
    #[must_use]
    pub const fn add(self, part: Self) -> Self {
        Self(add(self.0, part.0))
    }

    /// Adds the sum of a part that begins `offset` bytes into the whole.
    #[must_use]
    pub const fn add_at(self, offset: usize, part: Self) -> Self {
        if offset.is_multiple_of(2) {
            return self.add(part);
        }
        self.add_u16(fold(part.0).swap_bytes())
    }

    /// The sum itself, not complemented: what a checksum field holds when the port is to add the
    /// rest (`VIRTIO_NET_HDR_F_NEEDS_CSUM` and its like).
    pub const fn partial(self) -> u16 {
        fold(self.0)
    }

    /// The checksum: the complement of the sum.
    pub const fn finish(self) -> u16 {
        !fold(self.0)
    }

    /// True when the summed bytes held their own checksum and it matches.
    pub const fn is_valid(self) -> bool {
        fold(self.0) == 0xffff
    }
}

/// Copies `source` to `destination` and sums it in the same pass. Copies and sums as many bytes as
/// both slices hold.
pub fn copy_and_sum(destination: &mut [u8], source: &[u8]) -> Sum {
    let length = destination.len().min(source.len());
    if length == 0 {
        return Sum::ZERO;
    }
    let (source, destination) = (&source[..length], &mut destination[..length]);
    let (from, from_rest) = source.as_chunks::<BLOCK>();
    let (to, to_rest) = destination.as_chunks_mut::<BLOCK>();
    let mut sum: u64 = 0;
    if !from.is_empty() {
        sum = vectorized(|| {
            let mut lanes = Lanes::default();
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
                lanes.add(from);
            }
            lanes.sum()
        });
    }
    let (to, from) = copy_first::<32>(to_rest, from_rest, &mut sum);
    let (to, from) = copy_first::<16>(to, from, &mut sum);
    let (to, from) = copy_first::<8>(to, from, &mut sum);
    if !from.is_empty() {
        to.copy_from_slice(from);
        sum += last(from);
    }
    Sum::from_native(sum)
}

/// Copies and sums the first so many bytes of those that are left, if there are as many; what is left then.
#[inline(always)]
fn copy_first<'a, const LENGTH: usize>(
    to: &'a mut [u8],
    from: &'a [u8],
    sum: &mut u64,
) -> (&'a mut [u8], &'a [u8]) {
    let Some((first, rest)) = from.split_first_chunk::<LENGTH>() else {
        return (to, from);
    };
    let (place, to) = to.split_at_mut(LENGTH);
    place.copy_from_slice(first);
    *sum += words(first);
    (to, rest)
}

/// What TCP and ICMPv6 sum besides their own bytes (RFC 9293 section 3.1, RFC 8200 section 8.1).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PseudoHeader {
    /// Over IPv4.
    V4 {
        /// Source address.
        source: Ipv4Addr,
        /// Destination address.
        destination: Ipv4Addr,
        /// The protocol that is summed.
        protocol: Protocol,
    },
    /// Over IPv6.
    V6 {
        /// Source address.
        source: Ipv6Addr,
        /// Destination address.
        destination: Ipv6Addr,
        /// The protocol that is summed.
        protocol: Protocol,
    },
}

impl PseudoHeader {
    /// The pseudo header between two addresses of one family; `None` when the families differ.
    pub const fn new(source: IpAddr, destination: IpAddr, protocol: Protocol) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4 {
                source,
                destination,
                protocol,
            }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6 {
                source,
                destination,
                protocol,
            }),
            _ => None,
        }
    }

    /// The pseudo header's sum, for `length` bytes of protocol header and payload.
    pub fn sum(&self, length: usize) -> Sum {
        // A length above 65535 has upper bits over IPv6 only; over IPv4 no datagram is that long.
        let sum = Sum::ZERO.add_u64(length as u64);
        match self {
            Self::V4 {
                source,
                destination,
                protocol,
            } => sum
                .add_u32(source.to_bits())
                .add_u32(destination.to_bits())
                .add_u16(u16::from(protocol.number())),
            Self::V6 {
                source,
                destination,
                protocol,
            } => sum
                .add_bytes(&source.octets())
                .add_bytes(&destination.octets())
                .add_u16(u16::from(protocol.number())),
        }
    }
}

/// The sum of a mapping's payload and its pseudo header, before a checksum is taken of it.
///
/// The data sequence number always counts with all 64 bits, whatever the option carries.
pub const fn dss_sum(
    payload: Sum,
    data_sequence: DataSequenceNumber,
    subflow_offset: u32,
    length: u16,
) -> Sum {
    payload
        .add_u64(data_sequence.0)
        .add_u32(subflow_offset)
        .add_u16(length)
}

/// The checksum of a mapping whose payload sums to `payload`.
pub const fn dss_checksum(
    payload: Sum,
    data_sequence: DataSequenceNumber,
    subflow_offset: u32,
    length: u16,
) -> u16 {
    dss_sum(payload, data_sequence, subflow_offset, length).finish()
}

/// True when `checksum` is right for a mapping whose payload sums to `payload`.
pub const fn dss_checksum_is_valid(
    payload: Sum,
    data_sequence: DataSequenceNumber,
    subflow_offset: u32,
    length: u16,
    checksum: u16,
) -> bool {
    dss_sum(payload, data_sequence, subflow_offset, length)
        .add_u16(checksum)
        .is_valid()
}
