//! A subflow as the stack keeps it: its TCP with mappings, and the way its packets take.

use super::connection::ConnectionKey;
use super::route::Path;
use super::timer::{Timer, TimerId};
use crate::mptcp::connection::SubflowHandle;
use crate::mptcp::subflow::Subflow;
use crate::storage::flow_table::FourTuple;
use crate::storage::slab::Key;

pub(super) type SubflowKey = Key<SubflowSlot>;

/// A subflow.
#[derive(Debug)]
pub(super) struct SubflowSlot {
    pub(super) subflow: Subflow,
    pub(super) flow: FourTuple,
    pub(super) connection: ConnectionKey,
    pub(super) path: Path,
    pub(super) flow_label: u32,
    /// SYNs that no neighbour took.
    pub(super) lost_syns: u8,
    pub(super) timer: Option<TimerId<Timer>>,
    /// It is in the ready list, or waits for a neighbour.
    pub(super) queued: bool,
}

/// The name that a connection knows a subflow by.
pub(super) fn handle(key: SubflowKey) -> SubflowHandle {
    SubflowHandle(key.to_u64())
}

/// The subflow of that name.
pub(super) fn key(handle: SubflowHandle) -> SubflowKey {
    Key::from_u64(handle.0)
}
