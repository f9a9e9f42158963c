//! Producers and a consumer, each on its core, and what they do.

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use braid_dataplane::worker::{allowed_cores, pin};
use braid_engine::stack::Letter;

use super::Bell;

/// As large as a letter.
pub(super) struct Item(pub(super) [u64; size_of::<Letter>() / 8]);

/// Nobody sleeps.
pub(super) struct Mute;

impl Bell for Mute {
    fn ring(&self) {}
}

/// What is sent in one sample.
#[derive(Copy, Clone)]
pub(super) struct Load {
    pub(super) producers: usize,
    pub(super) batch: u64,
    /// Items of each producer.
    pub(super) each: u64,
}

/// Sends all items of one producer; `push` gives back what has no room.
pub(super) fn produce<P>(
    load: Load,
    to: &mut P,
    push: fn(&mut P, Item) -> Result<(), Item>,
    flush: fn(&mut P),
) {
    for number in 1..=load.each {
        let mut item = Item([number; _]);
        while let Err(refused) = push(to, item) {
            item = refused;
            flush(to);
            thread::yield_now();
        }
        if number.is_multiple_of(load.batch) {
            flush(to);
        }
    }
    flush(to);
}

/// Where it cannot be, the thread runs wherever it is.
fn take_place(cores: &[usize], number: usize) {
    let others = cores.len().saturating_sub(1).max(1);
    let place = match number {
        0 => 0,
        producer => cores.len().min(2) - 1 + (producer - 1) % others,
    };
    if let Some(core) = cores.get(place) {
        let _ = pin(*core);
    }
}

/// Runs the producers, takes all items of `load` meanwhile, and says how long that took.
pub(super) fn on_stage(
    load: Load,
    producers: Vec<impl FnMut() + Send>,
    mut next: impl FnMut() -> Option<Item> + Send,
) -> Duration {
    let cores = &allowed_cores();
    let start = &Barrier::new(load.producers + 1);
    thread::scope(|scope| {
        for (number, mut producer) in (1..).zip(producers) {
            scope.spawn(move || {
                take_place(cores, number);
                start.wait();
                producer();
            });
        }
        let consumer = scope.spawn(move || {
            take_place(cores, 0);
            start.wait();
            let begin = Instant::now();
            let mut left = load.each * load.producers as u64;
            while left > 0 {
                match next() {
                    Some(item) => {
                        black_box(&item.0);
                        left -= 1;
                    }
                    None if cores.len() > 1 => spin_loop(),
                    None => thread::yield_now(),
                }
            }
            begin.elapsed()
        });
        consumer.join().expect("no panic")
    })
}
