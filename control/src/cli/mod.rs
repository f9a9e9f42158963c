//! The command line: one file a verb.
//!
//! Exit status 0 says that all went well, 1 that a run failed, 2 that the request itself cannot
//! be carried out: then one sentence on standard error says what mends it, and nothing was begun.

mod bench;
mod demo;
mod endpoint;
mod engine;
mod engine_socket;
pub(crate) mod exec;
mod lab;
mod limits;
mod link;
mod monitor;
pub(crate) mod output;
mod port;
mod set;
mod show;
pub mod size;
mod stats;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// A user-space Multipath TCP engine.
#[derive(Debug, Parser)]
#[command(name = "braid", version, about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::DemoArguments),
    Bench(bench::BenchArguments),
    Engine(engine::EngineArguments),
    Lab(lab::LabArguments),
    Show(show::ShowArguments),
    Endpoint(endpoint::EndpointArguments),
    Limits(limits::LimitsArguments),
    Set(set::SetArguments),
    Stats(stats::StatsArguments),
    Monitor(monitor::MonitorArguments),
    Exec(exec::ExecArguments),
}

/// Why the program ends with a status other than 0.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request cannot be carried out as it stands; nothing was begun. Exit status 2.
    #[error("{0}")]
    Configuration(String),
    /// What was begun did not end well. Exit status 1.
    #[error("{0}")]
    Run(String),
    /// The same, and the report has said so already. Exit status 1.
    #[error("a run failed")]
    Reported,
    /// A program of the user's ended with this status, which is passed on.
    #[error("the command ended with status {0}")]
    Program(u8),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::from(2),
            Self::Run(_) | Self::Reported => ExitCode::from(1),
            Self::Program(status) => ExitCode::from(*status),
        }
    }
}

/// Runs the program with the arguments of the process.
///
/// Call it from the main thread before any other is started.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let result = guarded(|| match arguments.verb {
        Verb::Demo(arguments) => demo::run(arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Engine(arguments) => engine::run(&arguments),
        Verb::Lab(arguments) => lab::run(arguments),
        Verb::Show(arguments) => show::run(&arguments),
        Verb::Endpoint(arguments) => endpoint::run(arguments),
        Verb::Limits(arguments) => limits::run(&arguments),
        Verb::Set(arguments) => set::run(arguments),
        Verb::Stats(arguments) => stats::run(&arguments),
        Verb::Monitor(arguments) => monitor::run(&arguments),
        Verb::Exec(arguments) => exec::run(&arguments),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Reported | Failure::Program(_)) {
                eprintln!("braid: {failure}");
            }
            failure.exit_code()
        }
    }
}

/// Runs a verb; a panic in it, which has been told on standard error already, is a run that failed.
fn guarded(verb: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    // Nothing that the verb may have left half changed is looked at afterwards.
    catch_unwind(AssertUnwindSafe(verb)).unwrap_or(Err(Failure::Reported))
}

/// Prints help where it was asked for, and otherwise what is wrong in a single sentence.
fn explain(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        error.exit();
    }
    let text = error.render().to_string();
    let sentence: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    let sentence = sentence.join(" ");
    let sentence = sentence.trim_start_matches("error: ");
    eprintln!("braid: {sentence}; `braid --help` lists what can be asked for");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_run_that_failed() {
        let result = guarded(|| panic!("as the test asks"));
        assert!(matches!(result, Err(Failure::Reported)), "{result:?}");
        assert!(guarded(|| Ok(())).is_ok());
    }
}
