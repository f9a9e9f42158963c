//! Headers in place: what surrounds a payload on its way out.

use super::batch::{ChecksumOffload, Segmentation, TransmitMeta};
use crate::storage::pieces::Pieces;
use crate::wire::EmitError;
use crate::wire::checksum::{PseudoHeader, Sum};
use crate::wire::ethernet::{EtherType, EthernetHeader, MacAddress};
use crate::wire::ip::{Ecn, Protocol, TrafficClass};
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv6::Ipv6Header;
use crate::wire::tcp::{TcpHeader, set_checksum, set_partial_checksum};
use core::net::IpAddr;

/// Where the checksum field lies in a TCP header.
const TCP_CHECKSUM_OFFSET: u16 = 16;

/// Everything of a packet below its transport header.
#[derive(Copy, Clone, Debug)]
pub(super) struct Envelope {
    pub(super) source_mac: MacAddress,
    pub(super) destination_mac: MacAddress,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) hop_limit: u8,
    /// Differentiated services code point.
    pub(super) dscp: u8,
    pub(super) ecn: Ecn,
    pub(super) flow_label: u32,
}

impl Envelope {
    /// Bytes of Ethernet and IP headers.
    pub(super) const fn len(&self) -> usize {
        EthernetHeader::LEN
            + if self.is_ipv6() {
                Ipv6Header::LEN
            } else {
                Ipv4Header::LEN
            }
    }

    const fn is_ipv6(&self) -> bool {
        self.destination.is_ipv6()
    }

    /// The pseudo header of the transport protocol.
    pub(super) fn pseudo(&self, protocol: Protocol) -> Result<PseudoHeader, EmitError> {
        PseudoHeader::new(self.source, self.destination, protocol).ok_or(EmitError::Families)
    }

    /// Writes both headers and returns their length.
    pub(super) fn emit(
        &self,
        protocol: Protocol,
        payload_length: usize,
        buffer: &mut [u8],
    ) -> Result<usize, EmitError> {
        let (ether_type, traffic_class) = match self.destination {
            IpAddr::V4(_) => (EtherType::Ipv4, TrafficClass::new(self.dscp, self.ecn)),
            IpAddr::V6(_) => (EtherType::Ipv6, TrafficClass::new(self.dscp, self.ecn)),
        };
        let ethernet = EthernetHeader {
            destination: self.destination_mac,
            source: self.source_mac,
            ether_type,
        };
        ethernet.emit(buffer)?;
        let rest = buffer
            .get_mut(EthernetHeader::LEN..)
            .ok_or(EmitError::BufferTooShort)?;
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ipv4Header {
                source,
                destination,
                protocol,
                hop_limit: self.hop_limit,
                traffic_class,
                identification: 0,
                dont_fragment: true,
            }
            .emit(payload_length, rest)?,
            (IpAddr::V6(source), IpAddr::V6(destination)) => Ipv6Header {
                source,
                destination,
                protocol,
                hop_limit: self.hop_limit,
                traffic_class,
                flow_label: self.flow_label,
            }
            .emit(payload_length, rest)?,
            _ => return Err(EmitError::Families),
        };
        Ok(self.len())
    }
}

/// How a segment is to be written.
#[derive(Copy, Clone, Debug)]
pub(super) struct SegmentForm {
    /// The port completes checksums.
    pub(super) partial_checksum: bool,
    /// Payload bytes of each segment the port is to cut the frame into.
    pub(super) segment_size: u16,
}

/// Bytes of all headers of a frame with a TCP segment.
pub(super) fn header_length(envelope: &Envelope, header: &TcpHeader) -> usize {
    envelope.len() + header.header_len()
}

/// Writes a whole frame with a TCP segment and returns its length and what the port is to do.
pub(super) fn emit_segment(
    envelope: &Envelope,
    header: &TcpHeader,
    mut payload: Pieces<'_>,
    form: SegmentForm,
    buffer: &mut [u8],
) -> Result<(usize, TransmitMeta), EmitError> {
    let start = header_length(envelope, header);
    let length = payload.len();
    let frame = buffer
        .get_mut(..start + length)
        .ok_or(EmitError::BufferTooShort)?;
    let (headers, data) = frame.split_at_mut(start);
    let sum = if form.partial_checksum {
        payload.copy_to(data);
        None
    } else {
        Some(payload.copy_and_sum_to(data))
    };
    let meta = emit_headers(envelope, header, (length, sum), form.segment_size, headers)?;
    Ok((start + length, meta))
}

/// Writes all headers of a frame with a TCP segment, which take up the whole of `buffer`, and returns what
/// the port is to do. The payload has a length, and a sum unless the port completes the checksum.
pub(super) fn emit_headers(
    envelope: &Envelope,
    header: &TcpHeader,
    (payload_length, sum): (usize, Option<Sum>),
    segment_size: u16,
    buffer: &mut [u8],
) -> Result<TransmitMeta, EmitError> {
    let in_ip = header.header_len() + payload_length;
    let start = envelope.emit(Protocol::Tcp, in_ip, buffer)?;
    let tcp = buffer.get_mut(start..).ok_or(EmitError::BufferTooShort)?;
    header.emit(tcp)?;
    let pseudo = envelope.pseudo(Protocol::Tcp)?;
    let mut meta = TransmitMeta::default();
    if let Some(sum) = sum {
        set_checksum(tcp, &pseudo, sum, payload_length);
    } else {
        set_partial_checksum(tcp, &pseudo, payload_length);
        meta.checksum = ChecksumOffload::Partial {
            start: start as u16,
            offset: TCP_CHECKSUM_OFFSET,
        };
    }
    if payload_length > usize::from(segment_size) {
        meta.segmentation = Some(Segmentation {
            ipv6: envelope.is_ipv6(),
            header_length: buffer.len() as u16,
            segment_size,
        });
    }
    Ok(meta)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::interface::tests::ip;
    use super::*;
    use crate::wire::ip::IpPacket;
    use crate::wire::tcp::verify_checksum;

    pub(in crate::stack) fn envelope(source: &str, destination: &str) -> Envelope {
        Envelope {
            source_mac: MacAddress([2, 0, 0, 0, 0, 1]),
            destination_mac: MacAddress([2, 0, 0, 0, 0, 2]),
            source: ip(source),
            destination: ip(destination),
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::Capable0,
            flow_label: 0x12345,
        }
    }

    #[test]
    fn a_receiver_reads_back_what_was_written_from_two_odd_pieces() {
        let bytes: Vec<u8> = (0..200).collect();
        for (source, destination) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
            for cut in [0, 1, 77, 200] {
                let envelope = envelope(source, destination);
                let header = TcpHeader {
                    source_port: 7,
                    window: 9,
                    ..TcpHeader::default()
                };
                let form = SegmentForm {
                    partial_checksum: false,
                    segment_size: 1460,
                };
                let mut frame = [0xee; 512];
                let (front, back) = bytes.split_at(cut);
                let payload = Pieces::of_ring(front, back);
                let (length, meta) =
                    emit_segment(&envelope, &header, payload, form, &mut frame).unwrap();
                assert_eq!(meta, TransmitMeta::default());
                let (ethernet, start) = EthernetHeader::parse(&frame).unwrap();
                let packet = IpPacket::parse(ethernet.ether_type, &frame[start..length]).unwrap();
                assert_eq!(packet.header.traffic_class().ecn(), Ecn::Capable0);
                let segment = &frame[start..length][packet.payload.clone()];
                assert!(verify_checksum(&packet.header.pseudo_header(), segment));
                let (parsed, data) = TcpHeader::parse(segment).unwrap();
                assert_eq!(parsed, header);
                assert_eq!(&segment[data..], bytes);
            }
        }
    }

    #[test]
    fn a_large_segment_tells_the_port_how_to_cut_it() {
        let envelope = envelope("fd00::1", "fd00::2");
        let header = TcpHeader::default();
        let form = SegmentForm {
            partial_checksum: true,
            segment_size: 100,
        };
        let mut frame = [0; 512];
        let payload = Pieces::of_ring(&[1; 250], &[]);
        let (length, meta) = emit_segment(&envelope, &header, payload, form, &mut frame).unwrap();
        assert_eq!(length, 14 + 40 + 20 + 250);
        let expected = Segmentation {
            ipv6: true,
            header_length: 74,
            segment_size: 100,
        };
        assert_eq!(meta.segmentation, Some(expected));
        assert_eq!(
            meta.checksum,
            ChecksumOffload::Partial {
                start: 54,
                offset: 16
            }
        );
    }

    #[test]
    fn a_frame_that_does_not_fit_is_refused() {
        let form = SegmentForm {
            partial_checksum: false,
            segment_size: 100,
        };
        let payload = Pieces::of_ring(&[1; 50], &[]);
        let envelope = envelope("10.0.0.1", "10.0.0.2");
        let refused = emit_segment(
            &envelope,
            &TcpHeader::default(),
            payload,
            form,
            &mut [0; 100],
        );
        assert_eq!(refused, Err(EmitError::BufferTooShort));
    }
}
