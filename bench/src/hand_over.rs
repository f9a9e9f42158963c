//! What it costs to hand a letter to another worker: its home takes it on one core, producers share the
//! other.

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::sync::atomic::{Ordering, fence};
use std::thread;
use std::time::Instant;

use braid_dataplane::reassembly_ring::{Bell, mailbox};
use braid_dataplane::worker::{LETTER_CAPACITY, allowed_cores, pin};
use braid_engine::stack::Letter;
use crossbeam_queue::ArrayQueue;

use crate::memory_links::text;

/// Letters that a producer shows at once.
const BATCH: u32 = 32;

/// Letters of each producer.
const LETTERS: u32 = 1_000_000;

/// As large as a letter.
struct Item([u64; size_of::<Letter>() / 8]);

/// Nobody sleeps.
struct Mute;

impl Bell for Mute {
    fn ring(&self) {}
}

/// Nanoseconds for a letter over the rings of our workers.
///
/// # Errors
///
/// When this process may use one core only.
pub fn rings(producers: usize) -> Result<f64, String> {
    let (mut inbox, outboxes) = mailbox(Mute, producers, LETTER_CAPACITY);
    let producers = outboxes
        .into_iter()
        .map(|mut outbox| move || produce(&mut outbox, |to, item| to.send(item), |to| to.flush()));
    measure(producers.collect(), move || inbox.receive())
}

/// The same over one queue of as many places for all of them.
///
/// # Errors
///
/// When this process may use one core only.
pub fn array_queue(producers: usize) -> Result<f64, String> {
    let queue = &ArrayQueue::new(LETTER_CAPACITY * producers);
    let producers = (0..producers).map(|_| {
        move || {
            // As a producer has to that looks whether home sleeps.
            let flush = |_: &mut &ArrayQueue<Item>| fence(Ordering::SeqCst);
            produce(&mut { queue }, |to, item| to.push(item), flush);
        }
    });
    measure(producers.collect(), || queue.pop())
}

fn produce<P>(to: &mut P, push: fn(&mut P, Item) -> Result<(), Item>, flush: fn(&mut P)) {
    for number in 1..=LETTERS {
        let mut item = Item([u64::from(number); _]);
        while let Err(refused) = push(to, item) {
            item = refused;
            // Another producer may be due on this core.
            thread::yield_now();
        }
        if number.is_multiple_of(BATCH) {
            flush(to);
        }
    }
    flush(to);
}

fn measure(
    producers: Vec<impl FnMut() + Send>,
    next: impl FnMut() -> Option<Item> + Send,
) -> Result<f64, String> {
    match allowed_cores()[..] {
        [home, others, ..] => on([home, others], producers, next),
        _ => Err("this takes two cores; this program may use one".into()),
    }
}

fn on(
    [home, others]: [usize; 2],
    producers: Vec<impl FnMut() + Send>,
    mut next: impl FnMut() -> Option<Item> + Send,
) -> Result<f64, String> {
    let total = LETTERS * producers.len() as u32;
    let start = &Barrier::new(producers.len() + 1);
    thread::scope(|scope| {
        for mut producer in producers {
            scope.spawn(move || {
                // Where it cannot be, the thread runs wherever it is.
                let _ = pin(others);
                start.wait();
                producer();
            });
        }
        let consumer = scope.spawn(move || {
            pin(home).map_err(text)?;
            start.wait();
            let begin = Instant::now();
            for _ in 0..total {
                let item = loop {
                    match next() {
                        Some(item) => break item,
                        None => spin_loop(),
                    }
                };
                black_box(&item.0);
            }
            Ok(begin.elapsed().as_secs_f64() * 1e9 / f64::from(total))
        });
        consumer
            .join()
            .map_err(|_| String::from("a thread panicked"))?
    })
}
