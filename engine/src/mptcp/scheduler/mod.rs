//! Which subflow carries the next new bytes (RFC 8684 section 3.3.5 leaves that to the sender).
//!
//! A scheduler sees [`Candidate`]s: subflows of the best rank that are established and alive, those
//! whose windows are full among them, and the [`Demand`]. It chooses one that has room, or none
//! when it is better to wait for another's acknowledgment. A further scheduler is another file
//! here, a variant of [`Scheduler`] and one of [`SchedulerState`]. What was lost is no scheduler's
//! concern: it goes out again on the fastest subflow.

pub mod blest;
pub mod ecf;
pub mod min_rtt;
pub mod overflow;
pub mod primary;
pub mod round_robin;

#[cfg(test)]
mod tests;

use crate::time::{Duration, Instant};
use blest::Blest;
use core::fmt;
use ecf::Ecf;
use overflow::Overflow;
use primary::Primary;
use round_robin::RoundRobin;

/// A subflow that carries data.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Which subflow; the caller's number, good for this call.
    pub index: usize,
    /// Which subflow, for the connection's life.
    pub id: u32,
    /// Bytes it would send at once; zero when it waits for acknowledgments.
    pub room: u32,
    /// Payload bytes of a full segment.
    pub segment_size: u32,
    /// Congestion window in bytes.
    pub congestion_window: u32,
    /// Bytes it was given that are not acknowledged.
    pub in_flight: u64,
    /// The application wants it used before others.
    pub preferred: bool,
    /// An acknowledgment is overdue on it: what goes there may not arrive.
    pub doubted: bool,
    /// Smoothed round trip; `None` before the first sample.
    pub smoothed_rtt: Option<Duration>,
    /// Variation of the round trip.
    pub rtt_variation: Duration,
}

impl Candidate {
    /// The less, the better: those that answer in time, of them those that the application
    /// prefers, then the fastest. One that was never measured comes after all that were.
    pub(crate) fn order(&self) -> (bool, bool, Duration) {
        let rtt = self.smoothed_rtt.unwrap_or(Duration::MAX);
        (self.doubted, !self.preferred, rtt)
    }

    /// The round trip in seconds, where it was measured.
    fn seconds(&self) -> Option<f64> {
        let rtt = self.smoothed_rtt?;
        Some(rtt.max(Duration::from_micros(1)).as_secs_f64())
    }

    /// Its window in bytes, at least a segment.
    fn window(&self) -> f64 {
        self.congestion_window.max(self.segment_size).max(1).into()
    }

    /// An acknowledgment of it will come and make room.
    fn is_worth_waiting_for(&self) -> bool {
        self.room == 0 && self.in_flight > 0
    }
}

/// What there is to send.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Demand {
    /// The present.
    pub now: Instant,
    /// Bytes that were written and never sent.
    pub queued: u64,
    /// Bytes that may be outstanding on all subflows together: the peer's window, or what the send
    /// buffer holds if that is less.
    pub window: u64,
}

/// The subflow that takes the next bytes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// [`Candidate::index`].
    pub index: usize,
    /// It takes no more than that before the scheduler is asked again.
    pub limit: u64,
}

impl Choice {
    fn all(candidate: &Candidate) -> Self {
        Self {
            index: candidate.index,
            limit: u64::MAX,
        }
    }
}

/// The schedulers by name.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Scheduler {
    /// `minrtt`: the lowest smoothed round trip that has room.
    #[default]
    MinRtt,
    /// `blest`: like minrtt, but a slow subflow stays idle where it would block the window.
    Blest,
    /// `ecf`: like minrtt, but waits for the fast subflow where that completes earlier.
    Ecf,
    /// `roundrobin`: some segments on each in turn.
    RoundRobin,
    /// `redundant`: every byte on every subflow, unless fewer copies are asked for.
    Redundant,
    /// `overflow`: the primary, and what it could not carry in time on the next.
    Overflow,
    /// `primary`: one subflow until it fails.
    Primary,
}

impl Scheduler {
    /// Every scheduler.
    pub const ALL: [Self; 7] = [
        Self::MinRtt,
        Self::Blest,
        Self::Ecf,
        Self::RoundRobin,
        Self::Redundant,
        Self::Overflow,
        Self::Primary,
    ];

    /// The name in configurations and socket options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MinRtt => "minrtt",
            Self::Blest => "blest",
            Self::Ecf => "ecf",
            Self::RoundRobin => "roundrobin",
            Self::Redundant => "redundant",
            Self::Overflow => "overflow",
            Self::Primary => "primary",
        }
    }

    /// The scheduler of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|scheduler| scheduler.name() == name)
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A scheduler at work on one connection, with what it remembers.
#[derive(Copy, Clone, PartialEq, Debug)]
pub enum SchedulerState {
    /// [`Scheduler::MinRtt`]
    MinRtt,
    /// [`Scheduler::Blest`]
    Blest(Blest),
    /// [`Scheduler::Ecf`]
    Ecf(Ecf),
    /// [`Scheduler::RoundRobin`]
    RoundRobin(RoundRobin),
    /// [`Scheduler::Redundant`]: new bytes go as with minrtt, copies follow.
    Redundant,
    /// [`Scheduler::Overflow`]
    Overflow(Overflow),
    /// [`Scheduler::Primary`]
    Primary(Primary),
}

impl From<Scheduler> for SchedulerState {
    /// Remembers nothing yet.
    fn from(scheduler: Scheduler) -> Self {
        match scheduler {
            Scheduler::MinRtt => Self::MinRtt,
            Scheduler::Blest => Self::Blest(Blest::default()),
            Scheduler::Ecf => Self::Ecf(Ecf::default()),
            Scheduler::RoundRobin => Self::RoundRobin(RoundRobin::default()),
            Scheduler::Redundant => Self::Redundant,
            Scheduler::Overflow => Self::Overflow(Overflow::default()),
            Scheduler::Primary => Self::Primary(Primary::default()),
        }
    }
}

impl SchedulerState {
    /// The subflow that takes the next bytes, or `None` when it is better to wait.
    ///
    /// Only [`Scheduler::Primary`] returns `None` although a candidate has room and none has bytes
    /// in flight: then the caller must probe.
    pub fn pick(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
        demand: &Demand,
    ) -> Option<Choice> {
        match self {
            Self::MinRtt | Self::Redundant => min_rtt::pick(candidates),
            Self::Blest(blest) => blest.pick(candidates, demand),
            Self::Ecf(ecf) => ecf.pick(candidates, demand),
            Self::RoundRobin(round_robin) => round_robin.pick(candidates),
            Self::Overflow(overflow) => overflow.pick(candidates, demand),
            Self::Primary(primary) => primary.pick(candidates),
        }
    }

    /// Bytes wait, and the peer's window is full.
    pub fn on_window_full(&mut self) {
        if let Self::Blest(blest) = self {
            blest.on_window_full();
        }
    }

    /// All bytes go out on one subflow while it works.
    pub const fn keeps_to_one(&self) -> bool {
        matches!(self, Self::Primary(_))
    }
}
