//! The clock of a data plane: the engine itself has none.

use braid_engine::time::{Duration, Instant};

/// Counts nanoseconds on the host's monotonic clock.
#[derive(Copy, Clone, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock that reads one second now, so that times before its start can be told too.
    pub fn start() -> Self {
        Self {
            origin: std::time::Instant::now(),
        }
    }

    /// The present. Never runs backwards.
    pub fn now(&self) -> Instant {
        Instant::ZERO + Duration::from_secs(1) + self.origin.elapsed()
    }
}
