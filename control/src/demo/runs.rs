//! All runs of a demonstration, whoever is at the other end.

use braid_dataplane::port::pcap::Capture;

use super::DemoError;
use super::bars::Bars;
use super::plan::Plan;
use super::report::{Expected, Measured, Peer, Report, RunReport, Task};
use crate::peer::Activity;

/// What all runs of a demonstration have in common.
pub(super) struct Series<'a> {
    /// What was asked for.
    pub(super) plan: &'a Plan,
    /// Who is at the other end.
    pub(super) peer: Peer,
    /// Whether it speaks nothing but plain TCP.
    pub(super) fallback: bool,
    /// Linux to Linux, in bits a second.
    pub(super) baseline: Option<u64>,
    /// Where progress and complaints are shown.
    pub(super) bars: &'a Bars,
    /// The captures of the links.
    pub(super) captures: &'a [Capture],
}

impl Series<'_> {
    /// Makes every run by `run`, and brings the captures up to date.
    ///
    /// A run that fails is complained of, and reported as one in which nothing arrived. A capture
    /// that could not be written spoils the report: what was asked for is not there.
    pub(super) fn make(&self, mut run: impl FnMut(Task) -> Result<Measured, DemoError>) -> Report {
        let runs = self.plan.tasks().map(|task| {
            let measured = run(task).unwrap_or_else(|error| {
                self.bars.complain(&format!("{}: {error}", task.describe()));
                Measured::default()
            });
            RunReport::new(task, &measured)
        });
        let expected = Expected {
            runs: self.plan.tasks().count(),
            bytes: self.plan.bytes,
            fallback: self.fallback,
        };
        let mut report = Report::new(self.peer, expected, runs.collect(), self.baseline);
        for capture in self.captures {
            if let Err(error) = capture.finish() {
                self.bars.complain(&error.to_string());
                report.ok = false;
            }
        }
        report
    }
}

/// What one side does in a run of `plan`.
pub(super) fn activity(plan: &Plan, sends: bool) -> Activity {
    if sends {
        Activity::Send(plan.stream())
    } else {
        Activity::Receive
    }
}
