//! When a reader that sleeps is woken: at once for bytes that come alone, and for several arrivals
//! together while they follow one another closely.
//!
//! Waking a thread costs both sides about as much as copying 64 KiB. A reader of a stream that is
//! woken for each arrival has read it before the next one comes, sleeps again, and is woken again.
//! A reader that is awake sees all bytes at once, whatever is decided here.

use braid_engine::time::{Duration, Instant};

/// Arrivals no farther apart are of one stream: about what waking a thread takes.
const STREAM: Duration = Duration::from_micros(20);

/// How long nothing more must have come until those who sleep are woken.
const QUIET: Duration = Duration::from_micros(5);

/// How long they are left asleep at most.
const LONGEST: Duration = Duration::from_micros(50);

/// Of one socket.
#[derive(Debug, Default)]
pub(super) struct Wakeups {
    last_arrival: Option<Instant>,
    /// The last arrival followed one before it closely, and the application sent nothing between
    /// the two. One that answers waits for what comes.
    streaming: bool,
    /// Since when a reader may have been left asleep.
    withheld: Option<Instant>,
}

impl Wakeups {
    /// Bytes came from the peer.
    pub(super) fn arrived(&mut self, now: Instant) {
        self.streaming = self
            .last_arrival
            .is_some_and(|last| now.saturating_since(last) <= STREAM);
        self.last_arrival = Some(now);
    }

    /// Bytes came from the application.
    pub(super) fn sent(&mut self) {
        self.streaming = false;
        self.last_arrival = None;
    }

    /// Whether a reader that sleeps may be left asleep for now.
    pub(super) fn may_wait(&mut self, now: Instant) -> bool {
        let Some(last) = self.last_arrival.filter(|_| self.streaming) else {
            return false;
        };
        let since = *self.withheld.get_or_insert(now);
        now.saturating_since(last) <= QUIET && now.saturating_since(since) < LONGEST
    }

    /// Nobody is left asleep.
    pub(super) fn told(&mut self) {
        self.withheld = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(microseconds: u64) -> Instant {
        Instant::from_millis(1_000) + Duration::from_micros(microseconds)
    }

    #[test]
    fn what_comes_alone_wakes_at_once() {
        let mut wakeups = Wakeups::default();
        for time in [0, 21, 42] {
            wakeups.arrived(at(time));
            assert!(!wakeups.may_wait(at(time)), "{time} us");
            wakeups.told();
        }
    }

    #[test]
    fn an_answer_wakes_at_once_however_fast_it_comes() {
        let mut wakeups = Wakeups::default();
        for time in [0, 3, 6] {
            wakeups.sent();
            wakeups.arrived(at(time));
            assert!(!wakeups.may_wait(at(time)), "{time} us");
            wakeups.told();
        }
    }

    #[test]
    fn a_stream_wakes_when_it_pauses_and_after_a_while() {
        let mut wakeups = Wakeups::default();
        wakeups.arrived(at(0));
        wakeups.told();
        wakeups.arrived(at(4));
        assert!(wakeups.may_wait(at(4)));
        assert!(wakeups.may_wait(at(9)));
        assert!(!wakeups.may_wait(at(10)), "it has paused");
        wakeups.told();
        let mut time = 10;
        wakeups.arrived(at(time));
        while wakeups.may_wait(at(time)) {
            time += 5;
            wakeups.arrived(at(time));
            assert!(time < 1_000, "for ever");
        }
        assert_eq!(time, 60);
    }
}
