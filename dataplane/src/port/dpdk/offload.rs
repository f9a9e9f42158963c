//! Between what the engine says of a frame and the flags of a buffer (DPDK's programmer's guide,
//! "Mbuf library", section on offloads).
//!
//! DPDK wants the sum of the pseudo-header in the checksum field, as the engine leaves it there,
//! but for frames to be cut into segments without the length in it, as each segment has its own.
//! The IPv4 checksum of such frames is the device's too.

use braid_engine::stack::{
    Capabilities, ChecksumOffload, PortId, ReceiveMeta, ReceivedChecksum, Segmentation,
    TransmitMeta,
};
use capsule_ffi as ffi;

use crate::sys::dpdk::device::Abilities;

const ETHERNET_HEADER: usize = 14;
const ETHERTYPE: usize = 12;
const IPV6: [u8; 2] = [0x86, 0xdd];
const IPV4_CHECKSUM: usize = 24;

/// The largest frame to be cut into segments: what fits one descriptor of any NIC known (of
/// Intel's, 16 KiB less one byte).
pub(super) const LARGEST_SEGMENTED_FRAME: usize = 16_383;

const CHECKSUM: u64 = ffi::RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
const SEGMENTATION: u64 =
    CHECKSUM | ffi::RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | ffi::RTE_ETH_TX_OFFLOAD_TCP_TSO;
const RECEIVE: u64 = ffi::RTE_ETH_RX_OFFLOAD_TCP_CKSUM | ffi::RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;

/// What is left to a device.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Offloads {
    pub(super) checksum: bool,
    pub(super) segmentation: bool,
    verification: bool,
}

/// A driver that counts the Ethernet header to the MTU, and so never sends a segment that fills it
/// (22.11).
const CANNOT_FILL_SEGMENTS: &str = "net_tap";

impl Offloads {
    /// All of what the device can.
    pub(super) fn of(abilities: &Abilities) -> Self {
        let mut can = abilities.transmit_offloads;
        if abilities.driver == CANNOT_FILL_SEGMENTS {
            can &= !ffi::RTE_ETH_TX_OFFLOAD_TCP_TSO;
        }
        Self {
            checksum: can & CHECKSUM == CHECKSUM,
            segmentation: can & SEGMENTATION == SEGMENTATION,
            verification: abilities.receive_offloads & RECEIVE == RECEIVE,
        }
    }

    /// `RTE_ETH_RX_OFFLOAD_*` to ask for.
    pub(super) fn receive_flags(self) -> u64 {
        if self.verification { RECEIVE } else { 0 }
    }

    /// `RTE_ETH_TX_OFFLOAD_*` to ask for.
    pub(super) fn transmit_flags(self) -> u64 {
        match (self.segmentation, self.checksum) {
            (true, _) => SEGMENTATION,
            (false, true) => CHECKSUM,
            (false, false) => 0,
        }
    }

    /// What the engine is told, for packets of `mtu` bytes.
    pub(super) fn capabilities(self, mtu: u16) -> Capabilities {
        let plain = ETHERNET_HEADER + usize::from(mtu);
        Capabilities {
            checksum: self.checksum,
            segmentation: self.segmentation,
            attach: false,
            max_frame: if self.segmentation {
                plain.max(LARGEST_SEGMENTED_FRAME)
            } else {
                plain
            },
        }
    }
}

/// What the flags of a packet say that came in by `port`.
pub(super) fn received(flags: u64, port: PortId) -> ReceiveMeta {
    const NONE: u64 = ffi::RTE_MBUF_F_RX_L4_CKSUM_MASK;
    let checksum = match flags & ffi::RTE_MBUF_F_RX_L4_CKSUM_MASK {
        ffi::RTE_MBUF_F_RX_L4_CKSUM_GOOD => ReceivedChecksum::Verified,
        // The data is good and the field was never filled, as between machines on one host.
        NONE => ReceivedChecksum::Partial,
        // The engine counts the bad ones, so it is the engine that judges them.
        _ => ReceivedChecksum::Unknown,
    };
    ReceiveMeta {
        port,
        checksum,
        segment_size: None,
    }
}

/// The flags and lengths that ask for what `meta` says of `frame`, in which the fields are changed
/// that a device wants otherwise than the engine leaves them.
pub(super) fn prepare(frame: &mut [u8], meta: TransmitMeta) -> (u64, u64) {
    let ChecksumOffload::Partial { start, offset } = meta.checksum else {
        return (0, 0);
    };
    let ipv6 = frame.get(ETHERTYPE..ETHERTYPE + 2) == Some(&IPV6);
    let version = if ipv6 {
        ffi::RTE_MBUF_F_TX_IPV6
    } else {
        ffi::RTE_MBUF_F_TX_IPV4
    };
    let network = start.saturating_sub(ETHERNET_HEADER as u16);
    let Some(segmentation) = meta.segmentation else {
        let lengths = ffi::tx_offload(ETHERNET_HEADER as u8, network, 20, 0);
        return (version | ffi::RTE_MBUF_F_TX_TCP_CKSUM, lengths);
    };
    let Segmentation {
        ipv6,
        header_length,
        segment_size,
    } = segmentation;
    let length = frame.len().saturating_sub(usize::from(start));
    remove_length(frame, usize::from(start) + usize::from(offset), length);
    let transport = header_length.saturating_sub(start) as u8;
    let lengths = ffi::tx_offload(ETHERNET_HEADER as u8, network, transport, segment_size);
    let flags = ffi::RTE_MBUF_F_TX_TCP_CKSUM | ffi::RTE_MBUF_F_TX_TCP_SEG;
    if ipv6 {
        return (flags | ffi::RTE_MBUF_F_TX_IPV6, lengths);
    }
    if let Some(field) = frame.get_mut(IPV4_CHECKSUM..IPV4_CHECKSUM + 2) {
        field.fill(0);
    }
    (
        flags | ffi::RTE_MBUF_F_TX_IPV4 | ffi::RTE_MBUF_F_TX_IP_CKSUM,
        lengths,
    )
}

/// Takes the length of the segment out of the folded sum at `field` (RFC 1624, section 3).
fn remove_length(frame: &mut [u8], field: usize, length: usize) {
    let Some(bytes) = frame
        .get_mut(field..)
        .and_then(|rest| rest.first_chunk_mut::<2>())
    else {
        return;
    };
    let mut sum = u32::from(u16::from_be_bytes(*bytes)) + u32::from(!(length as u16));
    sum = (sum & 0xffff) + (sum >> 16);
    *bytes = (sum as u16).to_be_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abilities(receive_offloads: u64, transmit_offloads: u64) -> Abilities {
        Abilities {
            driver: "net_test".into(),
            max_mtu: 9_000,
            max_receive_queues: 1,
            max_transmit_queues: 1,
            receive_offloads,
            transmit_offloads,
            table_size: 0,
            key_size: 0,
            hashes: 0,
        }
    }

    /// A frame of IPv4 whose checksum field has the sum of the pseudo-header 10.0.0.1 ->
    /// 10.0.0.2, TCP, with this length.
    fn frame(length: u16) -> Vec<u8> {
        let mut frame = vec![0x11; 34 + 1_000];
        frame[12..14].copy_from_slice(&[8, 0]);
        let sum = 0x0a00u32 + 1 + 0x0a00 + 2 + 6 + u32::from(length);
        frame[50..52].copy_from_slice(&((sum & 0xffff) as u16).to_be_bytes());
        frame
    }

    const PARTIAL: ChecksumOffload = ChecksumOffload::Partial {
        start: 34,
        offset: 16,
    };

    #[test]
    fn a_device_that_lacks_a_part_of_segmentation_is_left_the_checksum() {
        let some = CHECKSUM | ffi::RTE_ETH_TX_OFFLOAD_TCP_TSO;
        let offloads = Offloads::of(&abilities(0, some));
        assert_eq!(offloads.transmit_flags(), CHECKSUM);
        assert_eq!(offloads.receive_flags(), 0);
        let told = offloads.capabilities(9_000);
        assert_eq!(
            (told.checksum, told.segmentation, told.max_frame),
            (true, false, 9_014)
        );
        let all = Offloads::of(&abilities(RECEIVE, SEGMENTATION));
        assert_eq!(all.receive_flags(), RECEIVE);
        assert_eq!(all.capabilities(1_500).max_frame, LARGEST_SEGMENTED_FRAME);
        let none = Offloads::of(&abilities(0, 0)).capabilities(1_500);
        assert_eq!((none.checksum, none.max_frame), (false, 1_514));
    }

    #[test]
    fn a_frame_of_its_own_keeps_its_sum() {
        let mut bytes = frame(1_000);
        let before = bytes.clone();
        let meta = TransmitMeta {
            checksum: PARTIAL,
            segmentation: None,
        };
        let (flags, lengths) = prepare(&mut bytes, meta);
        assert_eq!(bytes, before);
        assert_eq!(
            flags,
            ffi::RTE_MBUF_F_TX_IPV4 | ffi::RTE_MBUF_F_TX_TCP_CKSUM
        );
        assert_eq!((lengths & 0x7f, lengths >> 7 & 0x1ff), (14, 20));
        assert_eq!(prepare(&mut bytes, TransmitMeta::default()), (0, 0));
    }

    #[test]
    fn a_frame_to_be_cut_has_a_sum_without_length() {
        let mut bytes = frame(1_000);
        let meta = TransmitMeta {
            checksum: PARTIAL,
            segmentation: Some(Segmentation {
                ipv6: false,
                header_length: 66,
                segment_size: 400,
            }),
        };
        let (flags, lengths) = prepare(&mut bytes, meta);
        assert_eq!(bytes[50..52], frame(0)[50..52]);
        assert_eq!(bytes[24..26], [0, 0]);
        let expected = ffi::RTE_MBUF_F_TX_IPV4
            | ffi::RTE_MBUF_F_TX_IP_CKSUM
            | ffi::RTE_MBUF_F_TX_TCP_CKSUM
            | ffi::RTE_MBUF_F_TX_TCP_SEG;
        assert_eq!(flags, expected);
        assert_eq!(lengths, 14 | 20 << 7 | 32 << 16 | 400 << 24);
    }

    #[test]
    fn no_frame_and_no_lengths_panic() {
        for length in [0, 1, 13, 51] {
            let meta = TransmitMeta {
                checksum: ChecksumOffload::Partial {
                    start: u16::MAX,
                    offset: u16::MAX,
                },
                segmentation: Some(Segmentation {
                    ipv6: length % 2 == 0,
                    header_length: 0,
                    segment_size: 1,
                }),
            };
            let mut bytes = vec![7; length];
            prepare(&mut bytes, meta);
        }
    }

    #[test]
    fn a_verified_checksum_is_told_and_a_bad_one_is_left_to_the_engine() {
        let checksum = |flags| received(flags, PortId(2)).checksum;
        assert_eq!(checksum(0), ReceivedChecksum::Unknown);
        assert_eq!(
            checksum(ffi::RTE_MBUF_F_RX_L4_CKSUM_GOOD),
            ReceivedChecksum::Verified
        );
        assert_eq!(
            checksum(ffi::RTE_MBUF_F_RX_L4_CKSUM_BAD),
            ReceivedChecksum::Unknown
        );
        assert_eq!(
            checksum(ffi::RTE_MBUF_F_RX_L4_CKSUM_MASK),
            ReceivedChecksum::Partial
        );
        assert_eq!(received(0, PortId(2)).port, PortId(2));
    }
}
