//! What was sent and is not yet acknowledged in order: the scoreboard of RFC 6675 with the times
//! that RACK needs (RFC 8985 section 5.2).
//!
//! One entry is one emission, which may span many segments of the wire, or the part of one that
//! shares its fate. Entries adjoin without gaps from SND.UNA to SND.NXT.

use super::delivered::Delivered;
use crate::storage::prefetch::Prefetch;
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// Emissions outstanding at most; nothing new is sent past it.
const SEND_LIMIT: usize = 8_192;
/// Entries at most. Selective acknowledgments split entries; past the limit a part of an entry
/// is not told apart from the rest of it.
const SPLIT_LIMIT: usize = 2 * SEND_LIMIT;
/// Lost entries that one retransmission joins at most.
const JOIN_LIMIT: usize = 64;

/// What is known about sent bytes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Sent, or sent again, and nothing heard.
    InFlight,
    /// Deemed lost and to be sent again.
    Lost,
    /// The peer holds them.
    Sacked,
}

/// A run of positions that share their fate.
#[derive(Copy, Clone, Debug)]
pub(super) struct Sent {
    pub(super) start: u64,
    pub(super) end: u64,
    /// When they were sent last.
    pub(super) sent_at: Instant,
    pub(super) transmissions: u8,
    pub(super) fate: Fate,
}

impl Sent {
    pub(super) const fn length(&self) -> u64 {
        self.end - self.start
    }

    pub(super) const fn is_retransmitted(&self) -> bool {
        self.transmissions > 1
    }
}

/// The result of a search for losses.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Detection {
    /// Bytes newly deemed lost.
    pub(super) lost: u64,
    /// How long until the rest would be deemed lost.
    pub(super) wait: Option<Duration>,
}

/// The point in sending order that RACK compares with.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SendOrder {
    pub(super) sent_at: Instant,
    pub(super) end: u64,
}

/// The sent and unacknowledged.
#[derive(Debug, Default)]
pub(super) struct Scoreboard {
    entries: VecDeque<Sent>,
    in_flight: u64,
    lost: u64,
    sacked: u64,
    /// No entry that ends at or before this position is lost.
    lost_from: u64,
}

impl Scoreboard {
    /// Asks for the memory of the entries.
    pub(super) fn prefetch(&self, prefetch: Prefetch) {
        prefetch.queue(&self.entries);
    }

    /// RFC 6675's pipe: bytes believed to be in the network.
    pub(super) const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) const fn sacked(&self) -> u64 {
        self.sacked
    }

    /// Nothing is outstanding.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= SEND_LIMIT
    }

    pub(super) fn head(&self) -> Option<&Sent> {
        self.entries.front()
    }

    pub(super) fn tail(&self) -> Option<&Sent> {
        self.entries.back()
    }

    /// New bytes were sent; `start` adjoins what was sent before.
    pub(super) fn push(&mut self, start: u64, end: u64, now: Instant) {
        if start >= end {
            return;
        }
        self.entries.push_back(Sent {
            start,
            end,
            sent_at: now,
            transmissions: 1,
            fate: Fate::InFlight,
        });
        self.in_flight += end - start;
    }

    /// Everything before `position` is acknowledged.
    pub(super) fn acknowledge(&mut self, position: u64, delivered: &mut Delivered) {
        while let Some(entry) = self.entries.front_mut() {
            if entry.start >= position {
                break;
            }
            let acknowledged = Sent {
                end: entry.end.min(position),
                ..*entry
            };
            if entry.end <= position {
                self.entries.pop_front();
            } else {
                entry.start = position;
            }
            *self.tally(acknowledged.fate) -= acknowledged.length();
            if acknowledged.fate != Fate::Sacked {
                delivered.note(&acknowledged);
            }
        }
    }

    /// The peer holds `start..end`.
    pub(super) fn sack(&mut self, start: u64, end: u64, delivered: &mut Delivered) {
        let mut index = self.index_of(start);
        match self.entries.get(index) {
            None => return,
            Some(entry) if entry.fate == Fate::Sacked && entry.end >= end => return,
            Some(entry) if entry.start < start && entry.fate != Fate::Sacked => {
                if !self.split(index, start) {
                    return;
                }
                index += 1;
            }
            Some(_) => {}
        }
        let first = index;
        while let Some(entry) = self.entries.get(index).copied() {
            if entry.start >= end {
                break;
            }
            if entry.fate == Fate::Sacked {
                index += 1;
                continue;
            }
            if entry.end > end && !self.split(index, end) {
                break;
            }
            if let Some(entry) = self.entries.get(index).copied() {
                delivered.note(&entry);
            }
            self.set_fate(index, Fate::Sacked);
            index += 1;
        }
        self.merge_sacked(first, index);
    }

    /// RACK_detect_loss of RFC 8985 section 6.2 step 5: what was sent before `newest` and is
    /// older than `patience` is lost.
    pub(super) fn detect(
        &mut self,
        newest: SendOrder,
        patience: Duration,
        now: Instant,
    ) -> Detection {
        let mut detection = Detection::default();
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index).copied() else {
                break;
            };
            if entry.fate != Fate::InFlight {
                continue;
            }
            let order = SendOrder {
                sent_at: entry.sent_at,
                end: entry.end,
            };
            if order >= newest {
                if entry.is_retransmitted() {
                    continue;
                }
                // Later entries were all sent later than this one.
                break;
            }
            let deadline = entry.sent_at + patience;
            if deadline <= now {
                self.set_fate(index, Fate::Lost);
                detection.lost += entry.length();
            } else {
                let wait = deadline.saturating_since(now);
                detection.wait = Some(detection.wait.map_or(wait, |longest| longest.max(wait)));
            }
        }
        detection
    }

    /// RACK_mark_losses_on_RTO of RFC 8985 section 6.3: the head is lost, and all that is
    /// older than `patience`. A peer whose head is SACKed but not acknowledged has reneged
    /// (RFC 2018 section 8), so all it SACKed is lost.
    pub(super) fn mark_timed_out(&mut self, patience: Duration, now: Instant) {
        let reneged = self
            .entries
            .front()
            .is_some_and(|entry| entry.fate == Fate::Sacked);
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index).copied() else {
                break;
            };
            let lost = match entry.fate {
                Fate::InFlight => index == 0 || entry.sent_at + patience <= now,
                Fate::Sacked => reneged,
                Fate::Lost => false,
            };
            if lost {
                self.set_fate(index, Fate::Lost);
            }
        }
    }

    /// The first `segment` bytes are lost, unless they were sent again. Returns how many bytes were
    /// newly marked (RFC 6582, for peers without SACK).
    pub(super) fn mark_head_lost(&mut self, segment: u64) -> u64 {
        let Some(head) = self.entries.front().copied() else {
            return 0;
        };
        if head.fate != Fate::InFlight {
            return 0;
        }
        if head.length() > segment {
            self.split(0, head.start + segment);
        }
        let marked = self.entries.front().map_or(0, Sent::length);
        self.set_fate(0, Fate::Lost);
        marked
    }

    /// Entries of more than `size` bytes cannot have passed a path that takes no more.
    pub(super) fn mark_larger_lost(&mut self, size: u64) {
        for index in 0..self.entries.len() {
            let larger = self
                .entries
                .get(index)
                .is_some_and(|entry| entry.fate == Fate::InFlight && entry.length() > size);
            if larger {
                self.set_fate(index, Fate::Lost);
            }
        }
    }

    /// What was deemed lost was not.
    pub(super) fn forgive_losses(&mut self) {
        for index in 0..self.entries.len() {
            if self
                .entries
                .get(index)
                .is_some_and(|entry| entry.fate == Fate::Lost)
            {
                self.set_fate(index, Fate::InFlight);
            }
        }
    }

    /// The first run of lost positions.
    pub(super) fn first_lost(&self) -> Option<(u64, u64)> {
        if self.lost == 0 {
            return None;
        }
        let from = self.index_of(self.lost_from);
        let mut rest = self.entries.iter().skip(from);
        let first = rest.find(|entry| entry.fate == Fate::Lost)?;
        let end = rest
            .take(JOIN_LIMIT)
            .take_while(|entry| entry.fate == Fate::Lost)
            .last()
            .map_or(first.end, |last| last.end);
        Some((first.start, end))
    }

    /// `start..end` was sent again.
    pub(super) fn retransmitted(&mut self, start: u64, end: u64, now: Instant) {
        let mut index = self.index_of(start);
        if self
            .entries
            .get(index)
            .is_some_and(|entry| entry.start < start)
            && self.split(index, start)
        {
            index += 1;
        }
        while let Some(entry) = self.entries.get(index).copied() {
            if entry.start >= end {
                break;
            }
            if entry.end > end {
                self.split(index, end);
            }
            if entry.fate != Fate::Sacked {
                self.set_fate(index, Fate::InFlight);
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.sent_at = now;
                    entry.transmissions = entry.transmissions.saturating_add(1);
                }
            }
            index += 1;
        }
        if self.lost_from >= start || self.first_lost().is_none_or(|(next, _)| next >= end) {
            self.lost_from = self.lost_from.max(end);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.in_flight = 0;
        self.lost = 0;
        self.sacked = 0;
    }

    /// Index of the entry that holds `position`, or of the first after it.
    fn index_of(&self, position: u64) -> usize {
        self.entries.partition_point(|entry| entry.end <= position)
    }

    fn tally(&mut self, fate: Fate) -> &mut u64 {
        match fate {
            Fate::InFlight => &mut self.in_flight,
            Fate::Lost => &mut self.lost,
            Fate::Sacked => &mut self.sacked,
        }
    }

    fn set_fate(&mut self, index: usize, fate: Fate) {
        let Some(entry) = self.entries.get_mut(index) else {
            return;
        };
        let (before, length, start) = (entry.fate, entry.length(), entry.start);
        entry.fate = fate;
        *self.tally(before) -= length;
        *self.tally(fate) += length;
        if fate == Fate::Lost {
            self.lost_from = self.lost_from.min(start);
        }
    }

    /// Cuts an entry in two at a position strictly inside it; false where the limit forbids it.
    fn split(&mut self, index: usize, at: u64) -> bool {
        if self.entries.len() >= SPLIT_LIMIT {
            return false;
        }
        let Some(entry) = self.entries.get_mut(index) else {
            return false;
        };
        if at <= entry.start || at >= entry.end {
            return false;
        }
        let rest = Sent {
            start: at,
            ..*entry
        };
        entry.end = at;
        self.entries.insert(index + 1, rest);
        true
    }

    /// Joins the SACKed entries of `first..past` and their SACKed neighbours: times no longer
    /// matter for them.
    fn merge_sacked(&mut self, first: usize, past: usize) {
        let sacked = |entry: Option<&Sent>| entry.is_some_and(|entry| entry.fate == Fate::Sacked);
        let mut first = first;
        if first > 0 && sacked(self.entries.get(first - 1)) {
            first -= 1;
        }
        let mut past = past;
        if sacked(self.entries.get(past)) {
            past += 1;
        }
        let all = self
            .entries
            .iter()
            .take(past)
            .skip(first)
            .all(|entry| entry.fate == Fate::Sacked);
        if past <= first + 1 || !all {
            return;
        }
        if let Some(end) = self.entries.get(past - 1).map(|entry| entry.end)
            && let Some(entry) = self.entries.get_mut(first)
        {
            entry.end = end;
            self.entries.drain(first + 1..past);
        }
    }
}
