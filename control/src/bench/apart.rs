//! Workloads in processes of their own: some ports can be opened once in a process only.

use std::env;
use std::io;
use std::process::{Command, Stdio};

use super::machine::Surroundings;
use super::report::{Entry, Measured, Report};
use super::{BenchError, Plan, Workload};

/// The option by which this program is told to measure one workload, whose number in the plan follows, and to
/// print what came of it as JSON.
pub const PART: &str = "--part";

/// Measures as [`super::run`] does, each workload in a process of this program with its own arguments and
/// [`PART`].
pub fn run_apart(plan: &Plan, mut progress: impl FnMut(&Workload)) -> Report {
    let surroundings = Surroundings::before();
    let measured = plan.workloads.iter().enumerate().map(|(part, workload)| {
        progress(workload);
        let result = measure(part).unwrap_or_else(|error| Measured::Failed {
            failed: error.to_string(),
        });
        Entry {
            workload: workload.clone(),
            result,
        }
    });
    let measured = measured.collect();
    Report::new(plan, measured, surroundings)
}

fn measure(part: usize) -> Result<Measured, BenchError> {
    let failed = |error: io::Error| BenchError::System {
        what: "cannot start a process for the workload",
        source: error,
    };
    let output = Command::new(env::current_exe().map_err(failed)?)
        .args(env::args_os().skip(1))
        .arg(PART)
        .arg(part.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    let told = String::from_utf8_lossy(&output.stdout);
    let told = told.lines().last().unwrap_or_default();
    serde_json::from_str(told).map_err(|_| {
        let status = output.status;
        BenchError::Impossible(format!("its process told nothing and ended with {status}"))
    })
}
