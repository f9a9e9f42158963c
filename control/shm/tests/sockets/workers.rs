//! Regions of an engine with several workers: a doorbell and a bell for each.

use crate::pair::{attach, me, open, poll, small};
use braid_shm::memory::MemoryError;
use braid_shm::{ApplicationRegion, RegionLayout};
use std::os::fd::AsFd;

fn of_workers(workers: u32) -> RegionLayout {
    small().with_workers(workers).expect("a layout")
}

#[test]
fn a_kick_goes_to_the_worker_that_the_slot_names() {
    let attachment = attach(of_workers(3));
    let pair = open(&attachment, 69);
    let worker = |number| attachment.engine.worker(number).expect("a worker");
    let workers = [0, 1, 2].map(worker);
    let kicked = || {
        workers.each_ref().map(|worker| {
            let mut slots = Vec::new();
            worker.take_kicks(|slot| slots.push(slot));
            slots
        })
    };
    pair.application.kick();
    assert_eq!(kicked(), [vec![69], vec![], vec![]]);
    pair.handle.set_worker(2);
    assert!(workers.iter().all(|worker| worker.prepare_sleep()));
    pair.send(b"bytes");
    let rung = workers
        .each_ref()
        .map(|worker| poll(worker.bell().as_fd(), libc::POLLIN, 0) != 0);
    assert_eq!(rung, [false, false, true]);
    assert_eq!(kicked(), [vec![], vec![], vec![69]]);
    // One that there is not: nobody is asked, and nothing breaks.
    pair.handle.set_worker(3);
    assert_eq!(pair.application.send(me(), b"more"), Ok(4));
    assert_eq!(kicked(), [vec![], vec![], vec![]]);
    assert!(attachment.engine.worker(3).is_none());
}

#[test]
fn a_slot_that_is_used_again_names_no_worker() {
    let attachment = attach(of_workers(2));
    let old = open(&attachment, 1);
    old.handle.set_worker(1);
    attachment
        .engine
        .release_slot(&old.handle)
        .expect("fallocate");
    let new = open(&attachment, 1);
    new.application.kick();
    let first = attachment.engine.worker(0).expect("a worker");
    assert!(first.take_kicks(|slot| assert_eq!(slot, 1)));
}

#[test]
fn there_is_a_bell_for_each_worker() {
    let attachment = attach(of_workers(32));
    let engine = &attachment.engine;
    let copies = || {
        engine
            .descriptors()
            .into_iter()
            .map(|fd| fd.try_clone_to_owned().expect("a descriptor"))
    };
    assert_eq!(copies().len(), 2 + 32);
    for too_few in [2, 33] {
        let mut some = copies().take(too_few);
        let (memory, control) = (some.next().expect("one"), some.next().expect("two"));
        let opened = ApplicationRegion::open(engine.layout(), memory, control, some);
        assert!(matches!(opened, Err(MemoryError::Bells(bells)) if bells == too_few - 2));
    }
    // What was announced is not what is there.
    let mut all = copies();
    let (memory, control) = (all.next().expect("one"), all.next().expect("two"));
    let other = of_workers(31);
    let opened = ApplicationRegion::open(other, memory, control, all.take(31));
    assert!(opened.is_err());
    for workers in [0, 33, u32::MAX] {
        let refused = small().with_workers(workers).expect_err("no such region");
        assert!(refused.to_string().contains("1 to 32"), "{refused}");
    }
}
