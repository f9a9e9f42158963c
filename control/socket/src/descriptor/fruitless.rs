//! Receives that found nothing, in a row: whether to ask the kernel if the engine has died, which costs
//! more than all else in such a call.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many in a row are a program that polls, which comes again. One that waits in epoll, edge-triggered,
/// may come once only to be told.
const POLLING: u32 = 16;

/// While it polls the kernel is asked once in this time.
const PAUSE: Duration = Duration::from_micros(50);

/// The fruitless receives of a socket. Threads that share it may miscount, by which the kernel is asked
/// sooner or later.
#[derive(Debug)]
pub(crate) struct Fruitless {
    in_a_row: AtomicU32,
    since: Instant,
    /// In nanoseconds from `since`, when the kernel was last asked.
    asked: AtomicU64,
}

impl Fruitless {
    /// Of a new socket: its engine may have died before the first.
    pub(crate) fn new() -> Self {
        Self {
            in_a_row: AtomicU32::new(1),
            since: Instant::now(),
            asked: AtomicU64::new(0),
        }
    }

    /// A receive found something.
    pub(crate) fn end(&self) {
        // Not written without need: the line is shared.
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// A receive found nothing; whether to ask. The first in a row is as normal as can be.
    pub(crate) fn note(&self) -> bool {
        let before = self.in_a_row.load(Ordering::Relaxed);
        if before < POLLING {
            self.in_a_row.store(before + 1, Ordering::Relaxed);
            return before > 0;
        }
        let now = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let since = now.saturating_sub(self.asked.load(Ordering::Relaxed));
        let due = u128::from(since) >= PAUSE.as_nanos();
        if due {
            self.asked.store(now, Ordering::Relaxed);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_from_the_second_on_and_seldom_of_many() {
        let fruitless = Fruitless::new();
        assert!(fruitless.note(), "the engine may have died long ago");
        fruitless.end();
        assert!(!fruitless.note());
        for _ in 1..POLLING {
            assert!(fruitless.note());
        }
        let begun = Instant::now();
        let asked = (0..100_000).filter(|_| fruitless.note()).count() as u128;
        let most = begun.elapsed().as_nanos() / PAUSE.as_nanos() + 1;
        assert!((1..=most).contains(&asked), "{asked} of at most {most}");
        fruitless.end();
        assert!(!fruitless.note());
        assert!(fruitless.note());
    }
}
