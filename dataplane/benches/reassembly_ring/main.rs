//! What a letter costs from workers to a worker: our rings, one for each pair, beside what all producers
//! share: crossbeam's `ArrayQueue`, and a ring in which they reserve places for their batches.
//!
//! The consumer has a core of its own, producers share the others. Rounds are interleaved, and what is
//! told at the end are medians over the rounds and the ratios within a round, apart for the two modes that
//! a virtual machine may be in ([`Mode`]): what began in one and ended in the other does not count.

#[expect(unreachable_pub, reason = "it is made for a library")]
#[path = "../../../control/src/bench/machine/cross_core.rs"]
mod cross_core;
mod reserving;
mod stage;

use std::cell::RefCell;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use braid_dataplane::reassembly_ring::{Bell, mailbox};
use criterion::{Criterion, Throughput};
use cross_core::cross_core_nanoseconds;
use crossbeam_queue::ArrayQueue;
use stage::{Item, Load, Mute, on_stage, produce};

const ROUNDS: usize = 7;
const PRODUCERS: [usize; 4] = [1, 2, 3, 4];
const BATCHES: [u64; 2] = [1, 32];

/// Places for the items of each producer.
const CAPACITY: usize = 256;

/// Items of each producer in one sample at least, so that what threads cost is little beside them.
const ITEMS: u64 = 100_000;

/// The time it takes until all items came.
type Contender = fn(Load) -> Duration;

const CONTENDERS: [(&str, Contender); 3] = [
    ("pairs", pairs),
    ("ArrayQueue", array_queue),
    ("reserving", reserving),
];

fn pairs(load: Load) -> Duration {
    let (mut inbox, outboxes) = mailbox(Mute, load.producers, CAPACITY);
    let producers = outboxes.into_iter().map(|mut outbox| {
        move || produce(load, &mut outbox, |to, item| to.send(item), |to| to.flush())
    });
    on_stage(load, producers.collect(), move || inbox.receive())
}

fn array_queue(load: Load) -> Duration {
    let queue = &ArrayQueue::new(CAPACITY * load.producers);
    let producers = (0..load.producers).map(|_| {
        move || {
            // As a producer has to that looks whether the consumer sleeps.
            let flush = |_: &mut &ArrayQueue<Item>| fence(Ordering::SeqCst);
            produce(load, &mut { queue }, |to, item| to.push(item), flush);
        }
    });
    on_stage(load, producers.collect(), || queue.pop())
}

fn reserving(load: Load) -> Duration {
    let (mut consumer, producers) = reserving::ring(load.producers, CAPACITY * load.producers);
    let producers = producers.into_iter().map(|mut producer| {
        move || {
            produce(
                load,
                &mut producer,
                |to, item| to.push(item),
                |to| to.flush(),
            );
        }
    });
    on_stage(load, producers.collect(), move || consumer.pop())
}

/// How far the two cores are from each other.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Mode {
    Near,
    Far,
}

impl Mode {
    fn now() -> Option<Self> {
        let cost = cross_core_nanoseconds()?;
        Some(if cost < 70.0 { Self::Near } else { Self::Far })
    }
}

/// Nanoseconds for an item of each contender, one after the other.
struct Measured {
    producers: usize,
    batch: u64,
    mode: Option<Mode>,
    figures: [Option<f64>; CONTENDERS.len()],
}

fn measure(criterion: &mut Criterion, number: usize, producers: usize, batch: u64) -> Measured {
    let mut group = criterion.benchmark_group(format!("{producers} producers, batch {batch}"));
    group.throughput(Throughput::Elements(producers as u64));
    let before = Mode::now();
    let figures = CONTENDERS.map(|(name, run)| {
        let samples = RefCell::new(Vec::new());
        group.bench_function(format!("{name}, round {number}"), |bencher| {
            bencher.iter_custom(|iterations| {
                let each = iterations.max(ITEMS);
                let load = Load {
                    producers,
                    batch,
                    each,
                };
                let time = run(load).as_secs_f64() / each as f64;
                samples.borrow_mut().push(time * 1e9 / producers as f64);
                Duration::from_secs_f64(time * iterations as f64)
            });
        });
        let mut samples = samples.into_inner();
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied()
    });
    group.finish();
    Measured {
        producers,
        batch,
        mode: before.filter(|before| Mode::now() == Some(*before)),
        figures,
    }
}

/// The median with the extremes.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    match &values[..] {
        [] => "-".into(),
        [first, .., last] => format!("{:.1} ({first:.1} to {last:.1})", values[values.len() / 2]),
        [only] => format!("{only:.1}"),
    }
}

fn tell(rounds: &[Measured], mode: Mode) {
    println!("{mode:?}; nanoseconds an item, and the ratio to the pairs");
    for producers in PRODUCERS {
        for batch in BATCHES {
            let here: Vec<_> = rounds
                .iter()
                .filter(|round| {
                    round.mode == Some(mode) && round.producers == producers && round.batch == batch
                })
                .collect();
            for (index, (name, _)) in CONTENDERS.iter().enumerate() {
                let times = here.iter().filter_map(|round| round.figures[index]);
                let ratios = here
                    .iter()
                    .filter_map(|round| Some(round.figures[index]? / round.figures[0]?));
                println!(
                    "{producers} x {batch}, {name}: {}; {}; {} rounds",
                    spread(times.collect()),
                    spread(ratios.collect()),
                    here.len()
                );
            }
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(10))
        .measurement_time(Duration::from_millis(100))
        .without_plots()
        .configure_from_args();
    let mut rounds = Vec::new();
    for number in 0..ROUNDS {
        for producers in PRODUCERS {
            for batch in BATCHES {
                rounds.push(measure(&mut criterion, number, producers, batch));
            }
        }
    }
    tell(&rounds, Mode::Near);
    tell(&rounds, Mode::Far);
}
