//! What home granted: the send stream, its mappings, and copies of bytes home could not keep.

use super::send_mapping::{SendMapping, SendMappings};
use crate::sequence::DataSequenceNumber;
use crate::storage::pieces::Pieces;
use std::collections::VecDeque;

/// The longest mapping that the length field of a DSS holds.
pub(super) const LONGEST_MAPPING: u32 = u16::MAX as u32;

/// A connection's send buffer, to copy from.
pub trait SendBytes {
    /// The `length` bytes from `start` on; what is not held is left out.
    fn pieces(&self, start: DataSequenceNumber, length: usize) -> Pieces<'_>;
}

/// Where an infinite mapping begins (RFC 8684 section 3.7), and how far it was carried.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct InfiniteMapping {
    /// Offset in the send stream.
    pub(super) offset: u64,
    /// Data sequence number of the byte there.
    pub(super) data_sequence: DataSequenceNumber,
    /// End of the first data that carried it; once that is acknowledged the peer has heard.
    pub(super) carried: Option<u64>,
}

/// The sending half of a subflow above TCP.
#[derive(Debug, Default)]
pub(super) struct Outflow {
    pub(super) mappings: SendMappings,
    /// A DATA_FIN that is to go on the next segment without data.
    pub(super) data_fin: Option<DataSequenceNumber>,
    pub(super) infinite: Option<InfiniteMapping>,
    /// Mappings are declared no more.
    plain: bool,
    retained: Retained,
}

/// Copies of a run of the send stream.
#[derive(Debug, Default)]
struct Retained {
    start: u64,
    bytes: VecDeque<u8>,
    /// The copies are all there is: home is another worker, and sends its bytes with each grant.
    carries: bool,
}

impl Retained {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Lets go of what lies before `acknowledged`. The memory is kept only where more copies follow.
    fn release(&mut self, acknowledged: u64) {
        let gone = acknowledged.saturating_sub(self.start);
        let held = self.bytes.len();
        let gone = usize::try_from(gone).map_or(held, |gone| gone.min(held));
        self.bytes.drain(..gone);
        self.start += gone as u64;
        if self.bytes.is_empty() && !self.carries {
            *self = Self::default();
        }
    }
}

/// An [`Outflow`] all of whose grants have arrived.
#[derive(Debug)]
pub(super) struct RestingOutflow {
    end: u64,
    end_data_sequence: DataSequenceNumber,
    plain: bool,
    carries: bool,
}

impl From<&RestingOutflow> for Outflow {
    fn from(resting: &RestingOutflow) -> Self {
        Self {
            mappings: SendMappings::ending_at(resting.end, resting.end_data_sequence),
            plain: resting.plain,
            retained: Retained {
                start: if resting.carries { resting.end } else { 0 },
                carries: resting.carries,
                ..Retained::default()
            },
            ..Self::default()
        }
    }
}

impl Outflow {
    /// What is left of it; `None` while something is to be sent or kept.
    pub(super) fn rest(&self) -> Option<RestingOutflow> {
        let holds_nothing = self.data_fin.is_none()
            && self.infinite.is_none()
            && self.retained.bytes.is_empty()
            && (!self.retained.carries || self.retained.start == self.mappings.end());
        let (end, end_data_sequence) = self.mappings.rest().filter(|_| holds_nothing)?;
        Some(RestingOutflow {
            end,
            end_data_sequence,
            plain: self.plain,
            carries: self.retained.carries,
        })
    }

    /// Bytes copied for retransmission.
    pub(super) fn retained_length(&self) -> usize {
        self.retained.bytes.len()
    }

    /// Takes in a grant.
    pub(super) fn grant(
        &mut self,
        data_sequence: DataSequenceNumber,
        length: u16,
        checksum: Option<u16>,
    ) {
        // Without mappings on the wire the length field bounds nothing.
        let longest = if self.plain { 1 << 30 } else { LONGEST_MAPPING };
        self.mappings
            .grant(data_sequence, length, checksum, longest);
    }

    /// Everything before `acknowledged` has arrived.
    pub(super) fn release(&mut self, acknowledged: u64) {
        self.mappings.release(acknowledged);
        self.retained.release(acknowledged);
        if let Some(infinite) = self.infinite
            && infinite.carried.is_some_and(|end| end <= acknowledged)
        {
            self.infinite = None;
        }
    }

    /// MPTCP is over: no DATA_FIN, and mappings of any length.
    pub(super) fn end_multipath(&mut self) {
        self.data_fin = None;
        self.plain = true;
    }

    /// An infinite mapping is to be declared from `data_sequence` on.
    pub(super) fn declare_infinite(&mut self, data_sequence: DataSequenceNumber) {
        let (offset, data_sequence) = match self.mappings.of(data_sequence) {
            Some(mapping) => {
                let into = data_sequence.offset_from(mapping.data_sequence);
                (mapping.offset + into, data_sequence)
            }
            None if self.mappings.end() == 0 => (0, data_sequence),
            // The peer has taken in that byte and all that was granted after it.
            None => (self.mappings.end(), self.mappings.end_data_sequence()),
        };
        self.infinite = Some(InfiniteMapping {
            offset,
            data_sequence,
            carried: None,
        });
    }

    /// The first unacknowledged byte, or the next to be granted, begins an infinite mapping.
    pub(super) fn declare_infinite_from(&mut self, acknowledged: u64) {
        let (offset, data_sequence) = match self.mappings.at(acknowledged) {
            Some(mapping) => (acknowledged, mapping.data_sequence_at(acknowledged)),
            None => (self.mappings.end(), self.mappings.end_data_sequence()),
        };
        self.infinite = Some(InfiniteMapping {
            offset,
            data_sequence,
            carried: None,
        });
    }

    /// Copies what lies before `until` and is not acknowledged, so that home may release it. False
    /// when home's buffer no longer holds it all.
    pub(super) fn retain(
        &mut self,
        until: DataSequenceNumber,
        acknowledged: u64,
        source: &impl SendBytes,
    ) -> bool {
        let Some(end) = self.mappings.end_before(until) else {
            return true;
        };
        if self.retained.bytes.is_empty() {
            self.retained.start = acknowledged;
        }
        for mapping in self.mappings.after(self.retained.end()) {
            if mapping.offset >= end {
                break;
            }
            let from = self.retained.end().max(mapping.offset);
            let length = (mapping.end() - from) as usize;
            let pieces = source.pieces(mapping.data_sequence_at(from), length);
            if pieces.len() != length {
                return false;
            }
            for piece in pieces {
                self.retained.bytes.extend(piece);
            }
        }
        true
    }

    /// End of the retained bytes, if `offset` is among them.
    pub(super) fn retained_end(&self, offset: u64) -> Option<u64> {
        (self.retained.start..self.retained.end())
            .contains(&offset)
            .then(|| self.retained.end())
    }

    /// Takes the next bytes of the stream, which home grants after.
    pub(super) fn carry(&mut self, bytes: &[u8]) {
        self.retained.carries = true;
        self.retained.bytes.extend(bytes);
    }

    /// The bytes from `offset` on in place; fewer where fewer are held.
    pub(super) fn retained_bytes(&self, offset: u64, length: u32) -> Pieces<'_> {
        let Some(start) = offset.checked_sub(self.retained.start) else {
            return Pieces::NONE;
        };
        let held = self.retained.bytes.len();
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(held);
        let end = start.saturating_add(length as usize).min(held);
        let (front, back) = self.retained.bytes.as_slices();
        let split = front.len();
        Pieces::of_ring(
            &front[start.min(split)..end.min(split)],
            &back[start.saturating_sub(split)..end.saturating_sub(split)],
        )
    }

    /// The mapping of the byte at `offset`.
    pub(super) fn mapping_at(&self, offset: u64) -> Option<&SendMapping> {
        self.mappings.at(offset)
    }
}
