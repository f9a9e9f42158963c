//! Keepalive (RFC 9293 section 3.8.4).

use super::config::Keepalive;
use crate::time::Instant;

/// How long the peer has been silent and how it answers probes.
#[derive(Copy, Clone, Debug)]
pub(super) struct KeepaliveState {
    heard_at: Instant,
    probed_at: Instant,
    unanswered: u32,
}

/// What a silent peer calls for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Silence {
    Probe,
    GiveUp,
}

impl KeepaliveState {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            heard_at: now,
            probed_at: now,
            unanswered: 0,
        }
    }

    /// The peer sent an acceptable segment.
    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.unanswered = 0;
    }

    pub(super) const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    pub(super) const fn unanswered(&self) -> u32 {
        self.unanswered
    }

    /// When the silence has lasted too long.
    pub(super) fn deadline(&self, settings: &Keepalive) -> Instant {
        if self.unanswered == 0 {
            self.heard_at + settings.idle
        } else {
            self.probed_at + settings.interval
        }
    }

    /// The deadline has passed.
    pub(super) const fn expired(&mut self, now: Instant, settings: &Keepalive) -> Silence {
        if self.unanswered >= settings.count {
            return Silence::GiveUp;
        }
        self.unanswered += 1;
        self.probed_at = now;
        Silence::Probe
    }
}
