//! The doorbell: no ring is lost, and no sleep entered past one.

use crate::doorbell::{Doorbell, ring_owner};
use crate::models::explore;
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};
use loom::sync::Arc;
use loom::thread;

#[derive(Default)]
struct Region {
    summary: [AtomicU64; 1],
    words: [AtomicU64; 2],
    sleeping: AtomicU32,
    /// The eventfd.
    bell: AtomicU32,
    /// What each ringer wants seen.
    wanted: [AtomicU32; 2],
}

const ITEMS: [u32; 2] = [3, 70];

impl Region {
    fn doorbell(&self) -> Doorbell<'_> {
        Doorbell {
            summary: &self.summary,
            words: &self.words,
            sleeping: &self.sleeping,
        }
    }

    fn ring(&self, ringer: usize) {
        self.wanted[ringer].store(1, Ordering::Relaxed);
        if self.doorbell().ring(ITEMS[ringer]) {
            self.bell.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn answer(&self, seen: &mut Vec<u32>) {
        self.doorbell().take(|item| {
            let ringer = ITEMS
                .iter()
                .position(|known| *known == item)
                .expect("an item rung for");
            assert_eq!(
                self.wanted[ringer].load(Ordering::Relaxed),
                1,
                "rung, and nothing to see"
            );
            seen.push(item);
        });
    }
}

#[test]
fn every_ring_is_answered_or_wakes() {
    explore(3, || {
        let region = Arc::new(Region::default());
        let ringers = [0, 1].map(|ringer| {
            let region = Arc::clone(&region);
            thread::spawn(move || region.ring(ringer))
        });
        let mut seen = Vec::new();
        region.answer(&mut seen);
        let sleeps = region.doorbell().prepare_sleep();
        if !sleeps {
            region.answer(&mut seen);
        }
        for ringer in ringers {
            ringer.join().expect("no panic");
        }
        let before_the_wake = seen.len();
        region.answer(&mut seen);
        seen.sort_unstable();
        assert_eq!(seen, ITEMS);
        if sleeps && before_the_wake < ITEMS.len() {
            assert_eq!(region.bell.load(Ordering::Acquire), 1, "woken, and once");
        }
    });
}

#[test]
fn a_second_ring_of_one_item_is_not_swallowed() {
    explore(4, || {
        let region = Arc::new(Region::default());
        let ringer = Arc::clone(&region);
        let application = thread::spawn(move || {
            for value in 1..=2 {
                ringer.wanted[0].store(value, Ordering::Relaxed);
                let _ = ringer.doorbell().ring(ITEMS[0]);
            }
        });
        let latest = |latest: &mut u32| {
            region
                .doorbell()
                .take(|_| *latest = region.wanted[0].load(Ordering::Relaxed));
        };
        let mut seen = 0;
        latest(&mut seen);
        application.join().expect("no panic");
        latest(&mut seen);
        assert_eq!(seen, 2);
    });
}

#[test]
fn a_ringer_that_died_half_way_silences_nothing() {
    explore(2, || {
        let region = Region::default();
        // It has set the item's bit, and died before the word's.
        region.words[0].store(1 << ITEMS[0], Ordering::Relaxed);
        region.ring(0);
        let mut seen = Vec::new();
        region.answer(&mut seen);
        assert_eq!(seen, [ITEMS[0]]);
    });
}

/// A slot that moves from the first worker to the second while somebody rings for it.
#[derive(Default)]
struct Moving {
    owner: AtomicU32,
    doorbells: [Region; 2],
    wanted: AtomicU32,
}

#[test]
fn a_ring_follows_a_slot_to_its_new_worker() {
    explore(3, || {
        let moving = Arc::new(Moving::default());
        let ringer = Arc::clone(&moving);
        let application = thread::spawn(move || {
            ringer.wanted.store(1, Ordering::Relaxed);
            let doorbell = |worker| Some(ringer.doorbells.get(worker as usize)?.doorbell());
            ring_owner(&ringer.owner, ITEMS[0], doorbell, |_| ());
        });
        // The control thread, and then the new worker's first look.
        moving.owner.store(1, Ordering::Release);
        fence(Ordering::SeqCst);
        let mut seen = moving.wanted.load(Ordering::Relaxed) == 1;
        application.join().expect("no panic");
        moving.doorbells[1].doorbell().take(|item| {
            assert_eq!(item, ITEMS[0]);
            seen = true;
        });
        assert!(seen, "neither seen at the first look nor rung for");
    });
}
