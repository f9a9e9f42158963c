//! What is to be measured, and over what.

use std::num::NonZeroU8;
use std::time::Duration;

use crate::demo::PortKind;

use super::Workload;

/// Who is at the far end of the links.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FarHost {
    /// A second engine in this process, over links in memory.
    Engine,
    /// Linux, in a namespace of its own, by ports of this kind.
    Linux(PortKind),
}

impl FarHost {
    /// Whether a process can reach it for one workload only: DPDK is started once in each.
    pub fn is_for_once(&self) -> bool {
        match self {
            #[cfg(feature = "dpdk")]
            Self::Linux(PortKind::Dpdk(_)) => true,
            _ => false,
        }
    }
}

/// The links, and what the hosts have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Links {
    /// Who is at the other end.
    pub far: FarHost,
    /// How many; 1 to 8.
    pub count: u8,
    /// Workers of each engine.
    pub workers: NonZeroU8,
    /// The largest IP packet on a link in bytes; 1,280 to 9,000.
    pub mtu: u16,
    /// Frames carry segments of up to 64 KiB, which whatever is behind the port cuts.
    pub large_segments: bool,
}

/// A measurement.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// Over what.
    pub links: Links,
    /// What is done, in this order.
    pub workloads: Vec<Workload>,
    /// How long each workload is measured.
    pub time: Duration,
}
