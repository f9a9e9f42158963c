//! Times and instruction counts of one run in one table.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use braid_bench::machine;
use serde_json::Value;

use crate::instructions::{self, Counted};

/// Arguments with which times are not taken, or not those of this run.
const WITHOUT_TIMES: [&str; 5] = [
    "--test",
    "--list",
    "--profile-time",
    "--load-baseline",
    "--help",
];

/// Where criterion keeps what it measured: beside the profile's folder that this program lies in.
pub(crate) fn folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let target = program.ancestors().nth(3).unwrap_or(Path::new("target"));
    target.join("criterion")
}

/// Counts instructions and prints them beside the medians, or says why there are none.
pub(crate) fn print() {
    let unasked = env::args().any(|argument| WITHOUT_TIMES.contains(&argument.as_str()));
    if unasked || instructions::is_counted() {
        return;
    }
    let counted = match instructions::count() {
        Ok(counted) => counted,
        Err(reason) => return println!("instruction counts: skipped, {reason}"),
    };
    if let (Some(processor), Some(busy)) = (machine::processor(), machine::busy_threads()) {
        println!("{processor}, {busy} threads busy\n");
    }
    println!("| an element, or a call with so many bytes | ns, median | instructions |");
    println!("|---|---:|---:|");
    for benchmark in &counted {
        let each = |value: f64| value / benchmark.elements as f64;
        let time = median(benchmark).map_or("?".into(), |time| format!("{:.1}", each(time)));
        let count = each(benchmark.instructions as f64);
        println!("| {} | {time} | {count:.0} |", benchmark.name);
    }
}

/// Nanoseconds of an iteration, as criterion wrote them down.
fn median(benchmark: &Counted) -> Option<f64> {
    let (group, name) = benchmark.name.split_once('/')?;
    let file = folder().join(group).join(name).join("new/estimates.json");
    let estimates: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}
