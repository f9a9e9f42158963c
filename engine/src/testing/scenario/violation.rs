//! The promises that a run may break, and the hosts that break them.

use crate::mptcp::message::FallbackReason;
use crate::socket::SocketError;
use crate::testing::application;

/// One of the two hosts.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Side {
    /// The host that connects.
    Client,
    /// The host that listens.
    Server,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];
}

/// A promise that a run broke.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    /// A program read something else than its peer wrote.
    Stream {
        /// Index of the connection.
        connection: usize,
        /// Who read.
        reader: Side,
        /// What was wrong.
        violation: application::Violation,
    },
    /// Nothing moved for too long.
    Stuck {
        /// Index of the connection.
        connection: usize,
        /// What the two hosts know of it.
        known: String,
    },
    /// A connection failed though a path that works led from end to end.
    Failed {
        /// Index of the connection.
        connection: usize,
        /// Where it failed.
        side: Side,
        /// How.
        error: SocketError,
    },
    /// A connection fell back to TCP though nothing stood in the way of MPTCP, or past the point
    /// where that is legal.
    FellBack {
        /// Index of the connection.
        connection: usize,
        /// Why, as the host says.
        reason: FallbackReason,
    },
    /// A host held more memory than its windows and queues admit.
    Memory {
        /// Which host.
        side: Side,
        /// What it held, and the bound.
        held: String,
    },
    /// A host still holds connections or memory of connections that are over.
    Leak {
        /// Which host.
        side: Side,
        /// What it holds.
        held: String,
    },
}
