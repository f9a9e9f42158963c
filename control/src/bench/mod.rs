//! `braid bench`: what the engine does on this machine over links of the kind that was asked for.
//!
//! A [`Plan`] names the links and the [`Workload`]s. Each workload is a file of [`workload`]: it makes
//! its hosts afresh, puts a client on each worker of ours (`driver`), has the far host serve it
//! (`server` on an engine, `linux_server` on the kernel), and says what came of it.

mod apart;
mod arrivals;
mod driver;
mod hosts;
mod latencies;
mod linux_pair;
mod linux_server;
pub mod machine;
mod plan;
pub mod report;
mod schedule;
mod server;
mod spread;
pub mod workload;

use std::io;

use braid_engine::socket::SocketError;

pub use apart::{PART, run_apart};
pub use latencies::{Latencies, Latency};
pub use linux_pair::LinuxPair;
pub use plan::{FarHost, Links, Plan};
pub use report::Report;
pub use spread::Spread;
pub use workload::Workload;

use crate::demo::{self, DemoError};
use crate::lab::LabError;
use machine::Surroundings;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The hosts or the links between them could not be made.
    #[error(transparent)]
    Hosts(#[from] DemoError),
    /// The engine refused, or ended a connection.
    #[error("{what}: {source}")]
    Engine {
        /// What was asked of it.
        what: &'static str,
        /// Its answer.
        source: SocketError,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What it was for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The workload did not come to its end in time.
    #[error("{0}; give it longer with --seconds, or fewer --connections")]
    TooSlow(&'static str),
    /// It cannot be measured over these links.
    #[error("{0}")]
    Impossible(String),
}

impl From<LabError> for BenchError {
    fn from(error: LabError) -> Self {
        Self::Hosts(error.into())
    }
}

impl BenchError {
    fn engine(what: &'static str) -> impl FnOnce(SocketError) -> Self {
        move |source| Self::Engine { what, source }
    }

    fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System {
            what,
            source: source.into(),
        }
    }
}

/// Leaves the machine's network, which workloads with Linux take.
///
/// Call it before the process has a second thread: it may enter a user namespace.
///
/// # Errors
///
/// When the machine does not allow namespaces, or has no Multipath TCP.
pub fn isolate() -> Result<(), BenchError> {
    Ok(demo::isolate()?)
}

/// Measures what `plan` asks for; `progress` hears of each workload before it begins.
///
/// Call it before the process has a second thread: it may enter a user namespace.
///
/// # Errors
///
/// When the machine does not allow the namespaces that these links take. What goes wrong with a single
/// workload stands in the report.
pub fn run(plan: &Plan, mut progress: impl FnMut(&Workload)) -> Result<Report, BenchError> {
    if let FarHost::Linux(_) = plan.links.far {
        isolate()?;
    }
    let surroundings = Surroundings::before();
    let mut results = Vec::new();
    for workload in &plan.workloads {
        progress(workload);
        results.push(report::Entry::new(
            workload,
            workload.measure(&plan.links, plan.time),
        ));
    }
    Ok(Report::new(plan, results, surroundings))
}
