//! A whole run drawn from a seed: two hosts, some links, faults, programs, and what must hold.

mod build;
mod draw;
mod memory;
mod report;
mod run;
mod session;
mod violation;

pub use report::Report;
pub use run::run;
pub use violation::{Side, Violation};

use super::application::Ending;
use super::host::PostConfig;
use super::link::{Chance, LinkConfig};
use super::middlebox::Kind;
use crate::congestion::ControllerKind;
use crate::mptcp::scheduler::Scheduler;
use crate::stack::Steering;
use crate::time::{Duration, Instant};
use core::net::IpAddr;

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
    /// A host removes the endpoint of a link, and with it its subflows there.
    Withdraw {
        /// Which host.
        side: Side,
        /// Index of the link.
        link: usize,
    },
    /// All links are cut for good: each host sees the other vanish.
    Vanish,
}

impl Fault {
    /// True when the fault leaves a link as a path that works. Under heavy loss a connection may
    /// time out.
    fn spares(&self, index: usize) -> bool {
        match self {
            Self::Change { link, config } => *link != index || config.loss < Chance::percent(10),
            Self::Cut { link, .. } | Self::Restore { link, .. } | Self::Withdraw { link, .. } => {
                *link != index
            }
            Self::Vanish => false,
        }
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

/// The workers of a host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct WorkersPlan {
    /// How they share flows.
    pub steering: Steering,
    /// How they are joined.
    pub post: PostConfig,
    /// Further subflows go to the workers in turn; otherwise those of this side stay at home.
    pub spread: bool,
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
    /// How late messages between a subflow and its home on the same worker are.
    pub message_delay: Option<(Duration, Duration)>,
    /// The workers that share its flows; `None` for a single one.
    pub workers: Option<WorkersPlan>,
    /// Bytes of the frames of its pools: large ones take several segments.
    pub frame_capacity: usize,
}

/// How both ends of the connections send.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Which subflow carries the next bytes.
    pub scheduler: Scheduler,
    /// Congestion controller of the subflows.
    pub congestion: ControllerKind,
    /// On how many subflows each byte goes out.
    pub redundancy: Option<u8>,
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
    /// How far apart the hosts look at what came in, so that it comes in bursts; `None` for at once.
    pub moderation: Option<Duration>,
    /// The connections.
    pub connections: Vec<ConnectionPlan>,
    /// What happens when, in order.
    pub faults: Vec<(Instant, Fault)>,
    /// How the hosts send at first, client and server.
    pub policies: [Policy; 2],
    /// What a host goes over to on its connections, and when, in order.
    pub switches: Vec<(Instant, Side, Policy)>,
}

impl Scenario {
    /// True when on link number `index` nothing stands in the way, to the end, but what TCP is
    /// made for: loss, delay, reordering, duplication, corruption. A connection that begins there,
    /// or has come to have a subflow there, arrives whole whatever happens on other links.
    pub fn lasts(&self, index: usize) -> bool {
        let link = self.links.get(index);
        link.is_some_and(|link| link.middleboxes.is_empty())
            && self.faults.iter().all(|(_, fault)| fault.spares(index))
    }

    /// The link that an address of either host is on.
    pub fn link_of(&self, address: IpAddr) -> Option<usize> {
        let has = |(index, link): (usize, &LinkPlan)| {
            Side::BOTH
                .iter()
                .any(|side| build::address(link, index, *side) == address)
        };
        self.links.iter().enumerate().position(has)
    }

    /// True when both hosts speak MPTCP.
    pub fn is_multipath(&self) -> bool {
        self.client.multipath && self.server.multipath
    }

    /// True when a middlebox changes payload: then bytes are vouched for by checksums only.
    pub fn edits_payload(&self) -> bool {
        let boxes = self.links.iter().flat_map(|link| &link.middleboxes);
        boxes
            .into_iter()
            .any(|kind| matches!(kind, Kind::EditPayload { .. }))
    }
}
