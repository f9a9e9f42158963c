//! What a measurement was taken on, and what else went on meanwhile.

use super::{CrossCore, Machine};
use crate::machine;

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
            cross_core: machine::cross_core_nanoseconds(),
            busy_threads: machine::busy_threads(),
        }
    }

    /// Looks again after it.
    pub fn after(self) -> (Machine, CrossCore) {
        let machine = Machine {
            processor: machine::processor(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            busy_threads_before: self.busy_threads,
            busy_threads_after: machine::busy_threads(),
        };
        let cross_core = CrossCore {
            before: self.cross_core,
            after: machine::cross_core_nanoseconds(),
        };
        (machine, cross_core)
    }
}
