//! Whether a wait lingers before it sleeps: it looks again for a moment, and lets others have the
//! processor between two looks, where that has been enough lately. A sleep costs who sleeps and who
//! wakes it some system calls each.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long: about what a sleep and its end cost both sides.
const TIME: Duration = Duration::from_micros(20);
/// Credit after a moment that was enough. It goes down with each that was not; below [`THRESHOLD`] there
/// are none, and every wait without one brings the next attempt nearer.
const CREDIT: u32 = THRESHOLD + 4;
const THRESHOLD: u32 = 64;

thread_local! {
    static CREDIT_LEFT: Cell<u32> = const { Cell::new(CREDIT) };
}

/// A wait's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Linger {
    /// It has not found out yet that there is nothing.
    Before,
    /// It looks on until then.
    Until(Instant),
    /// It is to sleep.
    Over,
}

impl Linger {
    /// There was nothing: whether to look again.
    pub(crate) fn goes_on(&mut self) -> bool {
        let credit = CREDIT_LEFT.get();
        match *self {
            Self::Before if credit < THRESHOLD => {
                CREDIT_LEFT.set(credit + 1);
                *self = Self::Over;
            }
            Self::Before => *self = Self::Until(Instant::now() + TIME),
            Self::Until(end) if Instant::now() >= end => {
                let left = if credit == THRESHOLD { 0 } else { credit - 1 };
                CREDIT_LEFT.set(left);
                *self = Self::Over;
            }
            Self::Until(_) | Self::Over => {}
        }
        matches!(self, Self::Until(_))
    }

    /// Something has come.
    pub(crate) fn end(self) {
        if matches!(self, Self::Until(_)) {
            CREDIT_LEFT.set(CREDIT);
        }
    }
}
