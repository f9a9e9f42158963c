//! Timestamps and protection against wrapped sequence numbers (RFC 7323 sections 4 and 5).

use crate::time::{Duration, Instant};
use crate::wire::tcp_option::Timestamps;

/// How long a peer's timestamp stays comparable (RFC 7323 section 5.5).
const VALID: Duration = Duration::from_secs(24 * 24 * 3600);

/// TS.Recent with its age.
#[derive(Copy, Clone, Debug)]
pub(super) struct TimestampState {
    recent: u32,
    updated_at: Instant,
}

impl TimestampState {
    pub(super) const fn new(recent: u32, now: Instant) -> Self {
        Self {
            recent,
            updated_at: now,
        }
    }

    pub(super) const fn recent(&self) -> u32 {
        self.recent
    }

    /// True when a segment with this TSval belongs to the past.
    pub(super) fn is_old(&self, now: Instant, value: u32) -> bool {
        (value.wrapping_sub(self.recent) as i32) < 0
            && now.saturating_since(self.updated_at) <= VALID
    }

    /// Takes the TSval of a segment that spans Last.ACK.sent.
    pub(super) const fn update(&mut self, now: Instant, value: u32) {
        self.recent = value;
        self.updated_at = now;
    }
}

/// The option of a segment sent at `now`.
pub(super) fn stamp(now: Instant, offset: u32, echo: u32) -> Timestamps {
    Timestamps {
        value: value(now, offset),
        echo,
    }
}

/// TSval at `now`.
pub(super) const fn value(now: Instant, offset: u32) -> u32 {
    offset.wrapping_add(now.as_millis() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_values_are_told_across_the_wrap_and_for_24_days_only() {
        let state = TimestampState::new(5, Instant::ZERO);
        assert!(state.is_old(Instant::ZERO, u32::MAX));
        assert!(state.is_old(Instant::ZERO, 4));
        assert!(!state.is_old(Instant::ZERO, 5));
        assert!(!state.is_old(Instant::ZERO, 6));
        let later = Instant::ZERO + VALID + Duration::from_secs(1);
        assert!(!state.is_old(later, 4));
        assert_eq!(value(Instant::from_millis(3), u32::MAX), 2);
    }
}
