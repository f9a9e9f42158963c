//! The limit on acknowledgments that answer suspect segments (RFC 5961 section 7).
//!
//! The limit is per connection: a limit shared by all would let an attacker count what others
//! use (CVE-2016-5696), and answers without limit let two confused ends acknowledge each other
//! for ever.

use crate::time::{Duration, Instant};

const CAPACITY: u32 = 8;
const REFILL: Duration = Duration::from_millis(125);

/// A token bucket.
#[derive(Copy, Clone, Debug)]
pub(super) struct ChallengeLimit {
    tokens: u32,
    refilled_at: Instant,
    suppressed: u64,
}

impl ChallengeLimit {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            tokens: CAPACITY,
            refilled_at: now,
            suppressed: 0,
        }
    }

    /// As many may be sent as ever.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        let missing = CAPACITY.saturating_sub(self.tokens);
        now.saturating_since(self.refilled_at) >= REFILL * missing
    }

    /// That of a connection that may send as many as ever since `then`.
    pub(super) const fn woken(then: Instant, suppressed: u64) -> Self {
        Self {
            suppressed,
            ..Self::new(then)
        }
    }

    /// Takes leave to send one; false when the bucket is empty.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let gained = now.saturating_since(self.refilled_at).as_nanos() / REFILL.as_nanos();
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(CAPACITY);
            self.refilled_at = if self.tokens == CAPACITY {
                now
            } else {
                self.refilled_at + REFILL * gained
            };
        }
        if self.tokens == 0 {
            self.suppressed += 1;
            return false;
        }
        self.tokens -= 1;
        true
    }

    /// How many were not sent for want of a token.
    pub(super) const fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_steady_rate() {
        let mut limit = ChallengeLimit::new(Instant::ZERO);
        let admitted = (0..100).filter(|_| limit.admit(Instant::ZERO)).count();
        assert_eq!(admitted, 8);
        let admitted = (0..10_000)
            .filter(|millis| limit.admit(Instant::from_millis(*millis)))
            .count();
        assert_eq!(admitted, 79, "8 a second");
        assert_eq!(limit.suppressed(), 92 + 10_000 - 79);
    }
}
