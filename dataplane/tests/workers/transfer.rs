//! Bulk data both ways, over subflows of each connection on different workers.

use braid_dataplane::worker::IdlePolicy;

use crate::host::{Plan, Queues};
use crate::lab::Lab;
use crate::load::Side;

const LENGTH: usize = 2_000_000;

/// Whose a flow is at the server follows from ports that the client draws: one of so many hosts has
/// a connection there whose subflows are on two workers, but for once in a million times. And a worker that
/// does not get a core before all is over leaves the bytes of a connection to the other.
const TRIES: u8 = 5;

fn check(plan: Plan, from: &[usize], length: usize) {
    let spread_at_both = (0..TRIES).any(|seed| {
        let plan = Plan { seed, ..plan };
        let lab = Lab::new(plan, from, length).run();
        let client = lab.workers_used(Side::Client);
        let server = lab.workers_used(Side::Server);
        eprintln!("seed {seed}: workers used at the client {client:?}, at the server {server:?}");
        assert_eq!(server.len(), from.len());
        let handed_over = lab.counter(Side::Server, "SteeredFrames") > 0;
        assert_eq!(handed_over, plan.queues == Queues::One);
        lab.assert_clean();
        client.iter().all(|used| *used == 2) && server.contains(&2)
    });
    assert!(spread_at_both, "{plan:?}");
}

/// They sleep as soon as they have nothing to do, so that only frames, letters and timers go on.
#[test]
fn two_sleepy_workers_wake_for_letters() {
    check(Plan::of(2), &[0, 1, 0, 1], LENGTH);
}

#[test]
fn four_sleepy_workers_with_large_segments() {
    let plan = Plan {
        offload: true,
        ..Plan::of(4)
    };
    check(plan, &[0, 1, 2, 3], LENGTH);
}

#[test]
fn spinning_workers_let_each_other_run() {
    let plan = Plan {
        idle: IdlePolicy::Spin,
        ..Plan::of(4)
    };
    check(plan, &[0, 1, 2, 3], LENGTH / 10);
}

#[test]
fn workers_without_a_queue_of_their_own() {
    for workers in [2, 4] {
        let plan = Plan {
            queues: Queues::One,
            ..Plan::of(workers)
        };
        check(plan, &[0, 1, 0, 1], LENGTH);
    }
}

#[test]
fn hosts_of_different_sizes() {
    for workers in [[1, 4], [4, 1]] {
        let plan = Plan {
            workers,
            ..Plan::of(4)
        };
        let lab = Lab::new(plan, &[0; 4], LENGTH).run();
        for (side, count) in [Side::Client, Side::Server].into_iter().zip(workers) {
            if count == 1 {
                assert_eq!(lab.workers_used(side), [1; 4]);
            }
        }
        lab.assert_clean();
    }
}
