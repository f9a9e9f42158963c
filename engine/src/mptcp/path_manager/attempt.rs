//! Subflows that this side wants: each is opened, and opened again when its path was lost.

use crate::mptcp::message::SubflowEnd;
use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::ResetReason;
use core::net::{IpAddr, SocketAddr};

/// At most this many paths are wanted on one connection.
const MAX_ATTEMPTS: usize = 64;

/// Refusals in a row after which a path is no longer tried.
const MAX_REFUSALS: u32 = 6;

/// A path that is wanted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Attempt {
    /// `None` for the address that the route selects.
    pub(crate) local: Option<IpAddr>,
    pub(crate) local_address_id: u8,
    pub(crate) remote: SocketAddr,
    pub(crate) remote_address_id: u8,
    pub(crate) backup: bool,
}

/// How long to wait before a lost path is tried again.
#[derive(Copy, Clone, Debug)]
pub(crate) struct RetryPolicy {
    /// After the first loss; doubles.
    pub(crate) interval: Duration,
    pub(crate) interval_max: Duration,
}

/// How an attempt ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The path is dead for now.
    NoAnswer,
    /// The peer was there and refused.
    Refused,
    /// The subflow ended because one side wanted that.
    Unwanted,
}

impl From<SubflowEnd> for Outcome {
    fn from(end: SubflowEnd) -> Self {
        match end {
            // A path that this side gave up for its silence is dead as one that timed out: it may be
            // the only one that is left when it comes back.
            SubflowEnd::TimedOut
            | SubflowEnd::Unreachable
            | SubflowEnd::ResetHere(Some(ResetReason::UnacceptablePerformance)) => Self::NoAnswer,
            // With the T flag set the peer says that the path may be tried again (RFC 8684 section
            // 3.6).
            SubflowEnd::Refused
            | SubflowEnd::ResetByPeer {
                transient: true, ..
            }
            | SubflowEnd::ResetByPeer {
                reason: None | Some(ResetReason::Unspecified | ResetReason::LackOfResources),
                ..
            } => Self::Refused,
            SubflowEnd::Closed | SubflowEnd::ResetByPeer { .. } | SubflowEnd::ResetHere(_) => {
                Self::Unwanted
            }
        }
    }
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// To be opened then.
    Wanted(Instant),
    /// The stack was asked.
    Requested,
    /// There is a subflow; ready for data since then, once it is.
    Running(Option<Instant>),
    /// Not tried again, unless its address goes and returns.
    GivenUp,
    /// The application removed its subflow: not tried again.
    Barred,
}

#[derive(Copy, Clone, Debug)]
struct Entry {
    number: u32,
    attempt: Attempt,
    phase: Phase,
    failures: u32,
    refusals: u32,
}

/// The paths wanted on one connection.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    entries: Vec<Entry>,
    next_number: u32,
}

impl Attempts {
    /// Wants a path unless it is wanted already. False when there is no room.
    pub(super) fn add(&mut self, attempt: Attempt, at: Instant) -> bool {
        let known = self.entries.iter().any(|entry| {
            entry.attempt.local == attempt.local && entry.attempt.remote == attempt.remote
        });
        if known {
            return true;
        }
        if self.entries.len() >= MAX_ATTEMPTS {
            return false;
        }
        // There are few, on many connections.
        self.entries.reserve_exact(1);
        self.entries.push(Entry {
            number: self.next_number,
            attempt,
            phase: Phase::Wanted(at),
            failures: 0,
            refusals: 0,
        });
        self.next_number = self.next_number.wrapping_add(1);
        true
    }

    /// Takes the next one due; it counts as requested.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<(u32, Attempt)> {
        let due = |entry: &&mut Entry| matches!(entry.phase, Phase::Wanted(at) if at <= now);
        let entry = self.entries.iter_mut().find(due)?;
        entry.phase = Phase::Requested;
        Some((entry.number, entry.attempt))
    }

    pub(super) fn requested(&self) -> usize {
        let requested = |entry: &&Entry| entry.phase == Phase::Requested;
        self.entries.iter().filter(requested).count()
    }

    fn by_number(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.number == number)
    }

    pub(super) fn opened(&mut self, number: u32) {
        if let Some(entry) = self.by_number(number) {
            entry.phase = Phase::Running(None);
        }
    }

    pub(super) fn established(&mut self, number: u32, now: Instant) {
        if let Some(entry) = self.by_number(number) {
            entry.phase = Phase::Running(Some(now));
            entry.refusals = 0;
        }
    }

    pub(super) fn ended(
        &mut self,
        number: u32,
        outcome: Outcome,
        now: Instant,
        policy: RetryPolicy,
    ) {
        let Some(entry) = self.by_number(number) else {
            return;
        };
        if entry.phase == Phase::Barred {
            return;
        }
        entry.refusals = match outcome {
            Outcome::NoAnswer => 0,
            Outcome::Refused => entry.refusals + 1,
            Outcome::Unwanted => MAX_REFUSALS,
        };
        if entry.refusals >= MAX_REFUSALS {
            entry.phase = Phase::GivenUp;
            return;
        }
        let wait = |failures: u32| {
            policy
                .interval
                .saturating_mul(1 << failures.min(10))
                .min(policy.interval_max)
        };
        // A path that was lost again sooner than it had been waited for did not come back.
        let lasted = matches!(entry.phase, Phase::Running(Some(since))
            if now.saturating_since(since) >= wait(entry.failures));
        if lasted {
            entry.failures = 0;
        }
        let wait = wait(entry.failures);
        entry.failures = entry.failures.saturating_add(1);
        entry.phase = Phase::Wanted(now + wait);
    }

    /// Tries at once whatever was lost from `local` or from any address.
    pub(super) fn retry_from(&mut self, local: IpAddr, now: Instant) {
        for entry in &mut self.entries {
            let here = entry.attempt.local.is_none_or(|own| own == local);
            if here && matches!(entry.phase, Phase::Wanted(_) | Phase::GivenUp) {
                entry.phase = Phase::Wanted(now);
                entry.failures = 0;
                entry.refusals = 0;
            }
        }
    }

    pub(super) fn set_backup_from(&mut self, local: IpAddr, backup: bool) {
        for entry in &mut self.entries {
            if entry.attempt.local == Some(local) {
                entry.attempt.backup = backup;
            }
        }
    }

    pub(super) fn forget_local(&mut self, local: IpAddr) {
        self.entries
            .retain(|entry| entry.attempt.local != Some(local));
    }

    pub(super) fn forget_remote(&mut self, id: u8) {
        self.entries
            .retain(|entry| entry.attempt.remote_address_id != id);
    }

    /// Forgets every path but those that have a subflow or are barred.
    pub(super) fn keep_running(&mut self) {
        self.entries.retain(|entry| {
            matches!(
                entry.phase,
                Phase::Requested | Phase::Running(_) | Phase::Barred
            )
        });
    }

    /// The path is not wanted any more: that of the attempt `number`, or the one between these
    /// addresses.
    pub(super) fn bar(&mut self, number: Option<u32>, local: IpAddr, remote: SocketAddr) {
        let known = self.entries.iter_mut().find(|entry| {
            Some(entry.number) == number
                || entry.attempt.local == Some(local) && entry.attempt.remote == remote
        });
        if let Some(entry) = known {
            entry.phase = Phase::Barred;
        } else if self.entries.len() < MAX_ATTEMPTS {
            self.entries.push(Entry {
                number: self.next_number,
                attempt: Attempt {
                    local: Some(local),
                    local_address_id: 0,
                    remote,
                    remote_address_id: 0,
                    backup: false,
                },
                phase: Phase::Barred,
                failures: 0,
                refusals: 0,
            });
            self.next_number = self.next_number.wrapping_add(1);
        }
    }

    /// What was barred may be wanted again.
    pub(super) fn lift_bars(&mut self) {
        self.entries.retain(|entry| entry.phase != Phase::Barred);
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.entries
            .iter()
            .filter_map(|entry| match entry.phase {
                Phase::Wanted(at) => Some(at),
                _ => None,
            })
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        interval: Duration::from_secs(1),
        interval_max: Duration::from_secs(30),
    };

    /// When the path is tried again that ends at `now`, having been ready for `lived`.
    fn lose(attempts: &mut Attempts, now: Instant, lived: Duration) -> Instant {
        let (number, _) = attempts.next_due(now).expect("the path is due");
        attempts.opened(number);
        attempts.established(number, now);
        attempts.ended(number, Outcome::Refused, now + lived, POLICY);
        attempts.next_timeout().expect("it is tried again")
    }

    #[test]
    fn a_path_that_is_reset_as_soon_as_it_is_ready_is_tried_ever_less_often() {
        let mut attempts = Attempts::default();
        let attempt = Attempt {
            local: None,
            local_address_id: 0,
            remote: SocketAddr::from(([192, 0, 2, 1], 443)),
            remote_address_id: 1,
            backup: false,
        };
        attempts.add(attempt, Instant::ZERO);
        let mut now = Instant::ZERO;
        let mut waits = Vec::new();
        for _ in 0..7 {
            let due = lose(&mut attempts, now, Duration::ZERO);
            waits.push(due.saturating_since(now).as_millis() / 1_000);
            now = due;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);

        let lived = POLICY.interval_max;
        let due = lose(&mut attempts, now, lived);
        assert_eq!(due, now + lived + POLICY.interval, "a path that lasted");
    }
}
