//! A TCP segment in a frame, taken apart so that a middlebox can change it and put it together
//! again. Reads the bytes on its own, so that it does not share a mistake with the parsers.

use crate::wire::checksum::{PseudoHeader, Sum};
use crate::wire::ip::Protocol;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;

/// TCP flag bits.
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;

/// The option kinds a middlebox looks at.
pub(super) const NOP: u8 = 1;
pub(super) const SACK: u8 = 5;
pub(super) const MPTCP: u8 = 30;

/// An Ethernet frame that holds one TCP segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Packet {
    /// Ethernet and IP headers.
    network: Vec<u8>,
    /// The 20 bytes of the TCP header.
    header: [u8; TCP],
    /// The options as they stand, padding included.
    pub(super) options: Vec<u8>,
    /// The payload.
    pub(super) payload: Vec<u8>,
}

impl Packet {
    /// Takes a frame apart; `None` when it is anything but an unfragmented TCP segment.
    pub(super) fn parse(frame: &[u8]) -> Option<Self> {
        let (tcp_start, end) = match frame.get(12..ETHERNET)? {
            [0x08, 0x00] => {
                let header = frame.get(ETHERNET..ETHERNET + IPV4)?;
                let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
                if header[0] != 0x45 || header[9] != 6 || fragment != 0 {
                    return None;
                }
                let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
                (ETHERNET + IPV4, ETHERNET + total)
            }
            [0x86, 0xdd] => {
                let header = frame.get(ETHERNET..ETHERNET + IPV6)?;
                if header[6] != 6 {
                    return None;
                }
                let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
                (ETHERNET + IPV6, ETHERNET + IPV6 + length)
            }
            _ => return None,
        };
        let segment = frame.get(tcp_start..end)?;
        let header: [u8; TCP] = segment.get(..TCP)?.try_into().ok()?;
        let offset = usize::from(header[12] >> 4) * 4;
        Some(Self {
            network: frame.get(..tcp_start)?.to_vec(),
            header,
            options: segment.get(TCP..offset)?.to_vec(),
            payload: segment.get(offset..)?.to_vec(),
        })
    }

    /// Puts the frame together with lengths and checksums that are right.
    pub(super) fn build(&self) -> Vec<u8> {
        let mut segment = self.header.to_vec();
        segment.extend_from_slice(&self.options);
        segment.resize(segment.len().next_multiple_of(4), 0);
        segment[12] = ((segment.len() / 4) as u8) << 4;
        segment.extend_from_slice(&self.payload);
        segment[16..18].fill(0);
        let checksum = self.pseudo_header().map_or(0, |pseudo| {
            pseudo.sum(segment.len()).add(Sum::of(&segment)).finish()
        });
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());

        let mut frame = self.network.clone();
        if self.is_ipv4() {
            let total = (IPV4 + segment.len()) as u16;
            frame[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&total.to_be_bytes());
            frame[ETHERNET + 10..ETHERNET + 12].fill(0);
            let checksum = Sum::of(&frame[ETHERNET..ETHERNET + IPV4]).finish();
            frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&checksum.to_be_bytes());
        } else {
            let length = segment.len() as u16;
            frame[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&length.to_be_bytes());
        }
        frame.extend_from_slice(&segment);
        frame
    }

    /// True when the TCP checksum of `frame`, which this was parsed from, is right.
    pub(super) fn checksum_is_right(&self, frame: &[u8]) -> bool {
        let segment = frame.get(self.network.len()..).unwrap_or_default();
        let length = TCP + self.options.len() + self.payload.len();
        let segment = segment.get(..length).unwrap_or_default();
        self.pseudo_header()
            .is_some_and(|pseudo| pseudo.sum(length).add(Sum::of(segment)).is_valid())
    }

    pub(super) fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    pub(super) fn set_source_port(&mut self, port: u16) {
        self.header[0..2].copy_from_slice(&port.to_be_bytes());
    }

    pub(super) fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    pub(super) fn set_destination_port(&mut self, port: u16) {
        self.header[2..4].copy_from_slice(&port.to_be_bytes());
    }

    pub(super) fn sequence(&self) -> u32 {
        self.word(4..8)
    }

    pub(super) fn set_sequence(&mut self, sequence: u32) {
        self.header[4..8].copy_from_slice(&sequence.to_be_bytes());
    }

    pub(super) fn acknowledgment(&self) -> u32 {
        self.word(8..12)
    }

    pub(super) fn set_acknowledgment(&mut self, acknowledgment: u32) {
        self.header[8..12].copy_from_slice(&acknowledgment.to_be_bytes());
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.header[13] & flag != 0
    }

    pub(super) fn set_flags(&mut self, flags: u8) {
        self.header[13] = flags;
    }

    pub(super) fn flags(&self) -> u8 {
        self.header[13]
    }

    pub(super) fn window(&self) -> u16 {
        u16::from_be_bytes([self.header[14], self.header[15]])
    }

    pub(super) fn set_window(&mut self, window: u16) {
        self.header[14..16].copy_from_slice(&window.to_be_bytes());
    }

    /// Where each option lies in `options`, kind first; padding is passed over.
    pub(super) fn option_ranges(&self) -> Vec<(u8, Range<usize>)> {
        let mut ranges = Vec::new();
        let mut at = 0;
        while let Some(&kind) = self.options.get(at) {
            let length = match kind {
                0 => break,
                NOP => 1,
                _ => self
                    .options
                    .get(at + 1)
                    .map_or(0, |&length| usize::from(length)),
            };
            if length == 0 || (kind != NOP && length < 2) || at + length > self.options.len() {
                break;
            }
            if kind != NOP {
                ranges.push((kind, at..at + length));
            }
            at += length;
        }
        ranges
    }

    /// Overwrites every option of `kind` with padding.
    pub(super) fn strip_option(&mut self, kind: u8) {
        for (found, range) in self.option_ranges() {
            if found == kind {
                self.options[range].fill(NOP);
            }
        }
    }

    /// Adds `delta` to every edge of every SACK block.
    pub(super) fn shift_sack(&mut self, delta: u32) {
        for (kind, range) in self.option_ranges() {
            if kind != SACK {
                continue;
            }
            for edge in self.options[range]
                .get_mut(2..)
                .unwrap_or_default()
                .chunks_exact_mut(4)
            {
                let value = u32::from_be_bytes([edge[0], edge[1], edge[2], edge[3]]);
                edge.copy_from_slice(&value.wrapping_add(delta).to_be_bytes());
            }
        }
    }

    fn word(&self, range: Range<usize>) -> u32 {
        self.header[range]
            .iter()
            .fold(0, |word, &byte| word << 8 | u32::from(byte))
    }

    fn is_ipv4(&self) -> bool {
        self.network.len() == ETHERNET + IPV4
    }

    fn pseudo_header(&self) -> Option<PseudoHeader> {
        let (source, destination): (IpAddr, IpAddr) = if self.is_ipv4() {
            let address = |at: usize| -> Option<Ipv4Addr> {
                let bytes: [u8; 4] = self.network.get(at..at + 4)?.try_into().ok()?;
                Some(bytes.into())
            };
            (
                address(ETHERNET + 12)?.into(),
                address(ETHERNET + 16)?.into(),
            )
        } else {
            let address = |at: usize| -> Option<Ipv6Addr> {
                let bytes: [u8; 16] = self.network.get(at..at + 16)?.try_into().ok()?;
                Some(bytes.into())
            };
            (
                address(ETHERNET + 8)?.into(),
                address(ETHERNET + 24)?.into(),
            )
        };
        PseudoHeader::new(source, destination, Protocol::Tcp)
    }
}
