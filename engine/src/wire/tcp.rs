//! The TCP header (RFC 9293 section 3.1).

use super::checksum::{PseudoHeader, Sum};
use super::cursor::Reader;
use super::tcp_option::{OPTION_SPACE, TcpOptions};
use super::{EmitError, ParseError};
use crate::sequence::SequenceNumber;

bitflags::bitflags! {
    /// The control bits of a segment.
    #[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
    pub struct TcpFlags: u8 {
        /// No more data from the sender.
        const FIN = 0x01;
        /// Synchronize sequence numbers.
        const SYN = 0x02;
        /// Reset the connection.
        const RST = 0x04;
        /// Push.
        const PSH = 0x08;
        /// The acknowledgment field is significant.
        const ACK = 0x10;
        /// The urgent pointer is significant.
        const URG = 0x20;
        /// ECN echo (RFC 3168).
        const ECE = 0x40;
        /// Congestion window reduced (RFC 3168).
        const CWR = 0x80;
    }
}

/// A TCP header with its options, checked and in host form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TcpHeader {
    /// The port the segment comes from.
    pub source_port: u16,
    /// The port the segment goes to.
    pub destination_port: u16,
    /// Sequence number of the first byte (of the SYN, if there is one).
    pub sequence: SequenceNumber,
    /// Next sequence number expected; meaningful with [`TcpFlags::ACK`].
    pub acknowledgment: SequenceNumber,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window field as sent, not scaled.
    pub window: u16,
    /// The options.
    pub options: TcpOptions,
}

/// Length of a header without options.
const FIXED_LEN: usize = 20;

/// Where the checksum lies in the header; a port that offloads it is told so.
pub const CHECKSUM_OFFSET: usize = 16;

impl TcpHeader {
    /// Reads a header with its options and returns its length; the payload follows. The checksum
    /// is not looked at, see [`verify_checksum`]. Reserved bits and the urgent pointer are ignored.
    pub fn parse(segment: &[u8]) -> Result<(Self, usize), ParseError> {
        let mut reader = Reader::new(segment);
        let source_port = reader.u16()?;
        let destination_port = reader.u16()?;
        let sequence = SequenceNumber(reader.u32()?);
        let acknowledgment = SequenceNumber(reader.u32()?);
        let [data_offset, flags] = reader.array()?;
        let window = reader.u16()?;
        let _checksum_and_urgent = reader.u32()?;
        let header_len = usize::from(data_offset >> 4) * 4;
        let options_len = header_len
            .checked_sub(FIXED_LEN)
            .ok_or(ParseError::Length)?;
        let flags = TcpFlags::from_bits_retain(flags);
        let options = TcpOptions::parse(reader.slice(options_len)?, flags);
        let header = Self {
            source_port,
            destination_port,
            sequence,
            acknowledgment,
            flags,
            window,
            options,
        };
        Ok((header, header_len))
    }

    /// Length of the header with its options in bytes, a multiple of 4.
    pub fn header_len(&self) -> usize {
        FIXED_LEN + self.options.len()
    }

    /// Writes header and options to the front of `buffer`, checksum and urgent pointer zero, and
    /// returns [`Self::header_len`].
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let options_len = self.options.len();
        if options_len > OPTION_SPACE {
            return Err(EmitError::OptionSpace {
                length: options_len,
            });
        }
        let (fixed, rest) = buffer
            .split_first_chunk_mut::<FIXED_LEN>()
            .ok_or(EmitError::BufferTooShort)?;
        fixed[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        fixed[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.sequence.0.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.acknowledgment.0.to_be_bytes());
        // At most 60 bytes, 15 words: fits the four bits.
        fixed[12] = (((FIXED_LEN + options_len) / 4) << 4) as u8;
        fixed[13] = self.flags.bits();
        fixed[14..16].copy_from_slice(&self.window.to_be_bytes());
        fixed[16..20].fill(0);
        self.options.emit(rest)?;
        Ok(FIXED_LEN + options_len)
    }
}

/// True when the checksum of a segment (header and payload, nothing after it) is right.
pub fn verify_checksum(pseudo: &PseudoHeader, segment: &[u8]) -> bool {
    pseudo.sum(segment.len()).add_bytes(segment).is_valid()
}

/// Fills in the checksum of a segment whose payload, `payload_len` bytes, lies elsewhere or has
/// been summed before.
///
/// `header` is the header alone, as emitted. What its checksum field held is overwritten.
pub fn set_checksum(header: &mut [u8], pseudo: &PseudoHeader, payload: Sum, payload_len: usize) {
    write_checksum(header, 0);
    let sum = pseudo
        .sum(header.len() + payload_len)
        .add_bytes(header)
        .add(payload);
    write_checksum(header, sum.finish());
}

/// Fills in the sum of the pseudo header alone, for a port that adds the rest.
///
/// With segmentation offload the port replaces the length too; it expects this form just the same.
pub fn set_partial_checksum(header: &mut [u8], pseudo: &PseudoHeader, payload_len: usize) {
    let partial = pseudo.sum(header.len() + payload_len).partial();
    write_checksum(header, partial);
}

fn write_checksum(header: &mut [u8], checksum: u16) {
    if let Some(field) = header.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}
