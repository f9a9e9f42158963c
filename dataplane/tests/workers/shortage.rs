//! What runs short: room in the rings, frames in the pools, workers that share the load. Each is
//! counted, costs time, and no byte.

use braid_dataplane::worker::{IdlePolicy, Work};
use braid_engine::stack::WorkerId;

use crate::host::{Plan, Queues};
use crate::lab::Lab;
use crate::load::Side;

const LENGTH: usize = 200_000;

#[test]
fn rings_that_are_full_cost_no_byte() {
    let plan = Plan {
        letters: 2,
        ..Plan::of(2)
    };
    let lab = Lab::new(plan, &[0, 1, 0, 1], LENGTH).run();
    let full = lab.counter(Side::Client, "ReassemblyRingFull");
    assert!(full > 0, "nothing was dropped for want of room");
    lab.assert_clean();
}

/// What home grants to a subflow whose worker is held up waits for room, and nothing is dropped.
#[test]
fn a_mailbox_that_is_full_costs_no_byte() {
    let plan = Plan {
        letters: 2,
        idle: IdlePolicy::Spin,
        ..Plan::of(2)
    };
    let mut lab = Lab::new(plan, &[0], LENGTH);
    let mut turns = 0;
    while !lab.is_done() {
        turns += 1;
        lab.turn(|worker| {
            let held_up = worker.engine().place().worker() != WorkerId::FIRST && turns % 8 != 0;
            if held_up {
                Work::nothing(worker.now())
            } else {
                worker.step()
            }
        });
    }
    let home = &lab.hosts[0][0];
    assert!(home.counter("LettersRefused") > 0, "all letters had room");
    assert_eq!(home.counter("ReassemblyRingFull"), 0);
    assert_eq!(lab.workers_used(Side::Client), [2]);
    lab.assert_clean();
}

#[test]
fn rings_that_are_full_of_frames_for_others_cost_no_byte() {
    let plan = Plan {
        letters: 2,
        queues: Queues::One,
        ..Plan::of(2)
    };
    let lab = Lab::new(plan, &[0, 1, 0, 1], LENGTH).run();
    let dropped = lab.counter(Side::Client, "SteeredFramesDropped");
    assert!(dropped > 0, "all frames had room");
    lab.assert_clean();
}

#[test]
fn a_pool_that_is_empty_costs_no_byte() {
    let plan = Plan {
        frames: 4,
        ..Plan::of(2)
    };
    let lab = Lab::new(plan, &[0, 1, 0, 1], LENGTH).run();
    for worker in lab.hosts.iter().flatten() {
        let made = worker.counter("FramePoolEmpty");
        assert!(made > 4 * plan.frames as u64, "{made} frames were enough");
    }
    lab.assert_clean();
}

/// The workers that have nothing to do hold up nobody.
#[test]
fn one_worker_that_has_all_the_load_serves_everybody() {
    let plan = Plan {
        spread: false,
        ..Plan::of(2)
    };
    let lab = Lab::new(plan, &[1; 6], LENGTH).run();
    let frames: Vec<u64> = lab.hosts[0]
        .iter()
        .map(|seated| seated.counter("LinkInFrames"))
        .collect();
    // ARP and what else is of no flow.
    assert!(frames[0] < 20 && frames[1] > 500, "{frames:?}");
    let used = lab.workers_used(Side::Client);
    assert_eq!(used, [1; 6]);
    lab.assert_clean();
}
