//! The header that TAP and AF_PACKET put before a frame to tell its offloads: `virtio_net_hdr`
//! (VIRTIO 1.2, section 5.1.6; fields in the byte order of the machine, as Linux has them for
//! legacy devices).
//!
//! On receive the header is judged like any other input: what contradicts itself or the frame is
//! [`Malformed`].

use braid_engine::stack::{
    Capabilities, ChecksumOffload, PortId, ReceiveMeta, ReceivedChecksum, TransmitMeta,
};
use braid_engine::wire::checksum::Sum;

use super::{LARGEST_FRAME, LeftOut};

/// Bytes of the header.
pub(crate) const VIRTIO_HEADER: usize = 10;

const FLAG_NEEDS_CHECKSUM: u8 = 1;
const FLAG_DATA_VALID: u8 = 2;

const SEGMENT_NONE: u8 = 0;
const SEGMENT_TCP4: u8 = 1;
const SEGMENT_TCP6: u8 = 4;
/// Set beside the type when the first segment carries CWR (RFC 3168).
const SEGMENT_ECN: u8 = 0x80;

/// What a port takes over whose frames have this header.
pub(crate) const fn capabilities(offload: bool) -> Capabilities {
    Capabilities {
        checksum: offload,
        segmentation: offload,
        attach: false,
        max_frame: LARGEST_FRAME,
    }
}

/// A header that contradicts itself or its frame.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

impl From<Malformed> for LeftOut {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Reads the header of a frame of `frame_length` bytes that came in by `port`.
///
/// # Errors
///
/// [`Malformed`] when the checksum lies outside the frame or segments have no size.
pub(crate) fn parse(
    header: [u8; VIRTIO_HEADER],
    frame_length: usize,
    port: PortId,
) -> Result<ReceiveMeta, Malformed> {
    let [
        flags,
        segmentation,
        _,
        _,
        size_0,
        size_1,
        start_0,
        start_1,
        offset_0,
        offset_1,
    ] = header;
    let segment_size = match segmentation & !SEGMENT_ECN {
        SEGMENT_TCP4 | SEGMENT_TCP6 => match u16::from_ne_bytes([size_0, size_1]) {
            0 => return Err(Malformed),
            size => Some(size),
        },
        // UDP may come in large frames too; the stack has no use for either kind.
        _ => None,
    };
    let checksum = if flags & FLAG_NEEDS_CHECKSUM != 0 {
        let start = usize::from(u16::from_ne_bytes([start_0, start_1]));
        let offset = usize::from(u16::from_ne_bytes([offset_0, offset_1]));
        if start + offset + 2 > frame_length {
            return Err(Malformed);
        }
        ReceivedChecksum::Partial
    } else if flags & FLAG_DATA_VALID != 0 {
        ReceivedChecksum::Verified
    } else {
        ReceivedChecksum::Unknown
    };
    Ok(ReceiveMeta {
        port,
        checksum,
        segment_size,
    })
}

/// The header that asks for what `meta` says.
pub(crate) fn emit(meta: TransmitMeta) -> [u8; VIRTIO_HEADER] {
    let (flags, start, offset) = match meta.checksum {
        ChecksumOffload::Complete => (0, 0, 0),
        ChecksumOffload::Partial { start, offset } => (FLAG_NEEDS_CHECKSUM, start, offset),
    };
    let (kind, header_length, size) = match meta.segmentation {
        None => (SEGMENT_NONE, 0, 0),
        Some(segmentation) => (
            if segmentation.ipv6 {
                SEGMENT_TCP6
            } else {
                SEGMENT_TCP4
            },
            segmentation.header_length,
            segmentation.segment_size,
        ),
    };
    let [length_0, length_1] = header_length.to_ne_bytes();
    let [size_0, size_1] = size.to_ne_bytes();
    let [start_0, start_1] = start.to_ne_bytes();
    let [offset_0, offset_1] = offset.to_ne_bytes();
    [
        flags, kind, length_0, length_1, size_0, size_1, start_0, start_1, offset_0, offset_1,
    ]
}

/// Completes a partial checksum in place, as the port that gets the frame would.
///
/// Does nothing when the field lies outside the frame.
pub(crate) fn complete_checksum(frame: &mut [u8], start: u16, offset: u16) {
    let start = usize::from(start);
    let field = start + usize::from(offset);
    let Some(covered) = frame.get(start..) else {
        return;
    };
    let checksum = Sum::of(covered).finish();
    if let Some(bytes) = frame.get_mut(field..field + 2) {
        bytes.copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use braid_engine::stack::Segmentation;

    use super::*;

    #[test]
    fn what_is_emitted_is_what_linux_defines() {
        let meta = TransmitMeta {
            checksum: ChecksumOffload::Partial {
                start: 0x0136,
                offset: 16,
            },
            segmentation: Some(Segmentation {
                ipv6: true,
                header_length: 0x0256,
                segment_size: 0x0594,
            }),
        };
        let mut expected = vec![1, 4];
        for field in [0x0256u16, 0x0594, 0x0136, 16] {
            expected.extend(field.to_ne_bytes());
        }
        assert_eq!(emit(meta).as_slice(), expected);
        assert_eq!(emit(TransmitMeta::default()), [0; VIRTIO_HEADER]);
    }

    #[test]
    fn offloads_of_a_received_frame_are_told() {
        let mut header = [0; VIRTIO_HEADER];
        assert_eq!(
            parse(header, 60, PortId(3)),
            Ok(ReceiveMeta {
                port: PortId(3),
                ..ReceiveMeta::default()
            })
        );
        header[0] = FLAG_DATA_VALID;
        assert_eq!(
            parse(header, 60, PortId(0)).map(|meta| meta.checksum),
            Ok(ReceivedChecksum::Verified)
        );
        header = emit(TransmitMeta {
            checksum: ChecksumOffload::Partial {
                start: 34,
                offset: 16,
            },
            segmentation: Some(Segmentation {
                ipv6: false,
                header_length: 54,
                segment_size: 9,
            }),
        });
        header[1] |= SEGMENT_ECN;
        assert_eq!(
            parse(header, 52, PortId(0)),
            Ok(ReceiveMeta {
                port: PortId(0),
                checksum: ReceivedChecksum::Partial,
                segment_size: Some(9),
            })
        );
    }

    #[test]
    fn a_header_that_contradicts_its_frame_is_refused() {
        let partial = emit(TransmitMeta {
            checksum: ChecksumOffload::Partial {
                start: 34,
                offset: 16,
            },
            segmentation: None,
        });
        assert_eq!(parse(partial, 51, PortId(0)), Err(Malformed));
        let far = emit(TransmitMeta {
            checksum: ChecksumOffload::Partial {
                start: u16::MAX,
                offset: u16::MAX,
            },
            segmentation: None,
        });
        assert_eq!(parse(far, 65_589, PortId(0)), Err(Malformed));
        let mut sizeless = [0; VIRTIO_HEADER];
        sizeless[1] = SEGMENT_TCP6;
        assert_eq!(parse(sizeless, 60_000, PortId(0)), Err(Malformed));
    }

    #[test]
    fn no_header_panics_or_yields_a_segment_size_of_zero() {
        for flags in 0..=u8::MAX {
            for kind in 0..=u8::MAX {
                for fill in [0, 1, 0x7f, 0xff] {
                    let mut header = [fill; VIRTIO_HEADER];
                    header[..2].copy_from_slice(&[flags, kind]);
                    for length in [0, 1, 14, 54, 65_589] {
                        if let Ok(meta) = parse(header, length, PortId(0)) {
                            assert_ne!(meta.segment_size, Some(0));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_completed_checksum_verifies() {
        // 10.0.0.1 -> 10.0.0.2, TCP, 21 bytes from the TCP header on (an odd length).
        let pseudo_header: u32 = 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 6 + 21;
        let mut frame = vec![0x5a; 34 + 21];
        frame[34 + 16..34 + 18].copy_from_slice(&(pseudo_header as u16).to_be_bytes());
        complete_checksum(&mut frame, 34, 16);
        let mut sum = pseudo_header;
        for pair in frame[34..].chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        assert_eq!(sum, 0xffff);
    }

    #[test]
    fn a_checksum_outside_the_frame_changes_nothing() {
        let mut frame = [7; 20];
        complete_checksum(&mut frame, 34, 16);
        complete_checksum(&mut frame, 4, 15);
        complete_checksum(&mut frame, u16::MAX, u16::MAX);
        assert_eq!(frame, [7; 20]);
    }
}
