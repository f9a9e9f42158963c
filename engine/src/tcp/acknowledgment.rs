//! When to acknowledge (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2).

use crate::time::{Duration, Instant};

/// Segments at the start that are acknowledged at once, so that the peer's slow start is not held
/// back by the delay.
const QUICK_SEGMENTS: u16 = 16;
/// The least that a full segment is taken to be (RFC 9293 section 3.7.1).
const LEAST_FULL_SEGMENT: u32 = 536;

/// What is received and not yet acknowledged.
#[derive(Copy, Clone, Debug)]
pub(super) struct AckPolicy {
    delay: Duration,
    due: bool,
    deadline: Option<Instant>,
    bytes: u32,
    quick: u16,
    full_segment: u32,
}

/// An [`AckPolicy`] with nothing to acknowledge.
#[derive(Copy, Clone, Debug)]
pub(super) struct RestingAckPolicy {
    quick: u16,
    full_segment: u32,
}

impl AckPolicy {
    /// What is left of it; `None` while something is to be acknowledged.
    pub(super) fn rest(&self) -> Option<RestingAckPolicy> {
        (!self.is_owed() && self.bytes == 0).then_some(RestingAckPolicy {
            quick: self.quick,
            full_segment: self.full_segment,
        })
    }

    /// The policy as it was.
    pub(super) const fn woken(resting: &RestingAckPolicy, delay: Duration) -> Self {
        Self {
            quick: resting.quick,
            full_segment: resting.full_segment,
            ..Self::new(delay)
        }
    }

    pub(super) const fn new(delay: Duration) -> Self {
        Self {
            delay,
            due: false,
            deadline: None,
            bytes: 0,
            quick: QUICK_SEGMENTS,
            full_segment: LEAST_FULL_SEGMENT,
        }
    }

    /// An acknowledgment must go at once.
    pub(super) const fn at_once(&mut self) {
        self.due = true;
    }

    /// Data came in order: every second full segment is acknowledged at once, others soon.
    pub(super) fn in_order(&mut self, now: Instant, bytes: u32, segments: u16) {
        let segments = segments.max(1);
        self.full_segment = self.full_segment.max(bytes / u32::from(segments));
        self.bytes = self.bytes.saturating_add(bytes);
        if self.quick > 0 {
            self.quick = self.quick.saturating_sub(segments);
            self.due = true;
        }
        if self.bytes >= self.full_segment.saturating_mul(2) {
            self.due = true;
        }
        if self.deadline.is_none() {
            self.deadline = Some(now + self.delay);
        }
    }

    /// A segment with ACK was sent.
    pub(super) const fn sent(&mut self) {
        self.due = false;
        self.deadline = None;
        self.bytes = 0;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due || self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Something is received and not yet acknowledged.
    pub(super) const fn is_owed(&self) -> bool {
        self.due || self.deadline.is_some()
    }

    /// When the delay ends, unless an acknowledgment is due already.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        if self.due { None } else { self.deadline }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_at_the_start_then_every_second_full_segment() {
        let mut policy = AckPolicy::new(Duration::from_millis(40));
        for _ in 0..16 {
            policy.in_order(Instant::ZERO, 1_000, 1);
            assert!(policy.is_due(Instant::ZERO));
            policy.sent();
        }
        policy.in_order(Instant::ZERO, 1_000, 1);
        assert!(!policy.is_due(Instant::from_millis(39)));
        assert_eq!(policy.deadline(), Some(Instant::from_millis(40)));
        assert!(policy.is_due(Instant::from_millis(40)));
        policy.in_order(Instant::from_millis(1), 1_000, 1);
        assert!(policy.is_due(Instant::from_millis(1)));
        policy.sent();
        policy.in_order(Instant::from_millis(1), 2_000, 2);
        assert!(policy.is_due(Instant::from_millis(1)), "two in one frame");
    }
}
