//! What a subflow was granted and has not had acknowledged: which data-level bytes lie where in
//! the subflow's own stream (RFC 8684 section 3.3.1).

use crate::storage::prefetch::Prefetch;
use core::ops::Range;
use std::collections::VecDeque;

/// At most this many separate runs of granted bytes; a subflow with a full ledger gets no more.
pub(super) const MAX_RUNS: usize = 1024;

/// A run of bytes, contiguous both on the subflow and at data level.
#[derive(Copy, Clone, Debug)]
struct Run {
    /// Stream offset of the first byte at data level.
    start: u64,
    length: u64,
}

/// The granted and unacknowledged bytes of one subflow, in the order of its stream.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    runs: VecDeque<Run>,
    /// How much of the subflow's stream has been acknowledged; the first run begins there.
    acknowledged: u64,
    /// How many runs begin before the run in front of them: with none, the first is the lowest.
    disorders: usize,
    /// The last run as it was granted, however much of it is acknowledged.
    last: Range<u64>,
}

impl Ledger {
    /// Asks for the memory of the runs.
    pub(super) fn prefetch(&self, prefetch: Prefetch) {
        prefetch.queue(&self.runs);
    }

    /// Gives back memory that no run is in.
    pub(super) fn release_spare(&mut self) {
        self.runs.shrink_to_fit();
    }

    /// Notes that the subflow sends `range` after everything granted before.
    pub(super) fn push(&mut self, range: Range<u64>) {
        let length = range.end.saturating_sub(range.start);
        if self.last.end != range.start || self.last.is_empty() {
            self.last.start = range.start;
        }
        self.last.end = range.end;
        if let Some(last) = self.runs.back_mut() {
            if last.start + last.length == range.start {
                last.length += length;
                return;
            }
            if range.start < last.start {
                self.disorders += 1;
            }
        }
        self.runs.push_back(Run {
            start: range.start,
            length,
        });
    }

    /// The peer has acknowledged the subflow's stream up to `offset`. What was never granted
    /// cannot be acknowledged and is ignored.
    pub(super) fn acknowledge(&mut self, offset: u64) {
        let mut remaining = offset.saturating_sub(self.acknowledged);
        while remaining > 0 {
            let disordered = self.front_is_disordered();
            let Some(run) = self.runs.front_mut() else {
                break;
            };
            let taken = remaining.min(run.length);
            remaining -= taken;
            self.acknowledged += taken;
            run.start += taken;
            run.length -= taken;
            if run.length == 0 {
                self.runs.pop_front();
                self.disorders -= usize::from(disordered);
            } else {
                self.disorders += usize::from(self.front_is_disordered());
                self.disorders -= usize::from(disordered);
            }
        }
    }

    fn front_is_disordered(&self) -> bool {
        match (self.runs.front(), self.runs.get(1)) {
            (Some(first), Some(second)) => second.start < first.start,
            _ => false,
        }
    }

    /// The lowest data-level offset held.
    pub(super) fn lowest(&self) -> Option<u64> {
        if self.disorders == 0 {
            self.runs.front().map(|run| run.start)
        } else {
            self.runs.iter().map(|run| run.start).min()
        }
    }

    /// True when any byte of `range` is held.
    pub(super) fn overlaps(&self, range: &Range<u64>) -> bool {
        self.ranges()
            .any(|held| held.start < range.end && range.start < held.end)
    }

    /// The nearest bound of a run past `offset`: up to there all bytes are held or none is.
    pub(super) fn next_bound(&self, offset: u64) -> Option<u64> {
        self.ranges()
            .flat_map(|held| [held.start, held.end])
            .filter(|bound| *bound > offset)
            .min()
    }

    /// The data-level ranges held, in the order of the subflow's stream.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.runs
            .iter()
            .map(|run| run.start..run.start + run.length)
    }

    /// True when the subflow's stream goes on as the connection's does, as an infinite mapping
    /// needs it: it carried all that is `outstanding` at data level, in order and in one run, and
    /// holds nothing else. What another subflow took to the peer without a DATA_ACK may have been
    /// lost with it; and what is held though the peer has it is a copy, which a peer that goes by
    /// order would take for what comes next.
    pub(super) fn carries_alone(&self, outstanding: &Range<u64>) -> bool {
        let copies = self.lowest().is_some_and(|held| held < outstanding.start);
        let in_one_run = self.last.end == outstanding.end && self.runs.len() <= 1;
        let carried_all = outstanding.is_empty() && self.runs.is_empty()
            || in_one_run && self.last.start <= outstanding.start;
        carried_all && !copies
    }

    /// How many bytes are held.
    pub(super) fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.length).sum()
    }

    /// Nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// No further run can be noted.
    pub(super) fn is_full(&self) -> bool {
        self.runs.len() >= MAX_RUNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The lowest offset is the minimum over a plain list of bytes, whatever the order of
        /// grants and however acknowledgments cut them.
        #[test]
        fn the_lowest_is_the_minimum(
            steps in proptest::collection::vec((0u64..200, 1u64..30, 0u64..60), 1..40)
        ) {
            let mut ledger = Ledger::default();
            let mut bytes = VecDeque::new();
            let mut acknowledged = 0;
            for (start, length, acked) in steps {
                ledger.push(start..start + length);
                bytes.extend(start..start + length);
                let acked = acked.min(bytes.len() as u64);
                bytes.drain(..acked as usize);
                acknowledged += acked;
                ledger.acknowledge(acknowledged);
                prop_assert_eq!(ledger.lowest(), bytes.iter().copied().min());
                prop_assert_eq!(ledger.is_empty(), bytes.is_empty());
            }
        }
    }
}
