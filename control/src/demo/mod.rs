//! `braid demo`: real data between the engine and Linux over several links.

mod bars;
pub mod baseline;
pub mod capture;
mod linux;
mod plan;
mod report;
pub mod supervision;

use std::io;

pub use plan::{LinuxPlan, PeerChoice, Plan, PortKind};
pub use report::{Report, Role};

use crate::lab::LabError;

/// Why a demonstration could not run, or did not run through.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// It cannot be done on this machine as asked; nothing was begun.
    #[error("{0}")]
    Refused(String),
    /// The namespaces and links could not be made.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A side of a transfer ended early.
    #[error("{what}: {source}")]
    Transfer {
        /// Which side.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl DemoError {
    /// Says `what` failed with an error of the system.
    pub fn transfer(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Transfer { what, source }
    }
}

/// Runs.
pub fn run(plan: &Plan) -> Result<Report, DemoError> {
    crate::lab::isolation::leave_host_network()?;
    let bars = bars::Bars::new(plan.show_progress);
    let baseline = baseline::measure(plan, crate::stream::Stream::new(1, plan.bytes), &bars)?;
    Ok(Report::new(
        report::Peer::Linux,
        report::Expected {
            runs: 0,
            bytes: plan.bytes,
            fallback: false,
        },
        Vec::new(),
        Some(baseline),
    ))
}
