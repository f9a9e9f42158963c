//! Workers that spin on links in memory make no system call in the steady state, by strace.
//!
//! A test starts the other under strace. Each worker of that one marks the begin and the end of what is
//! looked at by a call that it makes nowhere else; so strace is seen to see what it should.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use braid_dataplane::worker::IdlePolicy;

use crate::host::Plan;
use crate::lab::{Lab, Seated};
use crate::load::End;

/// What a worker calls as a mark.
const MARK: &str = "getppid()";

/// How often, and how long, workers are looked at. One look must show no call: while others take the
/// cores away for long, timers fire and segments are lost, and that is no steady state.
const LOOKS: usize = 6;
const LOOK: Duration = Duration::from_secs(1);

const WORKERS: u8 = 2;

/// So small that they are soon full, whenever cores are taken away: then queues have their length.
const BUFFERS: u32 = 128 << 10;

/// What the threads know of each other.
#[derive(Default)]
struct Progress {
    /// Marks asked for of each worker, and made by all of them.
    wanted: AtomicUsize,
    made: AtomicUsize,
    /// Bytes that applications read.
    received: AtomicUsize,
    /// Letters that went from worker to worker.
    letters: AtomicUsize,
}

impl Progress {
    /// Runs a worker until it has made all marks.
    fn run(&self, mut seated: Seated) {
        let (mut marks, mut received) = (0, 0);
        while marks < 2 * LOOKS {
            let work = seated.worker.step();
            self.letters.fetch_add(work.letters, Ordering::Relaxed);
            if !seated.serve(work.now) {
                seated.worker.rest(work, None);
            }
            let total = seated.ends.iter().map(End::received).sum();
            self.received.fetch_add(total - received, Ordering::Relaxed);
            received = total;
            if self.wanted.load(Ordering::Relaxed) > marks {
                let _ = parent_id();
                marks += 1;
                self.made.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn mark(&self, workers: usize) {
        let marks = self.wanted.fetch_add(1, Ordering::Relaxed) + 1;
        while self.made.load(Ordering::Relaxed) < marks * workers {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the applications have read so many bytes more.
    fn wait_for(&self, bytes: usize) {
        let until = self.received.load(Ordering::Relaxed) + bytes;
        while self.received.load(Ordering::Relaxed) < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
#[ignore = "started by the other test, under strace"]
fn workers_that_mark_when_to_look() {
    let plan = Plan {
        idle: IdlePolicy::Spin,
        buffers: Some(BUFFERS),
        ..Plan::of(WORKERS)
    };
    let mut lab = Lab::new(plan, &[0, 1], usize::MAX);
    lab.fill_pools(2_000);
    let progress = Progress::default();
    thread::scope(|scope| {
        let workers: Vec<_> = lab.hosts.into_iter().flatten().collect();
        let count = workers.len();
        for seated in workers {
            scope.spawn(|| progress.run(seated));
        }
        progress.wait_for(50_000_000);
        for _ in 0..LOOKS {
            progress.mark(count);
            let before = progress.letters.load(Ordering::Relaxed);
            thread::sleep(LOOK);
            progress.wait_for(100_000);
            // What is looked at includes letters from worker to worker.
            while progress.letters.load(Ordering::Relaxed) == before {
                thread::sleep(Duration::from_millis(1));
            }
            progress.mark(count);
        }
    });
}

/// For a thread, its calls in each look; `None` when it is no worker.
fn looks(trace: &str) -> Option<Vec<Vec<&str>>> {
    let mut parts = trace.split_inclusive('\n').collect::<Vec<_>>();
    parts.retain(|line| !line.starts_with("sched_yield") || !crowded());
    let parts = parts.split(|line| line.starts_with(MARK));
    let looks: Vec<_> = parts.skip(1).step_by(2).map(<[_]>::to_vec).collect();
    (looks.len() > 1).then_some(looks)
}

/// Workers that are more than the cores let each other run, which takes a call.
fn crowded() -> bool {
    thread::available_parallelism().map_or(1, usize::from) < usize::from(WORKERS)
}

#[test]
fn spinning_workers_make_no_system_call() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("system_calls");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("the directory can be made");
    let program = std::env::current_exe().expect("the test has a path");
    let status = Command::new("strace")
        .args(["-ff", "-qq", "-o"])
        .arg(directory.join("thread"))
        .arg(program)
        .args(["--exact", "system_calls::workers_that_mark_when_to_look"])
        .args(["--ignored", "--quiet"])
        .status();
    let status = match status {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let required = std::env::var("CI").as_deref() == Ok("true");
            assert!(!required, "strace is not installed: apt-get install strace");
            eprintln!("skipped spinning_workers_make_no_system_call: strace is not installed");
            return;
        }
        status => status.expect("strace starts"),
    };
    assert!(status.success(), "under strace: {status}");
    let files = fs::read_dir(&directory).expect("the traces are there");
    let traces: Vec<String> = files
        .map(|file| fs::read_to_string(file.expect("a name").path()).expect("a trace"))
        .collect();
    let workers: Vec<_> = traces.iter().filter_map(|trace| looks(trace)).collect();
    assert_eq!(workers.len(), 2 * usize::from(WORKERS), "all leave marks");
    assert!(workers.iter().all(|looks| looks.len() == LOOKS));
    let quiet = (0..LOOKS).any(|look| workers.iter().all(|looks| looks[look].is_empty()));
    assert!(quiet, "by worker and look: {workers:#?}");
}
