//! The engine's own segmentation, for ports that have none: the headers of a large segment are written
//! once, and each of the segments it is cut into gets a copy with its own sequence number, length and
//! checksums, as a network card would do it. Options are the same on all of them (RFC 8684 section 3.3.1:
//! a mapping may be repeated on every segment that it covers).

use super::emit::Envelope;
use crate::sequence::SequenceNumber;
use crate::storage::pieces::Pieces;
use crate::wire::EmitError;
use crate::wire::checksum::Sum;
use crate::wire::ethernet::EthernetHeader;
use crate::wire::ip::Protocol;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use crate::wire::tcp::{CHECKSUM_OFFSET, TcpFlags, TcpHeader};
use crate::wire::tcp_option::OPTION_SPACE;

/// Fields of the headers, in bytes from the start of each.
const IPV4_TOTAL_LENGTH: usize = 2;
const IPV4_CHECKSUM: usize = 10;
const IPV6_PAYLOAD_LENGTH: usize = 4;
const TCP_SEQUENCE: usize = 4;
const TCP_FLAGS: usize = 13;
/// A TCP header without options.
const TCP_FIXED: usize = 20;

/// Ethernet, the longer of the two IP headers, and TCP with all its options.
const LONGEST: usize = EthernetHeader::LEN + Ipv6Header::LEN + TCP_FIXED + OPTION_SPACE;

/// Room for that, in two halves.
const ROOM: usize = 2 * HALF;
const HALF: usize = 64;
const _: () = assert!(LONGEST <= ROOM);

/// Headers with holes where segments differ.
#[derive(Clone, Debug)]
pub(super) struct SegmentTemplate {
    bytes: [u8; ROOM],
    /// Where the TCP header begins, and where it ends.
    tcp: usize,
    end: usize,
    /// Of the IPv4 header with a total length of zero.
    ip_sum: Option<Sum>,
    /// Of pseudo header and TCP header, without length, sequence number and flags.
    sum: Sum,
}

impl SegmentTemplate {
    /// Headers like these, whatever their sequence number and flags.
    pub(super) fn new(envelope: &Envelope, header: &TcpHeader) -> Result<Self, EmitError> {
        let mut bytes = [0; ROOM];
        let length = header.header_len();
        let tcp = envelope.emit(Protocol::Tcp, length, &mut bytes)?;
        let end = tcp + length;
        let (ip, segment) = bytes
            .get_mut(..end)
            .and_then(|all| all.get_mut(EthernetHeader::LEN..))
            .and_then(|rest| rest.split_at_mut_checked(tcp - EthernetHeader::LEN))
            .ok_or(EmitError::BufferTooShort)?;
        let ip_sum = (ip.len() == Ipv4Header::LEN).then(|| {
            write_u16(ip, IPV4_TOTAL_LENGTH, 0);
            write_u16(ip, IPV4_CHECKSUM, 0);
            Sum::of(ip)
        });
        header.emit(segment)?;
        let sum = envelope.pseudo(Protocol::Tcp)?.sum(0).add_bytes(segment);
        let without = Sum::ZERO
            .add_u32(header.sequence.0)
            .add_u16(u16::from(header.flags.bits()));
        Ok(Self {
            bytes,
            tcp,
            end,
            ip_sum,
            // The complement of what is taken out: a one's complement sum has no subtraction.
            sum: sum.add_u16(without.finish()),
        })
    }

    /// Bytes of all headers.
    pub(super) const fn len(&self) -> usize {
        self.end
    }

    /// Copies the headers by two pieces of fixed lengths, which are a few instructions each. What is copied
    /// behind them is overwritten by the payload, or left out. `None` when the buffer is too short.
    fn copy_headers(&self, buffer: &mut [u8]) -> Option<()> {
        let Some(start) = buffer.first_chunk_mut::<ROOM>() else {
            let headers = buffer.get_mut(..self.end)?;
            headers.copy_from_slice(&self.bytes[..self.end]);
            return Some(());
        };
        let (first, second) = start.split_at_mut(HALF);
        first.copy_from_slice(&self.bytes[..HALF]);
        if self.end > HALF {
            second.copy_from_slice(&self.bytes[HALF..]);
        }
        Some(())
    }

    /// Writes a frame with one of the segments, for which so many bytes are taken off `payload`, and returns
    /// its length.
    pub(super) fn emit(
        &self,
        sequence: SequenceNumber,
        flags: TcpFlags,
        payload: &mut Pieces<'_>,
        payload_length: usize,
        buffer: &mut [u8],
    ) -> Result<usize, EmitError> {
        let length = self.end + payload_length;
        self.copy_headers(buffer).ok_or(EmitError::BufferTooShort)?;
        let frame = buffer.get_mut(..length).ok_or(EmitError::BufferTooShort)?;
        let (headers, data) = frame.split_at_mut(self.end);
        let too_long = || EmitError::PayloadTooLong {
            length: payload_length,
        };
        let in_ip = u16::try_from(length - EthernetHeader::LEN).map_err(|_| too_long())?;
        let in_tcp = u16::try_from(length - self.tcp).map_err(|_| too_long())?;
        let (front, tcp) = headers.split_at_mut(self.tcp);
        let ip = &mut front[EthernetHeader::LEN..];
        match self.ip_sum {
            Some(sum) => {
                write_u16(ip, IPV4_TOTAL_LENGTH, in_ip);
                write_u16(ip, IPV4_CHECKSUM, sum.add_u16(in_ip).finish());
            }
            None => write_u16(ip, IPV6_PAYLOAD_LENGTH, in_tcp),
        }
        let sum = payload
            .copy_and_sum_to(data)
            .add(self.sum)
            .add_u32(sequence.0)
            .add_u16(u16::from(flags.bits()))
            .add_u16(in_tcp);
        if let Some(field) = tcp.get_mut(TCP_SEQUENCE..TCP_SEQUENCE + 4) {
            field.copy_from_slice(&sequence.0.to_be_bytes());
        }
        if let Some(field) = tcp.get_mut(TCP_FLAGS) {
            *field = flags.bits();
        }
        write_u16(tcp, CHECKSUM_OFFSET, sum.finish());
        Ok(length)
    }
}

/// A large segment on its way into frames.
#[derive(Debug)]
pub(super) struct Cut<'a> {
    template: SegmentTemplate,
    sequence: SequenceNumber,
    flags: TcpFlags,
    /// What is left.
    payload: Pieces<'a>,
    /// Payload of each frame but the last.
    size: usize,
}

impl<'a> Cut<'a> {
    /// A segment to be cut into frames of at most `size` bytes of payload and `max_frame` bytes.
    pub(super) fn new(
        envelope: &Envelope,
        header: &TcpHeader,
        payload: Pieces<'a>,
        size: usize,
        max_frame: usize,
    ) -> Result<Self, EmitError> {
        let template = SegmentTemplate::new(envelope, header)?;
        let room = max_frame.saturating_sub(template.len());
        Ok(Self {
            template,
            sequence: header.sequence,
            flags: header.flags,
            payload,
            size: size.min(room).max(1),
        })
    }

    /// How many frames are to come.
    pub(super) fn frames(&self) -> usize {
        self.payload.len().div_ceil(self.size)
    }

    /// The length of the next frame, or `None` after the last.
    pub(super) fn next_length(&self) -> Option<usize> {
        let left = self.payload.len();
        (left > 0).then(|| self.template.len() + left.min(self.size))
    }

    /// Writes the next frame and returns its length.
    pub(super) fn emit(&mut self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let left = self.payload.len();
        let length = left.min(self.size);
        let sequence = self.sequence;
        self.sequence += length as u32;
        let mut flags = self.flags;
        if left > length {
            flags.remove(TcpFlags::FIN | TcpFlags::PSH);
        }
        let payload = &mut self.payload;
        self.template.emit(sequence, flags, payload, length, buffer)
    }
}

fn write_u16(header: &mut [u8], at: usize, value: u16) {
    if let Some(field) = header.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::{SegmentForm, emit_segment, tests::envelope};
    use super::*;
    use crate::wire::tcp_option::Timestamps;
    use proptest::prelude::*;

    proptest! {
        /// Whatever differs between segments, the frame is the one that is written from scratch.
        #[test]
        fn a_copy_is_what_would_have_been_written_from_scratch(
            ipv6: bool,
            first: u32,
            sequence: u32,
            flags: u8,
            length in 0_usize..1_400,
            cut in 0_usize..1_400,
            odd: u8,
        ) {
            let envelope = if ipv6 {
                envelope("fd00::1", "fd00::2")
            } else {
                envelope("10.0.0.1", "10.0.0.2")
            };
            let mut header = TcpHeader {
                source_port: 7,
                destination_port: 40_000,
                sequence: SequenceNumber(first),
                flags: TcpFlags::ACK,
                window: 9,
                ..TcpHeader::default()
            };
            header.options.timestamps = Some(Timestamps { value: 77, echo: first });
            let template = SegmentTemplate::new(&envelope, &header).unwrap();
            let bytes: Vec<u8> = (0..length).map(|n| (n as u8).wrapping_mul(odd)).collect();
            let (front, back) = bytes.split_at(cut.min(length));
            let payload = Pieces::of_ring(front, back);
            let flags = TcpFlags::from_bits_truncate(flags);
            let mut copied = [0xee; 1_600];
            let copied_length = template
                .emit(SequenceNumber(sequence), flags, &mut payload.clone(), length, &mut copied)
                .unwrap();
            header.sequence = SequenceNumber(sequence);
            header.flags = flags;
            let form = SegmentForm { partial_checksum: false, segment_size: 1_460 };
            let mut written = [0xee; 1_600];
            let (written_length, _) =
                emit_segment(&envelope, &header, payload, form, &mut written).unwrap();
            prop_assert_eq!(&copied[..copied_length], &written[..written_length]);
        }
    }

    #[test]
    fn a_segment_is_cut_where_its_size_says_and_ends_with_its_flags() {
        let bytes: Vec<u8> = (0..250).collect();
        let header = TcpHeader {
            sequence: SequenceNumber(u32::MAX - 50),
            flags: TcpFlags::ACK | TcpFlags::PSH | TcpFlags::FIN,
            ..TcpHeader::default()
        };
        for middle in [0, 99, 100, 101, 250] {
            let envelope = envelope("10.0.0.1", "10.0.0.2");
            let (front, back) = bytes.split_at(middle);
            let payload = Pieces::of_ring(front, back);
            let mut cut = Cut::new(&envelope, &header, payload, 100, 1_514).unwrap();
            assert_eq!(cut.frames(), 3);
            let mut buffer = [0; 1_514];
            let mut seen = Vec::new();
            while let Some(expected) = cut.next_length() {
                let length = cut.emit(&mut buffer).unwrap();
                assert_eq!(length, expected);
                let (parsed, data) = TcpHeader::parse(&buffer[34..length]).unwrap();
                assert_eq!(parsed.sequence, header.sequence + seen.len() as u32);
                seen.extend_from_slice(&buffer[34 + data..length]);
                let ending = TcpFlags::PSH | TcpFlags::FIN;
                assert_eq!(parsed.flags.contains(ending), seen.len() == bytes.len());
                assert!(parsed.flags.contains(TcpFlags::ACK));
            }
            assert_eq!(seen, bytes, "pieces meet at {middle}");
        }
        let narrow = Cut::new(
            &envelope("10.0.0.1", "10.0.0.2"),
            &header,
            Pieces::of_ring(&bytes, &[]),
            100,
            104,
        );
        assert_eq!(
            narrow.unwrap().frames(),
            5,
            "no frame is longer than the link takes"
        );
    }

    #[test]
    fn a_frame_that_does_not_fit_is_refused() {
        let template =
            SegmentTemplate::new(&envelope("10.0.0.1", "10.0.0.2"), &TcpHeader::default()).unwrap();
        let refused = template.emit(
            SequenceNumber(1),
            TcpFlags::ACK,
            &mut Pieces::of_ring(&[0; 50], &[]),
            50,
            &mut [0; 100],
        );
        assert_eq!(refused, Err(EmitError::BufferTooShort));
    }
}
