//! What the machine is like while something is measured.

mod cross_core;
mod processes;
mod surroundings;

use std::fs;

pub use cross_core::cross_core_nanoseconds;
pub use processes::{sleeps_of, sleeps_of_this};
pub use surroundings::{CrossCore, Machine, Surroundings};

/// How many threads ran or wanted to, on average of the last minute.
pub fn busy_threads() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The name of its processor.
pub fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::cross_core_nanoseconds;

    #[test]
    fn a_line_takes_longer_than_a_cycle() {
        if let Some(nanoseconds) = cross_core_nanoseconds() {
            assert!(nanoseconds > 0.1, "{nanoseconds} ns");
        }
    }
}
