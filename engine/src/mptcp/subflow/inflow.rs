//! Data in order on the subflow, on its way to home: it meets its mapping, and its checksum where one
//! is in use, before it is passed on (RFC 8684 sections 3.3.1 and 3.3.3).

use super::outbox::Outbox;
use super::receive_mapping::{DeclaredChecksum, ReceiveMapping, ReceiveMappings};
use crate::mptcp::message::{Numbering, ToHome};
use crate::sequence::DataSequenceNumber;
use crate::storage::frame::{Frame, FramePool};
use crate::storage::prefetch::Prefetch;
use crate::tcp::InOrder;
use crate::time::{Duration, Instant};
use crate::wire::checksum::{Sum, dss_checksum_is_valid};
use std::collections::VecDeque;

/// Data waits for its mapping no longer than this. A middlebox that joins segments may keep the
/// options of the last one only, so a mapping can come after its data.
const MAPPING_PATIENCE: Duration = Duration::from_millis(500);

/// No more data than the longest mapping has waits for one.
const MAPPING_REACH: u64 = u16::MAX as u64;

/// What became of the data that is in order.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Passage {
    /// All of it was passed on, or waits for the rest of its mapping.
    Clear,
    /// The next byte has no mapping yet.
    Unmapped,
    /// The mapping of the next byte has a wrong checksum.
    Corrupt(DataSequenceNumber),
}

/// One line through both streams.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct InfiniteMapping {
    offset: u64,
    data_sequence: DataSequenceNumber,
}

impl InfiniteMapping {
    /// The data sequence number of the byte at `offset`, on either side of where it begins.
    const fn data_sequence_at(self, offset: u64) -> DataSequenceNumber {
        let distance = offset.wrapping_sub(self.offset);
        DataSequenceNumber(self.data_sequence.0.wrapping_add(distance))
    }
}

/// The receiving half of a subflow above TCP.
#[derive(Debug)]
pub(super) struct Inflow {
    pub(super) mappings: ReceiveMappings,
    /// Segments treated as lost because their mapping found no room.
    pub(super) dropped: u64,
    /// Pieces in order that were not passed on yet.
    held: VecDeque<InOrder>,
    held_bytes: u64,
    /// Offset of the first byte not yet passed on.
    offset: u64,
    /// Its data sequence number under the identity mapping: after the highest passed on, for what
    /// was passed on last may be a copy.
    data_sequence: DataSequenceNumber,
    /// An infinite mapping came, which numbers all that has no other mapping.
    infinite: Option<InfiniteMapping>,
    /// Until when data without a mapping may wait.
    patience: Option<Instant>,
    /// Home was told that data lacks its mapping or failed its checksum: it decides what follows.
    blocked: bool,
}

/// An [`Inflow`] all of whose data was passed on.
#[derive(Copy, Clone, Debug)]
pub(super) struct RestingInflow {
    offset: u64,
    data_sequence: DataSequenceNumber,
}

impl From<&RestingInflow> for Inflow {
    fn from(resting: &RestingInflow) -> Self {
        Self {
            offset: resting.offset,
            ..Self::new(resting.data_sequence)
        }
    }
}

impl Inflow {
    /// What is left of it; `None` while it holds something, or the peer has mapped the stream without end.
    pub(super) fn rest(&self) -> Option<RestingInflow> {
        let holds_nothing = self.mappings.is_empty()
            && self.held.is_empty()
            && self.infinite.is_none()
            && self.patience.is_none()
            && !self.blocked;
        holds_nothing.then_some(RestingInflow {
            offset: self.offset,
            data_sequence: self.data_sequence,
        })
    }

    /// Asks for the memory of the pieces held.
    pub(super) fn prefetch(&self, prefetch: Prefetch) {
        prefetch.queue(&self.held);
    }

    /// Bytes of memory of the data held.
    pub(super) fn memory(&self) -> usize {
        let held = self.held.iter();
        held.map(|piece| piece.frame.memory()).sum()
    }

    /// Nothing received; the first byte will have `data_sequence`.
    pub(super) fn new(data_sequence: DataSequenceNumber) -> Self {
        Self {
            mappings: ReceiveMappings::default(),
            dropped: 0,
            held: VecDeque::new(),
            held_bytes: 0,
            offset: 0,
            data_sequence,
            infinite: None,
            patience: None,
            blocked: false,
        }
    }

    /// States the data sequence number of the first byte, once the peer's key tells it.
    pub(super) fn start_at(&mut self, data_sequence: DataSequenceNumber) {
        if self.offset == 0 {
            self.data_sequence = data_sequence;
        }
    }

    /// Offset of the first byte not yet passed on.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The data sequence number of the byte at `offset`, which was not passed on, if no mapping says
    /// otherwise.
    pub(super) fn data_sequence_at(&self, offset: u64) -> DataSequenceNumber {
        match self.infinite {
            Some(infinite) => infinite.data_sequence_at(offset),
            None => self.data_sequence + offset.saturating_sub(self.offset),
        }
    }

    /// An infinite mapping says that the byte at `offset` has `data_sequence`. The peer repeats it
    /// until it is acknowledged.
    pub(super) fn map_infinitely(&mut self, offset: u64, data_sequence: DataSequenceNumber) {
        self.infinite.get_or_insert(InfiniteMapping {
            offset,
            data_sequence,
        });
    }

    /// Room for one more piece: what waits is less than a mapping can reach.
    pub(super) fn has_room(&self) -> bool {
        !self.blocked && self.held_bytes <= MAPPING_REACH
    }

    /// Data waits that cannot be passed on.
    pub(super) fn holds_data(&self) -> bool {
        self.held_bytes > 0
    }

    /// Takes in a piece that follows all before. A small one joins the frame of the piece before, or
    /// begins one that others join, so that what waits takes memory in proportion to its bytes.
    pub(super) fn push(&mut self, mut piece: InOrder, pool: &mut FramePool) {
        let length = piece.range.len();
        self.held_bytes += length as u64;
        let roomy = piece.frame.capacity().max(pool.frame_capacity());
        if length < roomy / 2
            && let Some(last) = self.held.back_mut()
            && let Some(bytes) = piece.frame.bytes().get(piece.range.clone())
        {
            if last.frame.append_after(last.range.end, bytes) {
                last.range.end += length;
                pool.put(piece.frame);
                return;
            }
            // A frame of the size of its payload would be one that nothing can join.
            if piece.frame.capacity() < roomy {
                let (frame, copied) = copy_of(&piece, length, pool);
                pool.put(core::mem::replace(&mut piece.frame, frame));
                piece.range = 0..copied;
            }
        }
        self.held.push_back(piece);
    }

    /// The data that waits goes by identity from here on.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
        self.patience = None;
    }

    /// Home was told; nothing passes until it answers.
    pub(super) fn block(&mut self) {
        self.blocked = true;
        self.patience = None;
    }

    /// True when home was told and has not answered.
    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Data without a mapping waits: true when it has waited long enough, or too much of it does.
    pub(super) fn is_overdue(&mut self, now: Instant) -> bool {
        let until = *self.patience.get_or_insert(now + MAPPING_PATIENCE);
        until <= now || self.held_bytes > MAPPING_REACH
    }

    /// Until when data without a mapping may wait.
    pub(super) const fn patience(&self) -> Option<Instant> {
        self.patience
    }

    /// Forgets all that waits.
    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.held_bytes = 0;
        self.mappings.clear();
        self.unblock();
    }

    /// Passes on what can be passed on: with [`Numbering::Identity`] also what has no mapping, and
    /// without a look at checksums.
    pub(super) fn pass(
        &mut self,
        numbering: Numbering,
        pool: &mut FramePool,
        out: &mut Outbox<ToHome>,
    ) -> Passage {
        while let Some(front) = self.held.front() {
            let front_end = self.offset + front.range.len() as u64;
            let (end, data_sequence, long, by) = match self.mappings.at(self.offset) {
                Some(mapping) => {
                    if let Some(checksum) = mapping.checksum
                        && numbering == Numbering::Mapped
                    {
                        if self.offset + self.held_bytes < mapping.end() {
                            // What is missing is data, which TCP will bring.
                            self.patience = None;
                            return Passage::Clear;
                        }
                        if !verify(mapping, checksum, &self.held) {
                            return Passage::Corrupt(mapping.data_sequence);
                        }
                        self.mappings.set_verified();
                        continue;
                    }
                    let data_sequence = mapping.data_sequence_at(self.offset);
                    let end = self.mappings.run_end(self.offset..front_end);
                    let end = end.unwrap_or(front_end);
                    (end, data_sequence, mapping.long, Numbering::Mapped)
                }
                None if numbering == Numbering::Identity => {
                    // A mapping that begins later in the piece says where that part belongs.
                    let end = self.mappings.next_start().unwrap_or(front_end);
                    let by = match self.infinite {
                        Some(_) => Numbering::Mapped,
                        None => Numbering::Identity,
                    };
                    let data_sequence = self.data_sequence_at(self.offset);
                    (end.min(front_end), data_sequence, true, by)
                }
                None => return Passage::Unmapped,
            };
            self.pass_front(end, data_sequence, by, long, pool, out);
        }
        Passage::Clear
    }

    /// Passes on the front piece up to `end`, all of it or a copy of its first part.
    fn pass_front(
        &mut self,
        end: u64,
        data_sequence: DataSequenceNumber,
        numbering: Numbering,
        long: bool,
        pool: &mut FramePool,
        out: &mut Outbox<ToHome>,
    ) {
        let Some(mut piece) = self.held.pop_front() else {
            return;
        };
        let wanted = usize::try_from(end - self.offset).unwrap_or(usize::MAX);
        let (length, frame, range) = if wanted >= piece.range.len() {
            (piece.range.len(), piece.frame, piece.range)
        } else {
            let (frame, length) = copy_of(&piece, wanted, pool);
            piece.range.start += length;
            piece.offset += length as u64;
            self.held.push_front(piece);
            (length, frame, 0..length)
        };
        self.held_bytes -= length as u64;
        let next = data_sequence + length as u64;
        // A joined subflow begins anywhere in the stream of the connection.
        self.data_sequence = match self.offset {
            0 => next,
            _ => next.latest(self.data_sequence),
        };
        self.offset += length as u64;
        self.patience = None;
        if length == 0 {
            pool.put(frame);
        } else {
            out.push(ToHome::Data {
                data_sequence,
                numbering,
                frame,
                range,
                long,
            });
        }
        while let Some(past) = self.mappings.take_past(self.offset) {
            if past.data_fin {
                let data_sequence = past.data_sequence_at(past.end());
                out.push(ToHome::DataFin { data_sequence });
            }
        }
    }
}

/// A frame with the first `wanted` bytes of a piece, or with as many as a frame of the pool holds.
fn copy_of(piece: &InOrder, wanted: usize, pool: &mut FramePool) -> (Frame, usize) {
    let mut frame = pool.take();
    let length = wanted.min(frame.capacity());
    let source = piece.frame.bytes().get(piece.range.start..).unwrap_or(&[]);
    let length = length.min(source.len());
    frame.set_filled(0..length);
    frame.bytes_mut().copy_from_slice(&source[..length]);
    (frame, length)
}

/// True when the data of `mapping`, which is all held from the front on, has this checksum.
fn verify(mapping: &ReceiveMapping, checksum: DeclaredChecksum, held: &VecDeque<InOrder>) -> bool {
    let mut sum = Sum::ZERO;
    let mut summed = 0;
    for piece in held {
        let left = mapping.length as usize - summed;
        let bytes = piece.frame.bytes().get(piece.range.clone());
        let bytes = bytes.unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(left)];
        sum = sum.add_at(summed, Sum::of(bytes));
        summed += bytes.len();
        if summed == mapping.length as usize {
            break;
        }
    }
    // Relative numbers begin at 1 and are 32 bits in the pseudo header.
    let subflow_offset = mapping.offset.wrapping_add(1) as u32;
    dss_checksum_is_valid(
        sum,
        mapping.data_sequence,
        subflow_offset,
        checksum.length,
        checksum.value,
    )
}
