//! The sending direction: what is written, granted, acknowledged and released
//! (RFC 8684 sections 3.3.1, 3.3.2, 3.3.4 and 3.3.5).

use super::data_space::DataSpace;
use crate::sequence::DataSequenceNumber;
use crate::storage::pieces::Pieces;
use crate::storage::range_set::RangeSet;
use crate::storage::send_buffer::SendBuffer;
use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::DataNumber;
use core::ops::Range;

/// At most this many separate ranges wait to be granted again; past it the range that comes later
/// in the stream waits for the data-level timer.
const MAX_REINJECT_RANGES: usize = 256;

/// How far the end of the stream has got.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Fin {
    /// The application may still write.
    Open,
    /// It will not; the DATA_FIN (after fallback: the FIN) follows the last byte.
    Wanted,
    /// It was sent.
    Sent,
    /// The peer has acknowledged it.
    Acknowledged,
}

/// What the one data-level timer of the sender waits for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Wait {
    /// The oldest byte was acknowledged on its subflow, but not at data level.
    DataAck,
    /// Nothing is under way and nothing can be granted: the window is closed.
    Window,
}

/// The data-level timer.
#[derive(Copy, Clone, Debug)]
pub(super) struct SendTimer {
    pub(super) wait: Wait,
    pub(super) due: Instant,
}

/// What a DATA_ACK did.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Acknowledged {
    /// It is of something never sent: ignored, window and all.
    Impossible,
    /// It told nothing new, but perhaps a larger window.
    Nothing,
    /// It freed bytes.
    Data,
    /// It covered the DATA_FIN.
    Fin,
}

/// Bytes to the peer.
#[derive(Debug)]
pub(super) struct SendState {
    space: DataSpace,
    /// From what is not released to what is written.
    pub(super) buffer: SendBuffer,
    /// Offset of the oldest byte without a DATA_ACK.
    pub(super) snd_una: u64,
    /// Offset of the next byte to be granted for the first time; past the DATA_FIN once sent.
    pub(super) snd_nxt: u64,
    /// Just past the largest window the peer ever gave.
    pub(super) window_edge: u64,
    pub(super) fin: Fin,
    /// What another subflow should carry too.
    pub(super) reinject: RangeSet,
    pub(super) timer: Option<SendTimer>,
    /// Timeouts in a row without a DATA_ACK.
    pub(super) backoff: u32,
    /// End of the last grant that did not fill a segment (Minshall's form of Nagle's rule).
    pub(super) small_end: u64,
    /// A write found no room.
    pub(super) writer_waits: bool,
    pub(super) bytes_reinjected: u64,
    pub(super) data_timeouts: u64,
    pub(super) last_sent: Option<Instant>,
    pub(super) last_acknowledged: Option<Instant>,
}

impl SendState {
    pub(super) fn new(capacity: usize, initial: DataSequenceNumber) -> Self {
        Self {
            space: DataSpace::after(initial),
            buffer: SendBuffer::new(capacity),
            snd_una: 0,
            snd_nxt: 0,
            window_edge: 0,
            fin: Fin::Open,
            reinject: RangeSet::new(MAX_REINJECT_RANGES),
            timer: None,
            backoff: 0,
            small_end: 0,
            writer_waits: false,
            bytes_reinjected: 0,
            data_timeouts: 0,
            last_sent: None,
            last_acknowledged: None,
        }
    }

    pub(super) fn number(&self, offset: u64) -> DataSequenceNumber {
        self.space.number(offset)
    }

    /// The bytes of a granted range in place.
    pub(super) fn pieces(&self, from: DataSequenceNumber, length: usize) -> Pieces<'_> {
        let range = self.range(from, length);
        range.map_or(Pieces::NONE, |range| self.buffer.pieces(range))
    }

    /// Where the `length` bytes from `from` on lie.
    pub(super) fn range(&self, from: DataSequenceNumber, length: usize) -> Option<Range<u64>> {
        let start = self.space.offset(from, self.snd_una)?;
        Some(start..start.saturating_add(length as u64))
    }

    /// Data granted for the first time ends here, without the DATA_FIN.
    pub(super) fn data_nxt(&self) -> u64 {
        self.snd_nxt.min(self.buffer.end())
    }

    /// Written and never granted.
    pub(super) fn unsent(&self) -> Range<u64> {
        self.data_nxt()..self.buffer.end()
    }

    /// All data was granted and the stream is to end.
    pub(super) fn fin_is_due(&self) -> bool {
        self.fin == Fin::Wanted && self.snd_nxt == self.buffer.end()
    }

    /// The DATA_FIN goes out now; returns its number.
    pub(super) fn send_fin(&mut self) -> DataSequenceNumber {
        if self.fin == Fin::Wanted {
            self.fin = Fin::Sent;
            self.snd_nxt = self.buffer.end() + 1;
        }
        self.number(self.buffer.end())
    }

    /// Everything up to the DATA_FIN is acknowledged, but that is not.
    pub(super) fn only_fin_outstanding(&self) -> bool {
        self.fin == Fin::Sent && self.snd_una == self.buffer.end()
    }

    /// Takes a DATA_ACK and the window beside it.
    pub(super) fn acknowledge(&mut self, data_ack: DataNumber, window: u32) -> Acknowledged {
        let number = self.space.widen(data_ack, self.snd_una);
        let Some(offset) = self.space.offset(number, self.snd_una) else {
            return Acknowledged::Nothing;
        };
        if offset > self.snd_nxt {
            return Acknowledged::Impossible;
        }
        self.widen_window(offset.saturating_add(u64::from(window)));
        if offset <= self.snd_una {
            return Acknowledged::Nothing;
        }
        self.advance_una(offset);
        if self.fin == Fin::Sent && offset == self.snd_nxt {
            self.fin = Fin::Acknowledged;
            return Acknowledged::Fin;
        }
        Acknowledged::Data
    }

    /// Moves the oldest unacknowledged byte on.
    pub(super) fn advance_una(&mut self, offset: u64) {
        if offset > self.snd_una {
            self.snd_una = offset;
            self.backoff = 0;
            self.timer = None;
            self.reinject.remove_below(offset);
        }
    }

    /// The right edge of the peer's window never moves left.
    pub(super) fn widen_window(&mut self, edge: u64) {
        self.window_edge = self.window_edge.max(edge);
    }

    /// Asks that `range`, as far as it was granted and is not acknowledged, be granted again.
    /// False when too many ranges wait.
    pub(super) fn ask_reinjection(&mut self, range: Range<u64>) -> bool {
        let start = range.start.max(self.snd_una);
        let end = range.end.min(self.data_nxt());
        start >= end || self.reinject.insert(start..end).is_ok()
    }

    /// Releases what lies before `to`. True when a writer that waited should be told.
    pub(super) fn release(&mut self, to: u64) -> bool {
        self.buffer.release(to.min(self.snd_una));
        self.room_was_made()
    }

    /// True when a writer that waited for room should be told that there is enough now.
    pub(super) fn room_was_made(&mut self) -> bool {
        let told = self.writer_waits && self.buffer.free() >= self.buffer.capacity() / 4;
        self.writer_waits &= !told;
        told
    }

    /// Sets the timer for `wait` unless it runs for that already.
    pub(super) fn start_timer(&mut self, wait: Wait, now: Instant, timeout: Duration) {
        if self.timer.is_none_or(|timer| timer.wait != wait) {
            let timeout = timeout
                .saturating_mul(1 << self.backoff.min(10))
                .min(Duration::from_secs(60));
            let due = now + timeout;
            self.timer = Some(SendTimer { wait, due });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap() {
        for initial in [0, (1 << 32) - 40, (1 << 63) - 40, u64::MAX - 40] {
            let initial = DataSequenceNumber(initial);
            let mut send = SendState::new(128, initial);
            assert_eq!(send.buffer.push(&[7; 100]), 100);
            send.snd_nxt = 100;
            send.fin = Fin::Wanted;
            assert_eq!(send.send_fin(), initial + 101);
            assert_eq!(send.pieces(initial + 31, 30).len(), 30);
            for acknowledged in [20, 40, 60, 100] {
                let number = initial + 1 + acknowledged;
                let short = DataNumber::Short(number.low());
                assert_eq!(send.acknowledge(short, 50), Acknowledged::Data);
                assert_eq!(send.snd_una, acknowledged);
                assert_eq!(send.window_edge, acknowledged + 50);
                let old = DataNumber::Long(initial + 1);
                assert_eq!(send.acknowledge(old, 5), Acknowledged::Nothing);
            }
            let never = DataNumber::Long(initial + 103);
            assert_eq!(send.acknowledge(never, 50), Acknowledged::Impossible);
            let all = DataNumber::Long(initial + 102);
            assert_eq!(send.acknowledge(all, 50), Acknowledged::Fin);
        }
    }
}
