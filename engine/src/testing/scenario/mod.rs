//! A whole run drawn from a seed: two hosts, some links, faults, programs, and what must hold.

mod draw;
mod run;

pub use run::{Report, Violation, run};

use super::application::Ending;
use super::link::{Chance, LinkConfig};
use super::middlebox::Kind;
use crate::time::{Duration, Instant};

/// What happens at one point in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A link stops carrying frames; the hosts are told only if `carrier` is set.
    Cut {
        /// Index of the link.
        link: usize,
        /// The hosts see the link go down.
        carrier: bool,
    },
    /// The link carries frames again.
    Restore {
        /// Index of the link.
        link: usize,
        /// The hosts see the link come up.
        carrier: bool,
    },
    /// The link behaves otherwise in both directions.
    Change {
        /// Index of the link.
        link: usize,
        /// How.
        config: LinkConfig,
    },
    /// All links are cut for good: each host sees the other vanish.
    Vanish,
}

impl Fault {
    /// True for a spike of delay; under heavy loss even the search for a neighbour may fail.
    fn is_benign(&self) -> bool {
        matches!(self, Self::Change { config, .. } if config.loss < Chance::percent(10))
    }
}

/// One link of a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkPlan {
    /// The link has IPv6 addresses, otherwise IPv4.
    pub ipv6: bool,
    /// How it behaves, client to server and back.
    pub config: [LinkConfig; 2],
    /// What sits on it.
    pub middleboxes: Vec<Kind>,
}

/// One connection of a scenario.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ConnectionPlan {
    /// Bytes from client to server.
    pub upload: u64,
    /// Bytes from server to client.
    pub download: u64,
    /// How the client ends.
    pub client: Ending,
    /// How the server ends.
    pub server: Ending,
    /// When the client connects.
    pub start: Instant,
}

/// Who tells of further addresses, and who joins them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PathPlan {
    /// Nobody: one subflow.
    Single,
    /// The server signals its addresses, the client joins from its own.
    ServerSignals,
    /// The client signals its addresses, the server joins from its own.
    ClientSignals,
    /// Both signal and both join.
    Both,
}

/// A host of a scenario.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct HostPlan {
    /// MPTCP is on.
    pub multipath: bool,
    /// DSS checksums are asked for.
    pub checksum: bool,
    /// Send and receive buffer in bytes.
    pub buffer: u32,
    /// How late messages between a subflow and its home are.
    pub message_delay: Option<(Duration, Duration)>,
}

/// Everything that a run depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// The seed it was drawn from.
    pub seed: u64,
    /// The links.
    pub links: Vec<LinkPlan>,
    /// The host that connects.
    pub client: HostPlan,
    /// The host that listens.
    pub server: HostPlan,
    /// Who joins.
    pub paths: PathPlan,
    /// The connections.
    pub connections: Vec<ConnectionPlan>,
    /// What happens when, in order.
    pub faults: Vec<(Instant, Fault)>,
}

impl Scenario {
    /// True when nothing stands in the way but what TCP is made for: loss, delay, reordering,
    /// duplication, corruption. Then every stream arrives whole.
    pub fn is_benign(&self) -> bool {
        self.links.iter().all(|link| link.middleboxes.is_empty())
            && self.faults.iter().all(|(_, fault)| fault.is_benign())
    }

    /// True when a middlebox changes payload: then bytes are vouched for by checksums only.
    pub fn edits_payload(&self) -> bool {
        let boxes = self.links.iter().flat_map(|link| &link.middleboxes);
        boxes
            .into_iter()
            .any(|kind| matches!(kind, Kind::EditPayload { .. }))
    }

    /// True when in the end no path is left.
    pub fn vanishes(&self) -> bool {
        self.faults.iter().any(|(_, fault)| *fault == Fault::Vanish)
    }
}
