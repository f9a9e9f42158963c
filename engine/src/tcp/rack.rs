//! RACK: losses found by time (RFC 8985 sections 5 and 6).

use super::delivered::Delivered;
use super::rtt::RoundTrip;
use super::scoreboard::{Detection, Scoreboard, SendOrder};
use crate::time::{Duration, Instant};

/// Recoveries for which a widened window is kept (RFC 8985 section 6.2 step 4).
const PERSIST: u8 = 16;

/// What RACK remembers of a connection.
#[derive(Copy, Clone, Debug)]
pub(super) struct Rack {
    /// The last sent of all delivered segments.
    newest: Option<SendOrder>,
    /// Its round trip.
    rtt: Duration,
    highest_delivered: u64,
    reordering_seen: bool,
    window_multiplier: u32,
    window_persist: u8,
    /// A DSACK that arrives before SND.UNA passes this position widens the window no further.
    round_end: u64,
    deadline: Option<Instant>,
}

/// What RACK remembers of a connection with nothing outstanding: all that it could compare with was delivered.
#[derive(Copy, Clone, Debug)]
pub(super) struct RestingRack {
    /// In nanoseconds.
    rtt: u64,
    reordering_seen: bool,
    window_multiplier: u32,
    window_persist: u8,
}

impl RestingRack {
    /// The memory as it was, of a connection whose SND.UNA and SND.NXT are at `una`.
    pub(super) const fn wake(&self, una: u64) -> Rack {
        Rack {
            newest: None,
            rtt: Duration::from_nanos(self.rtt),
            highest_delivered: una,
            reordering_seen: self.reordering_seen,
            window_multiplier: self.window_multiplier,
            window_persist: self.window_persist,
            round_end: una,
            deadline: None,
        }
    }
}

impl Rack {
    /// What is left of it; `None` while it waits for losses.
    pub(super) fn rest(&self) -> Option<RestingRack> {
        self.deadline.is_none().then_some(RestingRack {
            rtt: u64::try_from(self.rtt.as_nanos()).unwrap_or(u64::MAX),
            reordering_seen: self.reordering_seen,
            window_multiplier: self.window_multiplier,
            window_persist: self.window_persist,
        })
    }

    pub(super) const fn new() -> Self {
        Self {
            newest: None,
            rtt: Duration::ZERO,
            highest_delivered: 0,
            reordering_seen: false,
            window_multiplier: 1,
            window_persist: 0,
            round_end: 0,
            deadline: None,
        }
    }

    pub(super) const fn highest_delivered(&self) -> u64 {
        self.highest_delivered
    }

    /// When what is only out of order so far will be lost.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn update(&mut self, now: Instant, delivered: &Delivered) {
        self.reordering_seen |= delivered.reordered;
        self.highest_delivered = self.highest_delivered.max(delivered.highest);
        if delivered.newest > self.newest
            && let Some(newest) = delivered.newest
        {
            self.newest = Some(newest);
            self.rtt = now.saturating_since(newest.sent_at);
        }
    }

    /// A DSACK said that a retransmission was not needed: wait longer from now on.
    pub(super) fn duplicate_delivered(&mut self, una: u64, nxt: u64) {
        if una >= self.round_end {
            self.round_end = nxt;
            self.window_multiplier = self.window_multiplier.saturating_add(1).min(64);
            self.window_persist = PERSIST;
        }
    }

    pub(super) const fn recovery_ended(&mut self) {
        self.window_persist = self.window_persist.saturating_sub(1);
        if self.window_persist == 0 {
            self.window_multiplier = 1;
        }
    }

    /// Marks losses and arms the reordering timer.
    pub(super) fn detect(
        &mut self,
        now: Instant,
        scoreboard: &mut Scoreboard,
        round_trip: &RoundTrip,
        impatient: bool,
    ) -> u64 {
        self.deadline = None;
        let Some(newest) = self.newest else {
            return 0;
        };
        let patience = self.rtt + self.reordering_window(round_trip, impatient);
        let Detection { lost, wait } = scoreboard.detect(newest, patience, now);
        self.deadline = wait.map(|wait| now + wait);
        lost
    }

    /// How old a segment is at least that a retransmission timeout deems lost beside the head.
    pub(super) fn timeout_patience(&self, round_trip: &RoundTrip) -> Duration {
        self.rtt + self.reordering_window(round_trip, false)
    }

    pub(super) const fn disarm(&mut self) {
        self.deadline = None;
    }

    /// RACK_update_reo_wnd. `impatient`: in recovery, or three segments are SACKed.
    fn reordering_window(&self, round_trip: &RoundTrip, impatient: bool) -> Duration {
        if impatient && !self.reordering_seen {
            return Duration::ZERO;
        }
        let window = round_trip.minimum() / 4 * self.window_multiplier;
        window.min(round_trip.smoothed().unwrap_or(window))
    }
}
