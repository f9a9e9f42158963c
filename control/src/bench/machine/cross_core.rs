//! What it costs to pass a line of cache from one core to another. Virtual machines change between
//! a near and a far mode, and figures of the two must not be mixed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Hand-overs of one sample.
const HAND_OVERS: u64 = 20_000;

/// Samples; the least disturbed of them is told.
const SAMPLES: usize = 9;

#[repr(align(128))]
struct Line(AtomicU64);

/// Nanoseconds for one hand-over of a line between two cores; `None` when this process may use
/// only one.
pub fn cross_core_nanoseconds() -> Option<f64> {
    let [first, second] = two_processors()?;
    let samples = (0..SAMPLES).map(|_| sample(first, second));
    samples.min_by(f64::total_cmp)
}

fn two_processors() -> Option<[usize; 2]> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let mut numbers =
        (0..CpuSet::count()).filter(|&number| allowed.is_set(number).unwrap_or(false));
    Some([numbers.next()?, numbers.next()?])
}

fn stay_on(processor: usize) {
    let mut set = CpuSet::new();
    // Where it cannot be, the sample is taken wherever the threads are.
    let _ = set.set(processor);
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}

fn sample(first: usize, second: usize) -> f64 {
    let line = Line(AtomicU64::new(0));
    let hand_over = |mine: u64| {
        let mut turn = mine;
        while turn < HAND_OVERS {
            while line.0.load(Ordering::Acquire) != turn {
                std::hint::spin_loop();
            }
            turn += 1;
            line.0.store(turn, Ordering::Release);
            turn += 1;
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            stay_on(second);
            hand_over(1);
        });
        let timed = scope.spawn(|| {
            stay_on(first);
            let start = Instant::now();
            hand_over(0);
            start.elapsed()
        });
        let time = timed.join().unwrap_or_default();
        time.as_secs_f64() * 1e9 / HAND_OVERS as f64
    })
}
