//! Deadlines: whose each timer of the wheel is, and when it is set.
//!
//! Within a step a subflow and its connection change many times, and in a busy stack one step follows
//! another within microseconds. Their deadlines follow from their state, so it is enough to look once:
//! when the stack is asked for its deadlines, and in one that is never asked every [`PATIENCE`].

use super::Stack;
use super::connection::ConnectionSlot;
use super::request::Request;
use super::subflow::SubflowSlot;
use crate::storage::slab::Key;
use crate::storage::timer_wheel::{TimerId, TimerWheel};
use crate::time::{Duration, Instant};

/// How long a change waits to be looked at while one step follows another. No deadline of a protocol is
/// so near that it mattered.
const PATIENCE: Duration = Duration::from_micros(50);

/// The owner of a timer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// A subflow's earliest deadline.
    Subflow(Key<SubflowSlot>),
    /// A connection's earliest deadline.
    Connection(Key<ConnectionSlot>),
    /// The repetition of a SYN/ACK.
    Request(Key<Request>),
}

/// The timer of one owner.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    timer: Option<TimerId<Timer>>,
    /// The owner has changed since it was set.
    changed: bool,
}

/// The timers of a stack.
#[derive(Debug)]
pub(super) struct Timers {
    wheel: TimerWheel<Timer>,
    /// Those whose owner has changed, each once.
    changed: Vec<Timer>,
    /// When the changes were last looked at.
    looked: Instant,
}

impl Timers {
    /// For `max` owners.
    pub(super) fn new(max: usize) -> Self {
        Self {
            wheel: TimerWheel::new(Instant::ZERO, max),
            changed: Vec::new(),
            looked: Instant::ZERO,
        }
    }

    /// The owner has changed: its deadline is looked at by [`Stack::set_timers`].
    pub(super) fn note_change(&mut self, deadline: &mut Deadline, owner: Timer) {
        if !core::mem::replace(&mut deadline.changed, true) {
            self.changed.push(owner);
        }
    }

    /// Sets the timer at once.
    pub(super) fn set(&mut self, deadline: &mut Deadline, owner: Timer, at: Option<Instant>) {
        deadline.changed = false;
        self.wheel.set(&mut deadline.timer, owner, at);
    }

    /// Takes the next owner whose time has come.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Timer> {
        self.wheel.pop_expired(now)
    }

    /// When the earliest timer fires that was set.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.wheel.next_timeout()
    }

    /// How many are set.
    pub(super) fn len(&self) -> usize {
        self.wheel.len()
    }
}

impl Stack {
    /// Sets the timers of all that has changed, if that has waited long enough.
    pub(super) fn set_timers_in_time(&mut self, now: Instant) {
        if now.saturating_since(self.timers.looked) >= PATIENCE {
            self.timers.looked = now;
            self.set_timers();
        }
    }

    /// Sets the timers of all that has changed.
    pub(super) fn set_timers(&mut self) {
        while let Some(owner) = self.timers.changed.pop() {
            let (deadline, at) = match owner {
                Timer::Subflow(key) => match self.subflows.get_mut(key) {
                    Some(slot) => (&mut slot.deadline, slot.subflow.awake().next_timeout()),
                    None => continue,
                },
                Timer::Connection(key) => match self.connections.get_mut(key) {
                    Some(slot) => (&mut slot.deadline, slot.connection.next_timeout()),
                    None => continue,
                },
                // Set at once, always.
                Timer::Request(_) => continue,
            };
            self.timers.set(deadline, owner, at);
        }
    }
}
