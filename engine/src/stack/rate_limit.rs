//! A token bucket: so many answers a second, with a burst.

use crate::time::Instant;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Admits up to `per_second` events a second, as many at once after a quiet second.
#[derive(Clone, Debug)]
pub(super) struct RateLimit {
    per_second: u64,
    /// Credit in billionths of an event.
    credit: u64,
    last: Instant,
}

impl RateLimit {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = u64::from(per_second);
        Self {
            per_second,
            credit: per_second * NANOS_PER_SECOND,
            last: Instant::ZERO,
        }
    }

    /// Takes one event's credit; false when there is none.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let elapsed = now.as_nanos().saturating_sub(self.last.as_nanos());
        self.last = now;
        let earned = elapsed.saturating_mul(self.per_second);
        self.credit = self
            .credit
            .saturating_add(earned)
            .min(self.per_second * NANOS_PER_SECOND);
        match self.credit.checked_sub(NANOS_PER_SECOND) {
            Some(rest) => {
                self.credit = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_a_burst_and_then_the_rate() {
        let mut limit = RateLimit::new(10);
        let admitted = |limit: &mut RateLimit, at| {
            (0..100)
                .filter(|_| limit.admit(Instant::from_millis(at)))
                .count()
        };
        assert_eq!(admitted(&mut limit, 0), 10);
        assert_eq!(admitted(&mut limit, 50), 0);
        assert_eq!(admitted(&mut limit, 100), 1);
        assert_eq!(admitted(&mut limit, 10_000), 10);
    }

    #[test]
    fn zero_admits_nothing() {
        let mut limit = RateLimit::new(0);
        assert!(!limit.admit(Instant::from_millis(5_000)));
    }
}
