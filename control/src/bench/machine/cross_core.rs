//! What it costs to pass a line of cache from one core to another. Virtual machines change between
//! a near and a far mode, and figures of the two must not be mixed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Hand-overs of one sample, there and back: few, so that some samples fall between two turns of whatever else the
/// machine does.
const HAND_OVERS: u32 = 500;

/// Samples at most; the least disturbed of them is told.
const SAMPLES: usize = 400;

/// When no more samples are taken: on a busy machine each waits for turns of its threads.
const LONGEST: Duration = Duration::from_secs(1);

/// Instead of a turn: there are no more.
const OVER: u64 = u64::MAX;

#[repr(align(128))]
struct Line(AtomicU64);

/// More than this no machine takes: the threads were never at work at the same time.
const BUSY: f64 = 2_000.0;

/// Nanoseconds for one hand-over of a line between two cores; `None` when this process may use
/// only one, or the machine is too busy to tell.
pub fn cross_core_nanoseconds() -> Option<f64> {
    let [first, second] = two_processors()?;
    Some(least(first, second)).filter(|cost| *cost < BUSY)
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

/// The least nanoseconds of all samples.
fn least(first: usize, second: usize) -> f64 {
    let line = &Line(AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            stay_on(second);
            answer(line);
        });
        let timed = scope.spawn(|| {
            stay_on(first);
            let least = ask(line);
            line.0.store(OVER, Ordering::Release);
            least
        });
        timed.join().unwrap_or(f64::NAN)
    })
}

/// Answers each odd number with the next.
fn answer(line: &Line) {
    let mut turn = 1;
    loop {
        match line.0.load(Ordering::Acquire) {
            OVER => return,
            number if number == turn => {
                line.0.store(turn + 1, Ordering::Release);
                turn += 2;
            }
            _ => std::hint::spin_loop(),
        }
    }
}

fn ask(line: &Line) -> f64 {
    let begun = Instant::now();
    let (mut turn, mut least) = (0, f64::INFINITY);
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..HAND_OVERS / 2 {
            line.0.store(turn + 1, Ordering::Release);
            turn += 2;
            while line.0.load(Ordering::Acquire) != turn {
                std::hint::spin_loop();
            }
        }
        least = least.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(HAND_OVERS));
        if begun.elapsed() > LONGEST {
            break;
        }
    }
    least
}
