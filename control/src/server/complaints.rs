//! Lines of log that strangers can cause: as many as help, and no more.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// So many lines in each [`INTERVAL`].
const LINES: u32 = 10;

/// How long the count of lines lasts.
const INTERVAL: Duration = Duration::from_secs(10);

/// Counts lines, and leaves out those beyond.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Complaints {
    /// Writes a line to the log, unless there were too many of late.
    pub(super) fn say(&mut self, line: impl Display) {
        let now = Instant::now();
        if self.since.is_none_or(|since| now - since >= INTERVAL) {
            if self.left_out > 0 {
                eprintln!("braid: {} lines like these were left out", self.left_out);
            }
            *self = Self {
                since: Some(now),
                ..Self::default()
            };
        }
        if self.lines < LINES {
            self.lines += 1;
            eprintln!("braid: {line}");
        } else {
            self.left_out += 1;
        }
    }
}
