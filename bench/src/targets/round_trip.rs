//! Round trips of 64 bytes over sockets of shared memory beside Linux's Multipath TCP on its loopback, with
//! nobody asleep (T4).
//!
//! Two cores have room for two threads that spin: the applications are one, and the worker of their
//! engine, which is at both ends of the connection by its own loopback, is the other. Two engines would take
//! a third.

use braid_control::bench::Latencies;

use super::{Bound, Target};
use crate::contender::process::{Failure, Processes};
use crate::contender::{Contender, Task};
use crate::interleaved::{Compared, compare};
use crate::load::{Load, Outcome, Pace};

/// Round trips of each measurement.
const LOAD: Load = Load::RoundTrips {
    size: 64,
    count: 40_000,
};

pub(super) const MEDIAN: Target = Target {
    number: 4,
    part: "",
    what: "64-byte round trip of spinning sockets over loopback, median: us",
    peer: "Linux MPTCP, spinning",
    bound: Bound::ratio_at_most(0.35),
    measure: |rounds| beside_linux(0.5, rounds),
};

pub(super) const TAIL: Target = Target {
    part: "b",
    what: "the same, 99 of 100: us",
    measure: |rounds| beside_linux(0.99, rounds),
    ..MEDIAN
};

fn beside_linux(share: f64, rounds: u32) -> Result<Compared, String> {
    let processes = Processes::new(None).map_err(|error| error.to_string())?;
    processes.look_for(Contender::LinuxMptcp)?;
    let time = |contender| {
        let task = Task {
            load: LOAD,
            pace: Pace::Spinning,
            contender,
        };
        let measured = processes.measure(task).map_err(|failure| match failure {
            Failure::Absent(reason) | Failure::Failed(reason) => reason,
        })?;
        let Outcome::RoundTrips(counts) = measured.outcome else {
            return Err("round trips are told as such".into());
        };
        let mut times = Latencies::new();
        times.add_counts(&counts);
        Ok(times.at(share) as f64 / 1_000.0)
    };
    compare(
        rounds,
        || time(Contender::Sockets),
        || time(Contender::LinuxMptcp),
    )
}
