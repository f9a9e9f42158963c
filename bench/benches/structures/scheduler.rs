//! The decision which subflow carries the next bytes, among two and eight subflows of which the fastest is
//! full. An element is a decision.

use std::hint::black_box;

use braid_engine::mptcp::scheduler::{Candidate, Demand, Scheduler, SchedulerState};
use braid_engine::time::{Duration, Instant};
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::instructions::Marked;

const SEGMENT: u32 = 1_448;
const WINDOW: u32 = 100 * SEGMENT;

/// Subflow `id`, slower than the one before it; the first has no room.
fn candidate(id: u32) -> Candidate {
    let in_flight = if id == 0 { WINDOW } else { WINDOW / 2 };
    Candidate {
        index: id as usize,
        id,
        room: WINDOW - in_flight,
        segment_size: SEGMENT,
        congestion_window: WINDOW,
        in_flight: in_flight.into(),
        preferred: false,
        doubted: false,
        smoothed_rtt: Some(Duration::from_millis(10 + 2 * u64::from(id))),
        rtt_variation: Duration::from_millis(1),
    }
}

const DEMAND: Demand = Demand {
    now: Instant::from_millis(1_000),
    queued: 4 << 20,
    window: 4 << 20,
};

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "scheduler");
    for scheduler in Scheduler::ALL {
        for subflows in [2, 8] {
            group.time(
                format_args!("{scheduler} of {subflows}"),
                Throughput::Elements(1),
                || {
                    let candidates: Vec<_> = (0..subflows).map(candidate).collect();
                    (SchedulerState::from(scheduler), candidates)
                },
                |(state, candidates)| {
                    let candidates = black_box(&*candidates).iter().copied();
                    state.pick(candidates, black_box(&DEMAND))
                },
            );
        }
    }
}
