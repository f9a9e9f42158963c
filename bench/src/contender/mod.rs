//! What a load is run over. Each run is a process of its own, and where sockets of the engine are
//! concerned beside a process with the engine: [`process`] starts them, the other modules are what
//! happens in them.

mod engine;
mod kernel;
pub mod links;
pub mod part;
pub mod process;
pub mod programs;
pub mod serve;
mod sockets;
mod worker;

use std::io;

use serde::{Deserialize, Serialize};

use crate::load::{Load, Outcome, Pace};
use crate::machine;

/// What stands between the two applications.
#[derive(
    Copy,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Contender {
    /// The engine's own API: the applications are part of its worker.
    Engine,
    /// Sockets over shared memory.
    Sockets,
    /// Sockets over shared memory, of a program that believes them to be the kernel's.
    BraidExec,
    /// Linux's Multipath TCP over its loopback.
    LinuxMptcp,
    /// Linux's TCP over its loopback.
    LinuxTcp,
}

impl Contender {
    /// All, in the order in which they take turns.
    pub const ALL: [Self; 5] = [
        Self::Engine,
        Self::Sockets,
        Self::BraidExec,
        Self::LinuxMptcp,
        Self::LinuxTcp,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Sockets => "sockets",
            Self::BraidExec => "braid exec",
            Self::LinuxMptcp => "Linux MPTCP",
            Self::LinuxTcp => "Linux TCP",
        }
    }

    /// Whether its sockets are those of an engine in another process.
    pub fn needs_engine(self) -> bool {
        matches!(self, Self::Sockets | Self::BraidExec)
    }
}

/// What one process is asked to measure.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Task {
    /// What is done.
    pub load: Load,
    /// How its applications wait. The engine's own never do.
    pub pace: Pace,
    /// Over what.
    pub contender: Contender,
}

/// What one process has measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// The figures.
    pub outcome: Outcome,
    /// How often its threads slept, from its beginning to its end.
    pub sleeps: u64,
}

impl Task {
    /// Does it, in this process.
    ///
    /// # Errors
    ///
    /// When there is no connection, or it ends early.
    pub fn run(self) -> io::Result<Measured> {
        let outcome = match self.contender {
            Contender::Engine => worker::run(self.load),
            Contender::Sockets => sockets::run(self),
            Contender::BraidExec => kernel::run(self, kernel::Protocol::Tcp, engine::ADDRESS),
            Contender::LinuxMptcp => kernel::run(self, kernel::Protocol::Mptcp, kernel::LOOPBACK),
            Contender::LinuxTcp => kernel::run(self, kernel::Protocol::Tcp, kernel::LOOPBACK),
        }?;
        Ok(Measured {
            outcome,
            sleeps: machine::sleeps_of_this(),
        })
    }
}
