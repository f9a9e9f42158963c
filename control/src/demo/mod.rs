//! `braid demo`: real data between the engine and Linux over several links.

mod application;
mod bars;
pub mod baseline;
pub mod capture;
#[cfg(feature = "dpdk")]
mod dpdk;
pub(crate) mod engine_host;
mod engine_runs;
mod engine_worker;
pub(crate) mod linux;
pub(crate) mod linux_host;
mod linux_runs;
mod measured;
mod plan;
pub(crate) mod ports;
mod report;
mod runs;
pub mod supervision;

use std::io;

use braid_dataplane::port::PortError;
use braid_engine::stack::ConfigError;

pub(crate) use plan::steering;
pub use plan::{LinuxPlan, MemoryLinks, PeerChoice, Plan, PortKind};
#[cfg(feature = "dpdk")]
pub use plan::{VirtualDevices, VirtualDriver};
pub use report::{Report, Role};

use crate::lab::LabError;
use crate::lab::isolation::leave_host_network;
use crate::lab::namespace::Namespace;
use crate::peer;

/// Why a demonstration could not run, or did not run through.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// It cannot be done on this machine as asked; nothing was begun.
    #[error("{0}")]
    Refused(String),
    /// The namespaces and links could not be made.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The engine's way to a link is barred.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The engine's way to all links is barred.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Dpdk(#[from] braid_dataplane::port::dpdk::DpdkError),
    /// The engine was told something that contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A system call of a transfer failed.
    #[error("{what}: {source}")]
    Transfer {
        /// What it was for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The engine ended the connection.
    #[error("the engine's side of the transfer failed: {0}")]
    Engine(String),
    /// The other side gave up first; it says why itself.
    #[error("the other side gave up")]
    OtherSide,
    /// No byte moved for too long.
    #[error("nothing moved for {} s", plan::PATIENCE.as_secs())]
    Stalled,
}

impl DemoError {
    /// Says `what` failed with an error of the system.
    pub(crate) fn transfer(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Transfer { what, source }
    }

    fn engine(error: impl std::fmt::Display) -> Self {
        Self::Engine(error.to_string())
    }

    /// What two sides of a transfer give, or the error that explains the other's.
    fn first_cause<A, B>(near: Result<A, Self>, far: Result<B, Self>) -> Result<(A, B), Self> {
        match (near, far) {
            (Ok(near), Ok(far)) => Ok((near, far)),
            (Err(Self::OtherSide), Err(cause)) | (Err(cause), _) | (_, Err(cause)) => Err(cause),
        }
    }
}

/// Makes the demonstration that `plan` describes.
///
/// Call it before the process has a second thread: it may enter a user namespace.
///
/// # Errors
///
/// When it cannot be done on this machine as asked; then no transfer was begun. Whatever goes
/// wrong later stands in the report.
pub fn run(plan: &Plan) -> Result<Report, DemoError> {
    match &plan.peer {
        PeerChoice::Engine(links) => engine_runs::run(plan, *links),
        PeerChoice::Linux(linux) => {
            isolate()?;
            linux_runs::run(plan, linux)
        }
        PeerChoice::LinuxIfAllowed => match isolate() {
            Ok(()) => linux_runs::run(plan, &LinuxPlan::default()),
            Err(refusal) => {
                eprintln!("braid: {refusal}; going on with two engines over links in memory");
                engine_runs::run(plan, MemoryLinks::default())
            }
        },
    }
}

/// Leaves the machine's network, and finds out whether Linux can be the peer.
pub(crate) fn isolate() -> Result<(), LabError> {
    leave_host_network()?;
    Namespace::create()?
        .run(peer::probe)?
        .map_err(|reason| LabError::NoMultipathTcp { reason })
}
