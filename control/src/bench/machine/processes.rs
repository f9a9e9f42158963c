//! How often processes slept: context switches that they asked for.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};

/// Sleeps of all threads that this process has and had.
pub fn sleeps_of_this() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    usage.map_or(0, |usage| {
        u64::try_from(usage.voluntary_context_switches()).unwrap_or(0)
    })
}

/// Sleeps of the threads that another process has now.
pub fn sleeps_of(process: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return 0;
    };
    let of_thread = |folder: std::path::PathBuf| -> Option<u64> {
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let line = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt_switches"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    threads
        .flatten()
        .filter_map(|entry| of_thread(entry.path()))
        .sum()
}
