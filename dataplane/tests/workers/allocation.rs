//! The steady state of several workers takes nothing from the heap, the exchange of letters included.

use braid_dataplane::worker::Worker;

use crate::counting_allocator::counted;
use crate::host::Plan;
use crate::lab::Lab;
use crate::load::Side;

/// More than are ever under way, and few enough to be kept.
const FRAMES: usize = 1_000;

fn transfer(lab: &mut Lab) -> u64 {
    let mut allocations = 0;
    while !lab.is_done() {
        lab.turn(|worker| {
            let (work, count) = counted(|| Worker::step(worker));
            allocations += count;
            work
        });
    }
    allocations
}

/// Once its buffers, queues and pools have the size that they need, which `fill` gives the pools at the
/// beginning.
fn becomes_quiet(plan: Plan, fill: bool) {
    let mut lab = Lab::new(plan, &[0, 1], 30_000_000);
    // Buffers and queues get their size in the first part.
    let first = transfer(&mut lab);
    assert!(first > 0, "nothing is counted");
    if fill {
        lab.fill_pools(FRAMES);
    }
    // A machine that takes the core away has timers fire, which may take a queue to a new
    // length: then a later part shows it.
    let parts = (0..5).map(|_| {
        lab.extend(10_000_000);
        transfer(&mut lab)
    });
    let allocations: Vec<u64> = parts
        .scan(false, |quiet, count| {
            let before = std::mem::replace(quiet, count == 0);
            (!before).then_some(count)
        })
        .collect();
    assert!(allocations.contains(&0), "{allocations:?} with {plan:?}");
    assert_eq!(lab.workers_used(Side::Client), [2; 2]);
}

#[test]
fn two_workers_with_their_letters_allocate_nothing() {
    for offload in [false, true] {
        let plan = Plan {
            offload,
            ..Plan::of(2)
        };
        becomes_quiet(plan, true);
    }
}

/// Windows are many times wider than the pools are meant to be.
#[test]
fn large_buffers_and_small_pools_allocate_nothing() {
    let plan = Plan {
        buffers: Some(4 << 20),
        frames: 16,
        ..Plan::of(2)
    };
    becomes_quiet(plan, false);
}
