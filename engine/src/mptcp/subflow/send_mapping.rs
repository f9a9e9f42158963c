//! Which data sequence numbers the bytes of the subflow's send stream have
//! (RFC 8684 section 3.3.1).

use crate::sequence::DataSequenceNumber;
use crate::storage::prefetch::Prefetch;
use std::collections::VecDeque;

/// A run of the send stream whose bytes are contiguous in the data sequence space too.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct SendMapping {
    /// Offset of the first byte in the send stream of the subflow.
    pub(super) offset: u64,
    /// Data sequence number of the first byte.
    pub(super) data_sequence: DataSequenceNumber,
    /// Bytes.
    pub(super) length: u32,
    /// The DSS checksum over all of it.
    pub(super) checksum: Option<u16>,
    /// Some of it was sent: what was declared to the peer does not change any more.
    begun: bool,
}

impl SendMapping {
    /// Offset just past the last byte.
    pub(super) const fn end(&self) -> u64 {
        self.offset + self.length as u64
    }

    /// The data sequence number of the byte at `offset`, which lies in the mapping.
    pub(super) fn data_sequence_at(&self, offset: u64) -> DataSequenceNumber {
        self.data_sequence + (offset - self.offset)
    }
}

/// The mappings of all bytes granted and not yet acknowledged, in the order of the stream.
///
/// As many as home grants, which is as many bytes as the subflow has room for.
#[derive(Debug, Default)]
pub(super) struct SendMappings {
    mappings: VecDeque<SendMapping>,
    end: u64,
    end_data_sequence: DataSequenceNumber,
}

impl SendMappings {
    /// Asks for the memory of the mappings.
    pub(super) fn prefetch(&self, prefetch: Prefetch) {
        prefetch.queue(&self.mappings);
    }

    /// Where they end in the stream and in the data sequence space; `None` while there are any.
    pub(super) fn rest(&self) -> Option<(u64, DataSequenceNumber)> {
        self.mappings
            .is_empty()
            .then_some((self.end, self.end_data_sequence))
    }

    /// None, after those that ended there.
    pub(super) fn ending_at(end: u64, end_data_sequence: DataSequenceNumber) -> Self {
        Self {
            end,
            end_data_sequence,
            ..Self::default()
        }
    }

    /// Maps the next `length` bytes of the stream. They join the mapping before while the peer has
    /// not heard of it, both are contiguous, neither has a checksum, and the sum is at most
    /// `longest`.
    pub(super) fn grant(
        &mut self,
        data_sequence: DataSequenceNumber,
        length: u16,
        checksum: Option<u16>,
        longest: u32,
    ) {
        let length = u32::from(length);
        let offset = self.end;
        self.end += u64::from(length);
        self.end_data_sequence = data_sequence + u64::from(length);
        if let Some(last) = self.mappings.back_mut()
            && !last.begun
            && last.checksum.is_none()
            && checksum.is_none()
            && last.data_sequence + u64::from(last.length) == data_sequence
            && last.length.saturating_add(length) <= longest
        {
            last.length += length;
            return;
        }
        self.mappings.push_back(SendMapping {
            offset,
            data_sequence,
            length,
            checksum,
            begun: false,
        });
    }

    /// The mapping of the byte at `offset`.
    pub(super) fn at(&self, offset: u64) -> Option<&SendMapping> {
        let index = self.mappings.partition_point(|m| m.end() <= offset);
        self.mappings.get(index).filter(|m| m.offset <= offset)
    }

    /// The mapping of the byte with this data sequence number; the latest, if it was granted twice.
    pub(super) fn of(&self, data_sequence: DataSequenceNumber) -> Option<&SendMapping> {
        self.mappings.iter().rev().find(|m| {
            data_sequence.is_within(m.data_sequence, m.data_sequence + u64::from(m.length))
        })
    }

    /// The mapping at `offset` is being declared to the peer.
    pub(super) fn begin(&mut self, offset: u64) {
        let index = self.mappings.partition_point(|m| m.end() <= offset);
        if let Some(mapping) = self.mappings.get_mut(index) {
            mapping.begun = true;
        }
    }

    /// Forgets what lies wholly before `acknowledged`.
    pub(super) fn release(&mut self, acknowledged: u64) {
        while self
            .mappings
            .front()
            .is_some_and(|m| m.end() <= acknowledged)
        {
            self.mappings.pop_front();
        }
    }

    /// The mappings that end after `offset`, in the order of the stream.
    pub(super) fn after(&self, offset: u64) -> impl Iterator<Item = &SendMapping> {
        let index = self.mappings.partition_point(|m| m.end() <= offset);
        self.mappings.range(index..)
    }

    /// Offset just past the last mapping with a byte before `until`.
    pub(super) fn end_before(&self, until: DataSequenceNumber) -> Option<u64> {
        self.mappings
            .iter()
            .rev()
            .find(|m| m.data_sequence.is_before(until))
            .map(SendMapping::end)
    }

    /// The data sequence number after that of the last byte granted.
    pub(super) const fn end_data_sequence(&self) -> DataSequenceNumber {
        self.end_data_sequence
    }

    /// Offset just past the last byte granted.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: DataSequenceNumber = DataSequenceNumber(u64::MAX - 99);

    #[test]
    fn contiguous_grants_share_a_mapping_until_it_is_declared() {
        let mut mappings = SendMappings::default();
        mappings.grant(START, 60, None, 65_535);
        mappings.grant(START + 60, 60, None, 65_535);
        assert_eq!(
            mappings.at(119).map(|m| (m.offset, m.length)),
            Some((0, 120))
        );
        mappings.begin(0);
        mappings.grant(START + 120, 60, None, 65_535);
        assert_eq!(
            mappings.at(120).map(|m| (m.offset, m.length)),
            Some((120, 60))
        );
        assert_eq!(
            mappings.at(120).map(|m| m.data_sequence),
            Some(DataSequenceNumber(20))
        );
    }

    #[test]
    fn gaps_checksums_and_the_length_field_keep_grants_apart() {
        let mut mappings = SendMappings::default();
        mappings.grant(START, 65_535, None, 65_535);
        mappings.grant(START + 65_535, 1, None, 65_535);
        mappings.grant(START + 70_000, 1, None, 65_535);
        mappings.grant(START + 70_001, 1, Some(7), 65_535);
        mappings.grant(START + 70_002, 1, Some(8), 65_535);
        let lengths: Vec<u32> = mappings.after(0).map(|m| m.length).collect();
        assert_eq!(lengths, [65_535, 1, 1, 1, 1]);
    }

    #[test]
    fn acknowledged_mappings_go_and_partly_acknowledged_ones_stay() {
        let mut mappings = SendMappings::default();
        mappings.grant(START, 10, None, 10);
        mappings.grant(START + 10, 10, None, 10);
        mappings.release(15);
        assert_eq!(mappings.at(9), None);
        assert_eq!(mappings.at(15).map(|m| m.offset), Some(10));
        assert_eq!(mappings.at(20), None);
    }
}
