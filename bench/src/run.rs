//! The rounds: in each, every load goes over every contender once, one after the other.

use crate::contender::process::{Failure, Processes};
use crate::contender::{Contender, Measured, Task};
use crate::load::{Load, Pace};
use crate::report::{Absence, Case, Report, Surroundings};

/// What is to be measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// How often.
    pub rounds: u32,
    /// What is done, and how its applications wait.
    pub loads: Vec<(Load, Pace)>,
    /// Over what.
    pub contenders: Vec<Contender>,
    /// What the engine's worker does in front of sleeping applications, as `idle` in its
    /// configuration; `None` for the usual.
    pub idle: Option<String>,
}

/// Measures all of it; `progress` hears before each round which one it is.
///
/// # Errors
///
/// What went wrong in the first measurement that failed.
pub fn run(plan: &Plan, mut progress: impl FnMut(u32)) -> Result<Report, String> {
    let processes = Processes::new(plan.idle.clone())
        .map_err(|error| format!("cannot prepare the processes: {error}"))?;
    let mut contenders = Vec::new();
    let mut absent = Vec::new();
    for &contender in &plan.contenders {
        match processes.look_for(contender) {
            Ok(()) => contenders.push(contender),
            Err(reason) => absent.push(Absence { contender, reason }),
        }
    }
    let surroundings = Surroundings::before();
    let mut runs: Vec<Vec<Vec<Measured>>> =
        vec![vec![Vec::new(); contenders.len()]; plan.loads.len()];
    for round in 1..=plan.rounds {
        progress(round);
        for (&(load, pace), of_load) in plan.loads.iter().zip(&mut runs) {
            for (&contender, of_contender) in contenders.iter().zip(of_load) {
                let task = Task {
                    load,
                    pace,
                    contender,
                };
                let measured = processes.measure(task).map_err(|failure| match failure {
                    Failure::Absent(reason) | Failure::Failed(reason) => reason,
                })?;
                of_contender.push(measured);
            }
        }
    }
    let (machine, cross_core_nanoseconds) = surroundings.after();
    let cases = plan.loads.iter().zip(runs);
    Ok(Report {
        rounds: plan.rounds,
        machine,
        cross_core_nanoseconds,
        cases: cases
            .map(|(&(load, pace), runs)| {
                Case::new(load, pace, contenders.iter().copied().zip(runs))
            })
            .collect(),
        absent,
    })
}
