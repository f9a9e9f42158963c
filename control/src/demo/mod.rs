//! `braid demo`: real data between the engine and Linux over several links.

pub mod baseline;
pub mod supervision;

use std::io;

use crate::lab::LabError;

/// Why a demonstration could not run, or did not run through.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The namespaces and links could not be made.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A side of a transfer ended early.
    #[error("{what}: {source}")]
    Transfer {
        /// Which side.
        what: String,
        /// Why.
        source: io::Error,
    },
}
