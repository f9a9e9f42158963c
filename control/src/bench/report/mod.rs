//! What came of all workloads: as JSON (the types themselves), as text, or as a page with
//! plots.

mod html;
mod plot;
mod text;

use serde::{Deserialize, Serialize};

use super::machine::{CrossCore, Machine, Surroundings};
use super::workload::Outcome;
use super::{BenchError, FarHost, Plan, Workload};
use crate::demo::PortKind;

/// All of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// What handing a line of cache to the other core cost.
    pub cross_core_nanoseconds: CrossCore,
    /// How our host reached the other.
    pub port: String,
    /// Links between them.
    pub links: u8,
    /// Workers of each engine.
    pub workers: u8,
    /// The largest IP packet in bytes.
    pub mtu: u16,
    /// Whether frames carried segments of up to 64 KiB.
    pub large_segments: bool,
    /// How long each workload was measured, about.
    pub seconds: f64,
    /// In the order in which they were asked for.
    pub workloads: Vec<Entry>,
}

/// What came of one workload.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// What was done.
    #[serde(flatten)]
    pub workload: Workload,
    /// The figures, or why there are none.
    #[serde(flatten)]
    pub result: Measured,
}

/// The figures, or why there are none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Measured {
    /// The figures.
    Done(Outcome),
    /// There are none.
    Failed {
        /// Why, and what mends it.
        failed: String,
    },
}

impl Entry {
    pub(super) fn new(workload: &Workload, result: Result<Outcome, BenchError>) -> Self {
        Self {
            workload: workload.clone(),
            result: match result {
                Ok(outcome) => Measured::Done(outcome),
                Err(error) => Measured::Failed {
                    failed: error.to_string(),
                },
            },
        }
    }
}

impl Report {
    pub(super) fn new(plan: &Plan, workloads: Vec<Entry>, surroundings: Surroundings) -> Self {
        let (machine, cross_core_nanoseconds) = surroundings.after();
        let links = &plan.links;
        Self {
            machine,
            cross_core_nanoseconds,
            port: match &links.far {
                FarHost::Engine => "memory, to a second engine".into(),
                FarHost::Linux(kind) => format!("{}, to Linux", name_of(kind)),
            },
            links: links.count,
            workers: links.workers.get(),
            mtu: links.mtu,
            large_segments: links.large_segments,
            seconds: plan.time.as_secs_f64(),
            workloads,
        }
    }

    /// Whether all workloads came to figures.
    pub fn is_complete(&self) -> bool {
        let failed = |entry: &Entry| matches!(entry.result, Measured::Failed { .. });
        !self.workloads.iter().any(failed)
    }
}

fn name_of(kind: &PortKind) -> String {
    match kind {
        PortKind::Tap => "tap".into(),
        PortKind::AfPacket => "af_packet".into(),
        #[cfg(feature = "dpdk")]
        PortKind::Dpdk(devices) => format!("dpdk:{}", devices.driver.name()),
    }
}
