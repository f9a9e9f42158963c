//! What a measurement was taken on, and what else went on meanwhile.

use serde::Serialize;

use super::{busy_threads, cross_core_nanoseconds, processor};

/// What it was measured on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Machine {
    /// The name of the processor.
    pub processor: Option<String>,
    /// How many processors this program may use.
    pub processors: usize,
    /// Threads that ran or wanted to, on average of the minute before.
    pub busy_threads_before: Option<f64>,
    /// The same of the last minute of the run.
    pub busy_threads_after: Option<f64>,
}

/// Nanoseconds that handing a line of cache to the other core cost; `None` on one core.
#[derive(Copy, Clone, PartialEq, Debug, Serialize)]
pub struct CrossCore {
    /// Before the first round.
    pub before: Option<f64>,
    /// After the last.
    pub after: Option<f64>,
}

/// What was seen before a measurement.
#[derive(Copy, Clone, Debug)]
pub struct Surroundings {
    cross_core: Option<f64>,
    busy_threads: Option<f64>,
}

impl Surroundings {
    /// Looks before a measurement.
    pub fn before() -> Self {
        Self {
            cross_core: cross_core_nanoseconds(),
            busy_threads: busy_threads(),
        }
    }

    /// Looks again after it.
    pub fn after(self) -> (Machine, CrossCore) {
        let machine = Machine {
            processor: processor(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            busy_threads_before: self.busy_threads,
            busy_threads_after: busy_threads(),
        };
        let cross_core = CrossCore {
            before: self.cross_core,
            after: cross_core_nanoseconds(),
        };
        (machine, cross_core)
    }
}
