//! When requests are due.

use std::time::{Duration, Instant};

/// The order in which requests come due.
#[derive(Copy, Clone, Debug)]
pub(super) enum Schedule {
    /// Whenever somebody is free, until the end: what can be done at most.
    Closed {
        /// When no more are due.
        end: Instant,
    },
    /// One after each interval, whether or not those before have been answered, as of users who know
    /// nothing of each other.
    Open {
        /// When the next is due.
        next: Instant,
        /// From one to the next.
        interval: Duration,
        /// When no more are due.
        end: Instant,
    },
}

impl Schedule {
    /// When the next request that is due by now should have begun; each is told once.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        match self {
            Self::Closed { end } => (now < *end).then_some(now),
            Self::Open {
                next,
                interval,
                end,
            } => {
                let due = *next;
                if due > now || due >= *end {
                    return None;
                }
                *next = due + *interval;
                Some(due)
            }
        }
    }

    /// Whether no more will be due.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        match self {
            Self::Closed { end } => now >= *end,
            Self::Open { next, end, .. } => next >= end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_due_in_a_stall_is_told_with_the_time_it_was_due_at() {
        let start = Instant::now();
        let interval = Duration::from_millis(1);
        let mut schedule = Schedule::Open {
            next: start,
            interval,
            end: start + interval * 4,
        };
        assert_eq!(schedule.due(start), Some(start));
        assert_eq!(schedule.due(start), None);
        let late = start + interval * 100;
        for number in 1..4 {
            assert!(!schedule.is_over(late));
            assert_eq!(schedule.due(late), Some(start + interval * number));
        }
        assert_eq!(schedule.due(late), None);
        assert!(schedule.is_over(late));
    }

    #[test]
    fn a_closed_schedule_is_due_until_its_end() {
        let end = Instant::now();
        let mut schedule = Schedule::Closed { end };
        let before = end - Duration::from_nanos(1);
        assert_eq!(schedule.due(before), Some(before));
        assert_eq!(schedule.due(end), None);
        assert!(schedule.is_over(end));
    }
}
