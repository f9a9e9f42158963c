//! What is done again and again: first as often as it can be, then at a steady rate, where each is
//! measured from when it was due.

use std::collections::VecDeque;
use std::num::NonZeroU8;
use std::time::{Duration, Instant as SystemInstant};

use braid_engine::stack::{Event, Stack};
use braid_engine::time::Instant;
use serde::{Deserialize, Serialize};

use super::super::BenchError;
use super::super::arrivals::Arrivals;
use super::super::driver::{Client, Scene};
use super::super::latencies::{Latencies, Latency};
use super::super::schedule::Schedule;

/// Of the time, how much is spent to find out how often it can be done.
const CAPACITY_TIME: f64 = 0.4;

/// From one request to the next at least.
const SHORTEST_INTERVAL: Duration = Duration::from_nanos(100);

/// Beginnings in a turn.
const TURN: usize = 64;

/// How much longer than its time a measurement may take, connections that come to be included.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of something that does one at a time.
pub(super) type Slot = usize;

/// How often it is done in the second part of the time.
#[derive(Copy, Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// So many times a second, by all workers together.
    PerSecond(f64),
    /// Such a share of what can be done, 0 to 1.
    OfCapacity(f64),
}

impl Rate {
    /// The part of each of so many workers.
    pub(super) fn of_each(self, workers: NonZeroU8) -> Self {
        match self {
            Self::PerSecond(rate) => Self::PerSecond(rate / f64::from(workers.get())),
            Self::OfCapacity(share) => Self::OfCapacity(share),
        }
    }
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Paced {
    /// How often a second it can be done, each after another on every connection.
    pub capacity_per_second: f64,
    /// How often a second it was due when latencies were measured.
    pub rate_per_second: f64,
    /// How long each took from when it was due.
    pub latency: Latency,
    /// Of those, how many had not been answered at the end; they are counted as if they had then.
    pub unanswered: u64,
}

/// Something that can be done again and again, in several places at a time.
pub(super) trait Operation: Send {
    /// Goes on with what must be there before the first; whether it is.
    fn prepare(&mut self, now: Instant, stack: &mut Stack) -> Result<bool, BenchError>;

    /// How many slots there are.
    fn slots(&self) -> usize;

    /// Begins one in a slot.
    fn begin(&mut self, slot: Slot, now: Instant, stack: &mut Stack) -> Result<(), BenchError>;

    /// Takes note of what the engine tells; the slot in which one has ended by that.
    fn on_event(
        &mut self,
        event: &Event,
        now: Instant,
        stack: &mut Stack,
    ) -> Result<Option<Slot>, BenchError>;
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Stage {
    Preparing,
    Capacity,
    Measuring,
    Over,
}

/// Does an operation at its pace, at one worker.
pub(super) struct Pacer<O> {
    operation: O,
    time: Duration,
    rate: Rate,
    /// In how many slots at most something is under way.
    at_once: usize,
    stage: Stage,
    schedule: Schedule,
    stage_began: SystemInstant,
    /// In the order in which they became free, so that all take their turn.
    free: VecDeque<Slot>,
    /// Of each slot, when what is under way in it was due.
    due: Vec<Option<SystemInstant>>,
    done: u64,
    capacity: f64,
    measured_rate: f64,
    latencies: Latencies,
    unanswered: u64,
}

impl<O: Operation> Pacer<O> {
    pub(super) fn new(operation: O, at_once: usize, time: Duration, rate: Rate) -> Self {
        let now = SystemInstant::now();
        Self {
            time,
            rate,
            at_once: at_once.max(1),
            stage: Stage::Preparing,
            schedule: Schedule::Closed { end: now },
            stage_began: now,
            free: (0..operation.slots()).collect(),
            due: vec![None; operation.slots()],
            operation,
            done: 0,
            capacity: 0.0,
            measured_rate: 0.0,
            latencies: Latencies::new(),
            unanswered: 0,
        }
    }

    fn under_way(&self) -> usize {
        self.due.len() - self.free.len()
    }

    /// Goes on to the next stage if this one is over, and all that was begun in it is done.
    fn advance(&mut self, now: SystemInstant) {
        let elapsed = now.duration_since(self.stage_began);
        let late = elapsed > self.time * 2;
        let done = late || (self.schedule.is_over(now) && self.under_way() == 0);
        match self.stage {
            Stage::Capacity if done => {
                self.capacity = self.done as f64 / elapsed.as_secs_f64().max(1e-9);
                self.measured_rate = match self.rate {
                    Rate::PerSecond(rate) => rate,
                    Rate::OfCapacity(share) => self.capacity * share,
                };
                self.stage = Stage::Measuring;
                self.stage_began = now;
                let interval = Duration::try_from_secs_f64(1.0 / self.measured_rate);
                self.schedule = Schedule::Open {
                    next: now,
                    interval: interval.unwrap_or(self.time).max(SHORTEST_INTERVAL),
                    end: now + self.time.mul_f64(1.0 - CAPACITY_TIME),
                };
            }
            Stage::Measuring if done => {
                self.give_up(now);
                self.stage = Stage::Over;
            }
            _ => {}
        }
    }

    /// Counts what is under way, and what should be, as if it had ended now.
    fn give_up(&mut self, now: SystemInstant) {
        let under_way = self.due.iter_mut().filter_map(Option::take);
        for due in under_way.chain(std::iter::from_fn(|| self.schedule.due(now))) {
            self.latencies.record(now.saturating_duration_since(due));
            self.unanswered += 1;
        }
    }
}

impl<O: Operation> Client for Pacer<O> {
    fn on_event(
        &mut self,
        event: &Event,
        now: Instant,
        stack: &mut Stack,
    ) -> Result<(), BenchError> {
        let Some(slot) = self.operation.on_event(event, now, stack)? else {
            return Ok(());
        };
        let Some(due) = self.due.get_mut(slot).and_then(Option::take) else {
            return Ok(());
        };
        self.free.push_back(slot);
        match self.stage {
            Stage::Capacity => self.done += 1,
            Stage::Measuring => self.latencies.record(due.elapsed()),
            Stage::Preparing | Stage::Over => {}
        }
        Ok(())
    }

    fn turn(&mut self, now: Instant, stack: &mut Stack, _: &Arrivals) -> Result<(), BenchError> {
        let present = SystemInstant::now();
        if self.stage == Stage::Preparing && self.due.is_empty() {
            // This worker has no share in it.
            self.stage = Stage::Over;
        }
        if self.stage == Stage::Preparing && self.operation.prepare(now, stack)? {
            self.stage = Stage::Capacity;
            self.stage_began = present;
            let end = present + self.time.mul_f64(CAPACITY_TIME);
            self.schedule = Schedule::Closed { end };
        }
        self.advance(present);
        if matches!(self.stage, Stage::Preparing | Stage::Over) {
            return Ok(());
        }
        for _ in 0..TURN {
            if self.free.is_empty() || self.under_way() >= self.at_once {
                break;
            }
            let Some(due) = self.schedule.due(present) else {
                break;
            };
            if let Some(slot) = self.free.pop_front() {
                self.due[slot] = Some(due);
                self.operation.begin(slot, now, stack)?;
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}

/// Waits until all pacers are over.
pub(super) fn wait(scene: &Scene<'_>, time: Duration) -> Result<(), BenchError> {
    match scene.wait(time * 3 + PATIENCE) {
        true => Ok(()),
        false => Err(BenchError::TooSlow("not all was done in time")),
    }
}

impl Paced {
    /// Puts together what the pacers of all workers measured.
    pub(super) fn of<O>(pacers: &[Pacer<O>]) -> Result<Self, BenchError> {
        let mut latencies = Latencies::new();
        for pacer in pacers {
            latencies.add(&pacer.latencies);
        }
        if latencies.count() == 0 {
            return Err(BenchError::TooSlow("nothing was answered"));
        }
        Ok(Self {
            capacity_per_second: pacers.iter().map(|pacer| pacer.capacity).sum(),
            rate_per_second: pacers.iter().map(|pacer| pacer.measured_rate).sum(),
            latency: latencies.summary(),
            unanswered: pacers.iter().map(|pacer| pacer.unanswered).sum(),
        })
    }
}
