//! What a run came to.

use super::Violation;
use crate::time::Instant;
use core::fmt;

/// What a run came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Digest of every frame sent, with time and place.
    pub trace: u64,
    /// The virtual time at the end.
    pub ended: Instant,
    /// Bytes that programs read.
    pub bytes: u64,
    /// Connections that both ends saw end in order, with every byte.
    pub completed: usize,
    /// Connections that ended in a reported error.
    pub failed: usize,
    /// Connections that had to be whole, because a path that works led from end to end.
    pub protected: usize,
    /// Connections that fell back to TCP.
    pub fell_back: usize,
    /// Most subflows that a connection had at a time.
    pub most_subflows: usize,
    /// What should not have been.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "seed {} broke {} promises:",
            self.seed,
            self.violations.len()
        )?;
        for violation in &self.violations {
            match violation {
                Violation::Stuck { connection, known } => {
                    writeln!(formatter, "  Stuck {{ connection: {connection} }}: {known}")?;
                }
                other => writeln!(formatter, "  {other:?}")?,
            }
        }
        write!(
            formatter,
            "replay: cargo run --release -p braid-engine --features testing --example simulate -- {} 1",
            self.seed
        )
    }
}
