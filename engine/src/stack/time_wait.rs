//! Flows in TIME-WAIT: a compact record each, bounded, the oldest forgotten first
//! (RFC 9293 section 3.6.1).

use crate::storage::flow_table::FourTuple;
use crate::tcp::TimeWaitRecord;
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// Names one record; a number that is never used again.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct TimeWaitKey(u64);

#[derive(Debug)]
struct Entry {
    flow: FourTuple,
    record: TimeWaitRecord,
    until: Instant,
    /// The flow has been opened again or its TIME-WAIT begun anew: this entry stands for nothing.
    dead: bool,
}

/// All records. Each lasts equally long, so they expire in the order in which they came.
#[derive(Debug)]
pub(super) struct TimeWaitTable {
    entries: VecDeque<Entry>,
    /// The key of the front entry.
    first: u64,
    max: usize,
    duration: Duration,
}

impl TimeWaitTable {
    pub(super) fn new(max: usize, duration: Duration) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            max,
            duration,
        }
    }

    /// Adds a record. When the table is full, first call [`Self::make_room`].
    pub(super) fn insert(
        &mut self,
        now: Instant,
        flow: FourTuple,
        record: TimeWaitRecord,
    ) -> TimeWaitKey {
        let key = TimeWaitKey(self.first.wrapping_add(self.entries.len() as u64));
        self.entries.push_back(Entry {
            flow,
            record,
            until: now + self.duration,
            dead: false,
        });
        key
    }

    /// Takes out the oldest record when the table is full; `Some` with its flow, which is to be
    /// forgotten unless it was dead already.
    pub(super) fn make_room(&mut self) -> Option<Option<FourTuple>> {
        if self.entries.len() < self.max {
            None
        } else {
            self.pop()
        }
    }

    pub(super) fn get(&self, key: TimeWaitKey) -> Option<&TimeWaitRecord> {
        let place = usize::try_from(key.0.wrapping_sub(self.first)).ok()?;
        self.entries
            .get(place)
            .filter(|entry| !entry.dead)
            .map(|entry| &entry.record)
    }

    /// Takes a record out.
    pub(super) fn remove(&mut self, key: TimeWaitKey) -> Option<TimeWaitRecord> {
        let place = usize::try_from(key.0.wrapping_sub(self.first)).ok()?;
        let entry = self.entries.get_mut(place).filter(|entry| !entry.dead)?;
        entry.dead = true;
        Some(entry.record)
    }

    /// The next entry whose time is over: its flow, or `Some(None)` when it was dead.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Option<FourTuple>> {
        let front = self.entries.front()?;
        if front.until <= now || front.dead {
            self.pop()
        } else {
            None
        }
    }

    fn pop(&mut self) -> Option<Option<FourTuple>> {
        let entry = self.entries.pop_front()?;
        self.first = self.first.wrapping_add(1);
        Some((!entry.dead).then_some(entry.flow))
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.until)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::SequenceNumber;

    fn flow(port: u16) -> FourTuple {
        FourTuple {
            local: ([10, 0, 0, 1], 80).into(),
            remote: ([10, 0, 0, 2], port).into(),
        }
    }

    fn record(number: u32) -> TimeWaitRecord {
        TimeWaitRecord {
            rcv_nxt: SequenceNumber(number),
            snd_nxt: SequenceNumber(0),
            window: 0,
            timestamps: None,
        }
    }

    #[test]
    fn records_last_their_time_and_no_longer() {
        let mut table = TimeWaitTable::new(10, Duration::from_secs(60));
        let first = table.insert(Instant::from_millis(0), flow(1), record(1));
        let second = table.insert(Instant::from_millis(500), flow(2), record(2));
        assert_eq!(table.next_timeout(), Some(Instant::from_millis(60_000)));
        assert_eq!(table.expire(Instant::from_millis(59_999)), None);
        assert_eq!(
            table.expire(Instant::from_millis(60_000)),
            Some(Some(flow(1)))
        );
        assert_eq!(table.expire(Instant::from_millis(60_000)), None);
        assert!(table.get(first).is_none());
        assert_eq!(table.get(second), Some(&record(2)));
    }

    #[test]
    fn a_record_taken_out_leaves_nothing_to_forget() {
        let mut table = TimeWaitTable::new(10, Duration::from_secs(60));
        let first = table.insert(Instant::ZERO, flow(1), record(1));
        let second = table.insert(Instant::ZERO, flow(2), record(2));
        assert_eq!(table.remove(first), Some(record(1)));
        assert_eq!(table.remove(first), None);
        assert_eq!(table.expire(Instant::ZERO), Some(None));
        assert_eq!(table.get(second), Some(&record(2)));
    }

    #[test]
    fn a_full_table_forgets_the_oldest() {
        let mut table = TimeWaitTable::new(2, Duration::from_secs(60));
        for port in 1..=2 {
            assert_eq!(table.make_room(), None);
            table.insert(Instant::ZERO, flow(port), record(0));
        }
        assert_eq!(table.make_room(), Some(Some(flow(1))));
        table.insert(Instant::ZERO, flow(3), record(3));
        assert_eq!(table.len(), 2);
    }
}
