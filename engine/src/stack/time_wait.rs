//! Flows in TIME-WAIT: a compact record each, bounded, the oldest forgotten first
//! (RFC 9293 section 3.6.1).

use crate::storage::flow_table::FourTuple;
use crate::tcp::TimeWaitRecord;
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// Between two answers of one flow to segments that do not belong to it (RFC 5961 section 7).
const ANSWER_INTERVAL: Duration = Duration::from_millis(500);

/// Names one record; a number that is never used again.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct TimeWaitKey(u64);

#[derive(Debug)]
struct Entry {
    flow: FourTuple,
    record: TimeWaitRecord,
    until: Instant,
    /// The peer repeated its FIN: the time begins again when it is over.
    restarted: bool,
    /// When a segment that does not belong was answered last.
    answered_at: Option<Instant>,
    /// The flow has been opened again: this entry stands for nothing.
    dead: bool,
}

/// What becomes of the oldest entry.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Expired {
    /// Its flow is to be forgotten.
    Flow(FourTuple),
    /// It was dead: there is nothing to forget.
    Dead,
    /// Its flow is now found by this key.
    Renamed(FourTuple, TimeWaitKey),
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
            restarted: false,
            answered_at: None,
            dead: false,
        });
        key
    }

    /// Takes out the oldest record when the table is full.
    pub(super) fn make_room(&mut self) -> Option<Expired> {
        if self.entries.len() < self.max {
            return None;
        }
        let entry = self.pop()?;
        Some(if entry.dead {
            Expired::Dead
        } else {
            Expired::Flow(entry.flow)
        })
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
        let entry = self.entry_mut(key)?;
        entry.dead = true;
        Some(entry.record)
    }

    /// Begins the flow's time again. It costs no further entry, so a peer that repeats its FIN
    /// without end displaces nobody; the flow lasts up to a whole duration longer for it.
    pub(super) fn restart(&mut self, key: TimeWaitKey) {
        if let Some(entry) = self.entry_mut(key) {
            entry.restarted = true;
        }
    }

    /// Takes leave to answer a segment that does not belong to the flow.
    pub(super) fn may_answer(&mut self, now: Instant, key: TimeWaitKey) -> bool {
        let Some(entry) = self.entry_mut(key) else {
            return false;
        };
        let admitted = entry
            .answered_at
            .is_none_or(|last| now.saturating_since(last) >= ANSWER_INTERVAL);
        if admitted {
            entry.answered_at = Some(now);
        }
        admitted
    }

    fn entry_mut(&mut self, key: TimeWaitKey) -> Option<&mut Entry> {
        let place = usize::try_from(key.0.wrapping_sub(self.first)).ok()?;
        self.entries.get_mut(place).filter(|entry| !entry.dead)
    }

    /// What becomes of the next entry whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Expired> {
        let front = self.entries.front()?;
        if front.until > now && !front.dead {
            return None;
        }
        let entry = self.pop()?;
        Some(if entry.dead {
            Expired::Dead
        } else if entry.restarted {
            let key = self.insert(now, entry.flow, entry.record);
            Expired::Renamed(entry.flow, key)
        } else {
            Expired::Flow(entry.flow)
        })
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.first = self.first.wrapping_add(1);
        Some(entry)
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
            Some(Expired::Flow(flow(1)))
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
        assert_eq!(table.expire(Instant::ZERO), Some(Expired::Dead));
        assert_eq!(table.get(second), Some(&record(2)));
    }

    #[test]
    fn a_full_table_forgets_the_oldest() {
        let mut table = TimeWaitTable::new(2, Duration::from_secs(60));
        for port in 1..=2 {
            assert_eq!(table.make_room(), None);
            table.insert(Instant::ZERO, flow(port), record(0));
        }
        assert_eq!(table.make_room(), Some(Expired::Flow(flow(1))));
        table.insert(Instant::ZERO, flow(3), record(3));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_restarted_record_takes_no_room_and_lasts_once_more() {
        let mut table = TimeWaitTable::new(10, Duration::from_secs(60));
        let key = table.insert(Instant::ZERO, flow(1), record(1));
        for _ in 0..1_000 {
            table.restart(key);
        }
        assert_eq!(table.len(), 1);
        let Some(Expired::Renamed(found, key)) = table.expire(Instant::from_millis(60_000)) else {
            panic!("its time begins again");
        };
        assert_eq!((found, table.get(key)), (flow(1), Some(&record(1))));
        assert_eq!(table.expire(Instant::from_millis(119_999)), None);
        assert_eq!(
            table.expire(Instant::from_millis(120_000)),
            Some(Expired::Flow(flow(1)))
        );
    }
}
