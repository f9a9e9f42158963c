//! Messages on their way between the subflows and homes of one stack.
//!
//! They are delivered within the call that caused them; what a subflow says of a segment does not come
//! here but goes to its home at once. A test may delay each by a random time, as
//! letters between workers are; they stay in order per subflow and direction.

use crate::mptcp::message::{ToHome, ToSubflow};
use crate::random::Random;
use crate::time::{Duration, Instant};
use core::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// A message with its addressee. `C` names connections and `S` subflows.
#[derive(Debug)]
pub(super) enum Note<C, S> {
    /// From a subflow to its home.
    Up {
        /// The home.
        connection: C,
        /// The sender.
        subflow: S,
        /// What it says.
        message: ToHome,
    },
    /// From home to a subflow.
    Down {
        /// The addressee.
        subflow: S,
        /// What it says.
        message: ToSubflow,
    },
}

impl<C, S: Copy> Note<C, S> {
    /// The subflow and direction within which order matters.
    fn lane(&self) -> (S, bool) {
        match self {
            Self::Up { subflow, .. } => (*subflow, true),
            Self::Down { subflow, .. } => (*subflow, false),
        }
    }
}

#[derive(Debug)]
struct Delayed<C, S> {
    due: Instant,
    order: u64,
    note: Note<C, S>,
}

// The heap wants the earliest on top.
impl<C, S> Ord for Delayed<C, S> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

impl<C, S> PartialOrd for Delayed<C, S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<C, S> PartialEq for Delayed<C, S> {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.order) == (other.due, other.order)
    }
}

impl<C, S> Eq for Delayed<C, S> {}

/// Holds the messages that are under way. Their number is bounded by what the windows and queues
/// of subflows and connections admit.
#[derive(Debug)]
pub(super) struct Mailbox<C, S> {
    immediate: VecDeque<Note<C, S>>,
    delay: Option<Delay<S>>,
    delayed: BinaryHeap<Delayed<C, S>>,
}

#[derive(Debug)]
struct Delay<S> {
    least: Duration,
    /// The spread of delays in nanoseconds, at least one.
    spread: u64,
    random: Random,
    order: u64,
    /// When the last message of each lane arrives.
    last: BTreeMap<(S, bool), Instant>,
}

impl<C, S: Copy + Ord> Mailbox<C, S> {
    pub(super) fn new(delay: Option<(Duration, Duration)>, random: Random) -> Self {
        let delay = delay.map(|(least, most)| Delay {
            least,
            spread: u64::try_from(most.saturating_sub(least).as_nanos())
                .unwrap_or(u64::MAX)
                .saturating_add(1),
            random,
            order: 0,
            last: BTreeMap::new(),
        });
        Self {
            immediate: VecDeque::new(),
            delay,
            delayed: BinaryHeap::new(),
        }
    }

    /// Whether messages take their time, as between workers.
    pub(super) fn delays(&self) -> bool {
        self.delay.is_some()
    }

    pub(super) fn post(&mut self, now: Instant, note: Note<C, S>) {
        let Some(delay) = &mut self.delay else {
            self.immediate.push_back(note);
            return;
        };
        let lane = note.lane();
        let drawn = Duration::from_nanos(delay.random.below(delay.spread));
        let earliest = delay.last.get(&lane).copied().unwrap_or(now);
        let due = (now + delay.least + drawn).max(earliest);
        delay.last.insert(lane, due);
        delay.order += 1;
        self.delayed.push(Delayed {
            due,
            order: delay.order,
            note,
        });
    }

    /// Messages under way, and the bytes of memory of the frames they carry.
    pub(super) fn usage(&self) -> (usize, usize) {
        let delayed = self.delayed.iter().map(|delayed| &delayed.note);
        let frames = self.immediate.iter().chain(delayed).map(|note| match note {
            Note::Up {
                message: ToHome::Data { frame, .. },
                ..
            } => frame.memory(),
            _ => 0,
        });
        let notes = self.immediate.len() + self.delayed.len();
        (notes, frames.sum())
    }

    /// The next message that has arrived.
    pub(super) fn take(&mut self, now: Instant) -> Option<Note<C, S>> {
        if let Some(note) = self.immediate.pop_front() {
            return Some(note);
        }
        if self.delayed.peek()?.due > now {
            return None;
        }
        let Delayed { due, note, .. } = self.delayed.pop()?;
        let lane = note.lane();
        if let Some(delay) = &mut self.delay
            && delay.last.get(&lane) == Some(&due)
        {
            delay.last.remove(&lane);
        }
        Some(note)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        if !self.immediate.is_empty() {
            return Some(Instant::ZERO);
        }
        self.delayed.peek().map(|delayed| delayed.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(subflow: u32) -> Note<u32, u32> {
        Note::Down {
            subflow,
            message: ToSubflow::Probe,
        }
    }

    fn acknowledge(subflow: u32) -> Note<u32, u32> {
        Note::Down {
            subflow,
            message: ToSubflow::Acknowledge,
        }
    }

    #[test]
    fn without_delay_messages_arrive_at_once_and_in_order() {
        let mut mailbox = Mailbox::new(None, Random::from_u64(1));
        let now = Instant::from_millis(5);
        mailbox.post(now, probe(1));
        mailbox.post(now, acknowledge(2));
        assert!(mailbox.next_timeout().is_some());
        let subflows: Vec<u32> = core::iter::from_fn(|| mailbox.take(now))
            .map(|note| note.lane().0)
            .collect();
        assert_eq!(subflows, [1, 2]);
        assert_eq!(mailbox.next_timeout(), None);
    }

    #[test]
    fn delayed_messages_keep_the_order_of_their_lane() {
        let (least, most) = (Duration::from_micros(10), Duration::from_micros(100));
        let mut mailbox = Mailbox::new(Some((least, most)), Random::from_u64(7));
        for _ in 0..50 {
            mailbox.post(Instant::ZERO, probe(1));
            mailbox.post(Instant::ZERO, acknowledge(1));
            mailbox.post(Instant::ZERO, probe(2));
        }
        assert!(mailbox.take(Instant::from_micros(9)).is_none());
        let mut of_lane_1 = Vec::new();
        let mut switches = 0;
        let mut former = 0;
        while let Some(at) = mailbox.next_timeout() {
            assert!(at <= Instant::from_micros(100));
            let note = mailbox.take(at).expect("a message is due");
            let Note::Down { subflow, message } = note else {
                unreachable!()
            };
            switches += u32::from(subflow != former);
            former = subflow;
            if subflow == 1 {
                of_lane_1.push(matches!(message, ToSubflow::Probe));
            }
        }
        assert_eq!(of_lane_1.len(), 100);
        assert!(of_lane_1.chunks(2).all(|pair| pair == [true, false]));
        assert!(
            switches > 2,
            "messages of different subflows overtake each other"
        );
    }
}
