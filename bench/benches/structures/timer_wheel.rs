//! The timer wheel with 10^3 and 10^6 timers pending. An element is one timer.

use braid_engine::storage::timer_wheel::{TimerId, TimerWheel};
use braid_engine::time::{Duration, Instant};
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::instructions::Marked;

/// Timers of one iteration.
const BATCH: u32 = 1_024;

/// Prime, and so without a factor in common with how many timers there are.
const STRIDE: usize = 611_953;

/// A wheel on which a timer fires each microsecond.
struct Timers {
    wheel: TimerWheel<u32>,
    ids: Vec<Option<TimerId<u32>>>,
    now: Instant,
    next: usize,
}

impl Timers {
    fn new(count: u32) -> Self {
        let mut wheel = TimerWheel::new(Instant::ZERO, count as usize);
        let due = |number: u32| Instant::from_micros(u64::from(number) + 1);
        let ids = (0..count).map(|number| wheel.schedule(number, due(number)));
        let ids = ids.collect();
        Self {
            wheel,
            ids,
            now: Instant::ZERO,
            next: 0,
        }
    }

    /// Each that fires is set again, as far ahead as there are timers.
    fn fire(&mut self) -> u32 {
        let mut fired = 0;
        self.now += Duration::from_micros(BATCH.into());
        let period = Duration::from_micros(self.ids.len() as u64);
        while let Some(number) = self.wheel.pop_expired(self.now) {
            self.ids[number as usize] = self.wheel.schedule(number, self.now + period);
            fired += 1;
        }
        fired
    }

    /// Timers move by a retransmission timeout, and then back, as those of acknowledged data do.
    fn move_away(&mut self) {
        for step in 0..BATCH {
            self.next = (self.next + STRIDE) % self.ids.len();
            let at = self.now + Duration::from_micros(200_000 + u64::from(step));
            let set = self
                .wheel
                .set(&mut self.ids[self.next], self.next as u32, Some(at));
            assert!(set, "there is room");
        }
    }
}

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "timer_wheel");
    for count in [1_000, 1_000_000] {
        let elements = Throughput::Elements(BATCH.into());
        let timers = || Timers::new(count);
        group.time(
            format_args!("move of {count}"),
            elements.clone(),
            timers,
            Timers::move_away,
        );
        group.time(
            format_args!("fire and set of {count}"),
            elements,
            timers,
            Timers::fire,
        );
    }
}
