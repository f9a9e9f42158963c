//! What one acknowledgment newly says about sent bytes (RFC 8985 section 6.2 steps 1 to 3).

use super::scoreboard::{SendOrder, Sent};
use crate::time::{Duration, Instant};

/// Gathers over the segments that an acknowledgment delivers.
#[derive(Copy, Clone, Debug)]
pub(super) struct Delivered {
    now: Instant,
    minimum_rtt: Duration,
    /// Highest position delivered so far.
    pub(super) highest: u64,
    /// Bytes newly acknowledged or SACKed.
    pub(super) bytes: u64,
    /// The last sent of the delivered segments.
    pub(super) newest: Option<SendOrder>,
    /// When the last sent of those that were sent once was sent (Karn's algorithm).
    once_sent_at: Option<Instant>,
    /// A segment was delivered after one sent later, and was sent once: the path reorders.
    pub(super) reordered: bool,
}

impl Delivered {
    pub(super) const fn new(now: Instant, minimum_rtt: Duration, highest: u64) -> Self {
        Self {
            now,
            minimum_rtt,
            highest,
            bytes: 0,
            newest: None,
            once_sent_at: None,
            reordered: false,
        }
    }

    /// The segments of an entry were delivered.
    pub(super) fn note(&mut self, entry: &Sent) {
        self.bytes += entry.length();
        if entry.is_retransmitted() {
            if self.answers_an_earlier_transmission(entry) {
                return;
            }
        } else {
            self.once_sent_at = self.once_sent_at.max(Some(entry.sent_at));
            self.reordered |= entry.end < self.highest;
        }
        self.highest = self.highest.max(entry.end);
        self.newest = self.newest.max(Some(SendOrder {
            sent_at: entry.sent_at,
            end: entry.end,
        }));
    }

    /// The round trip of the newest segment that was sent once.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.once_sent_at
            .map(|sent_at| self.now.saturating_since(sent_at))
    }

    /// An answer sooner than any round trip is to an earlier transmission. The echoed timestamp
    /// cannot tell: a receiver does not echo that of a segment out of order (RFC 7323 section 4.3).
    fn answers_an_earlier_transmission(&self, entry: &Sent) -> bool {
        self.now.saturating_since(entry.sent_at) < self.minimum_rtt
    }
}
