//! Subflows on which nothing has happened for a while are packed, and unpacked when something does.
//!
//! A transfer takes its working set when data flows, and gives it back some seconds after
//! ([`StackConfig::rest_after`](super::StackConfig::rest_after)), together with the memory of its connection's buffers. Which subflows
//! to look at is known without asking all of them: each is noted when something happens on it, once, and looked
//! at when it may rest.

use super::Stack;
use super::subflow::{Home, SubflowKey};
use crate::mptcp::subflow::{RestingSubflow, Subflow};
use crate::storage::interned::Interned;
use crate::storage::prefetch::Prefetch;
use crate::tcp::{TcbConfig, TcpInfo};
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// Subflows that are looked at in one call, so that a crowd that falls silent holds nobody up.
const AT_ONCE: usize = 64;

/// A subflow, whole or packed.
#[derive(Debug)]
pub(super) enum Form {
    /// Whole.
    Awake(Box<Subflow>),
    /// Packed.
    Resting(Box<RestingSubflow>),
}

impl Form {
    /// The subflow, whole from now on.
    pub(super) fn awake(&mut self) -> &mut Subflow {
        if let Self::Resting(resting) = self {
            *self = Self::Awake(Box::new(resting.wake()));
        }
        match self {
            Self::Awake(subflow) => subflow,
            Self::Resting(_) => unreachable!("it has just been unpacked"),
        }
    }

    /// Asks for its memory.
    pub(super) fn prefetch(&self, prefetch: Prefetch) {
        match self {
            Self::Awake(subflow) => prefetch.value(&**subflow),
            Self::Resting(resting) => prefetch.value(&**resting),
        }
    }

    /// The subflow, if it is whole.
    pub(super) fn whole(&self) -> Option<&Subflow> {
        match self {
            Self::Awake(subflow) => Some(subflow),
            Self::Resting(_) => None,
        }
    }

    /// The state of its TCP, which stays as it is.
    pub(super) fn tcp_info(&self) -> TcpInfo {
        match self {
            Self::Awake(subflow) => subflow.tcp_info(),
            Self::Resting(resting) => resting.wake().tcp_info(),
        }
    }

    /// Packs it; false when something is under way.
    fn pack(&mut self, now: Instant, configs: &mut Interned<TcbConfig>) -> bool {
        if let Self::Awake(subflow) = self
            && let Some(resting) = subflow.rest(now, configs)
        {
            *self = Self::Resting(Box::new(resting));
        }
        matches!(self, Self::Resting(_))
    }
}

/// Whole subflows that are to be looked at.
#[derive(Debug)]
pub(super) struct Watch {
    /// How long nothing happens on a subflow before it is packed.
    pause: Duration,
    /// Each with the time at which it was noted or looked at last. None is there twice.
    noted: VecDeque<(Instant, SubflowKey)>,
    configs: Interned<TcbConfig>,
}

impl Watch {
    pub(super) const fn new(pause: Duration) -> Self {
        Self {
            pause,
            noted: VecDeque::new(),
            configs: Interned::new(),
        }
    }

    /// Something happened on a subflow that is not noted.
    pub(super) fn note(&mut self, now: Instant, key: SubflowKey) {
        self.noted.push_back((now, key));
    }

    /// When a subflow is to be looked at next.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.noted.front().map(|(noted, _)| *noted + self.pause)
    }

    fn next_due(&mut self, now: Instant) -> Option<SubflowKey> {
        let due = self.next_timeout().is_some_and(|due| due <= now);
        due.then(|| self.noted.pop_front())?.map(|(_, key)| key)
    }
}

impl Stack {
    /// Packs the subflows on which nothing has happened for a while.
    pub(super) fn pack_idle(&mut self, now: Instant) {
        for _ in 0..AT_ONCE {
            let Some(key) = self.watch.next_due(now) else {
                break;
            };
            let Some(slot) = self.subflows.get_mut(key) else {
                continue;
            };
            if slot.touched + self.watch.pause > now {
                self.watch.note(slot.touched, key);
                continue;
            }
            // One that waits for something is noted again when that comes.
            slot.noted = false;
            if slot.queued || !slot.subflow.pack(now, &mut self.watch.configs) {
                continue;
            }
            if let Home::Here(connection) = slot.home
                && let Some(home) = self.connections.get_mut(connection)
            {
                home.connection.release_spare();
            }
        }
        if self.watch.noted.is_empty() {
            self.watch.noted.shrink_to(AT_ONCE);
        }
    }
}
