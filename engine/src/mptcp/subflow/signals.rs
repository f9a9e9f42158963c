//! Options of MPTCP that wait for an acknowledgment to travel on: ADD_ADDR, REMOVE_ADDR, MP_PRIO,
//! MP_FAIL, MP_FASTCLOSE.
//!
//! A segment with such an option and no data looks like a duplicate acknowledgment to what is
//! older than MPTCP, so at most two go in a row (RFC 8684 section 3.4.1): the third waits until
//! the peer was heard, data went out, or a pause is over.

use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::MptcpOption;
use std::collections::VecDeque;

/// At most this many wait; further ones are dropped and counted.
const LIMIT: usize = 16;

/// At most this many acknowledgments with such an option go in a row.
const IN_A_ROW: u8 = 2;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Signals {
    waiting: VecDeque<MptcpOption>,
    in_a_row: u8,
    resume: Option<Instant>,
    dropped: u64,
}

impl Signals {
    /// How many were dropped; `None` while some wait. After a rest, which is longer than any pause, two may
    /// go in a row again.
    pub(super) fn rest(&self) -> Option<u64> {
        (self.waiting.is_empty() && self.resume.is_none()).then_some(self.dropped)
    }

    /// None wait, after so many were dropped.
    pub(super) fn after(dropped: u64) -> Self {
        Self {
            dropped,
            ..Self::default()
        }
    }

    /// Adds an option, unless the same one waits already.
    pub(super) fn push(&mut self, option: MptcpOption) {
        if matches!(option, MptcpOption::Priority { .. }) {
            // Only the last wish counts.
            self.waiting
                .retain(|other| !matches!(other, MptcpOption::Priority { .. }));
        }
        if self.waiting.contains(&option) {
            return;
        }
        if self.waiting.len() == LIMIT {
            self.dropped += 1;
            return;
        }
        self.waiting.push_back(option);
    }

    /// The option to send next, if one may be sent now.
    pub(super) fn next(&self) -> Option<&MptcpOption> {
        if self.in_a_row < IN_A_ROW {
            self.waiting.front()
        } else {
            None
        }
    }

    /// The option of [`Self::next`] has gone; after the last in a row there is a pause.
    pub(super) fn sent(&mut self, now: Instant, pause: Duration) {
        self.waiting.pop_front();
        self.in_a_row += 1;
        if self.in_a_row >= IN_A_ROW {
            // Also with nothing waiting: what comes next must not wait for a peer that is silent.
            self.resume = Some(now + pause);
        }
    }

    /// The run of acknowledgments is broken: the peer was heard or data went.
    pub(super) fn resume(&mut self) {
        self.in_a_row = 0;
        self.resume = None;
    }

    /// When the pause is over.
    pub(super) const fn resume_at(&self) -> Option<Instant> {
        self.resume
    }

    /// Forgets all that wait but MP_FAIL, which tells the peer that MPTCP is over.
    pub(super) fn keep_fail(&mut self) {
        self.waiting
            .retain(|option| matches!(option, MptcpOption::Fail { .. }));
    }

    /// Forgets all that wait.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.resume();
    }

    /// How many were dropped for want of room.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}
