//! What applications do over a connection, and what is measured of it.
//!
//! The same code moves the bytes of every contender: [`spinning`] over anything that does not
//! block, among it the engine itself, [`sleeping`] over anything that does.

pub mod sleeping;
pub mod spinning;

use std::io;
use std::time::Duration;

use braid_control::bench::Latencies;
use serde::{Deserialize, Serialize};

/// What is done.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Bytes one way, as fast as they go.
    Bulk {
        /// How many are measured; a warm-up comes before them.
        bytes: u64,
        /// How many each call of send and receive is given.
        buffer: usize,
    },
    /// A message and its answer, one after the other.
    RoundTrips {
        /// Bytes of each message.
        size: usize,
        /// How many are measured; a warm-up comes before them.
        count: u32,
    },
}

impl Load {
    /// MiB, or round trips, with those of the warm-up.
    pub fn units(self) -> f64 {
        match self {
            Self::Bulk { bytes, .. } => (bytes + warm_up_bytes(bytes)) as f64 / f64::from(1 << 20),
            Self::RoundTrips { count, .. } => f64::from(count + warm_up_round_trips(count)),
        }
    }
}

/// How the applications wait.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// In calls that block, each end in a thread of its own.
    Sleeping,
    /// Not at all: one thread goes from end to end, with calls that do not block.
    Spinning,
}

/// The bytes before the measured ones: enough for windows to open and rings to be touched.
const WARM_UP_BYTES: u64 = 32 << 20;

/// The round trips before the measured ones.
const WARM_UP_ROUND_TRIPS: u32 = 1_000;

/// Bytes that go before `bytes` are measured.
fn warm_up_bytes(bytes: u64) -> u64 {
    (bytes / 2).min(WARM_UP_BYTES)
}

/// Round trips that go before `count` are measured.
fn warm_up_round_trips(count: u32) -> u32 {
    (count / 4).min(WARM_UP_ROUND_TRIPS)
}

/// What came of a load.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Of [`Load::Bulk`].
    Bulk {
        /// Bytes that were received in the measured time.
        bytes: u64,
        /// That time.
        nanoseconds: u64,
    },
    /// Of [`Load::RoundTrips`]: times in nanoseconds, and how often each occurred.
    RoundTrips(Vec<(u64, u64)>),
}

impl Outcome {
    fn bulk(bytes: u64, time: Duration) -> Self {
        Self::Bulk {
            bytes,
            nanoseconds: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1),
        }
    }

    fn round_trips(times: &Latencies) -> Self {
        Self::RoundTrips(times.counts())
    }
}

fn ended() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the connection ended in the middle of a measurement",
    )
}
