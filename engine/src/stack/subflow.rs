//! A subflow as the stack keeps it: its TCP with mappings, and the way its packets take.

use super::connection::ConnectionKey;
use super::published_block::PublishedBlock;
use super::rest::Form;
use super::route::Path;
use super::steering::WorkerId;
use super::timer::Deadline;
use crate::mptcp::connection::SubflowHandle;
use crate::storage::flow_table::FourTuple;
use crate::storage::slab::Key;
use crate::time::Instant;
use core::net::SocketAddr;
use std::sync::Arc;

pub(super) type SubflowKey = Key<SubflowSlot>;

/// A subflow.
#[derive(Debug)]
pub(super) struct SubflowSlot {
    pub(super) subflow: Form,
    pub(super) remote: SocketAddr,
    pub(super) local_port: u16,
    pub(super) home: Home,
    pub(super) path: Path,
    pub(super) flow_label: u32,
    /// SYNs that no neighbour took.
    pub(super) lost_syns: u8,
    pub(super) deadline: Deadline,
    /// It is in the ready list, or waits for a neighbour.
    pub(super) queued: bool,
    /// When something happened on it last.
    pub(super) touched: Instant,
    /// It is to be looked at whether it rests.
    pub(super) noted: bool,
}

impl SubflowSlot {
    /// Its addresses and ports.
    pub(super) fn flow(&self) -> FourTuple {
        FourTuple {
            local: SocketAddr::new(self.path.source, self.local_port),
            remote: self.remote,
        }
    }
}

/// A connection of some worker of the host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct ConnectionAddress {
    pub(super) worker: WorkerId,
    pub(super) key: ConnectionKey,
}

/// A connection whose home is another worker, as its subflows here know it.
#[derive(Clone, Debug)]
pub(super) struct DistantHome {
    pub(super) connection: ConnectionAddress,
    pub(super) block: Arc<PublishedBlock>,
}

/// The home of a subflow's connection.
#[derive(Clone, Debug)]
pub(super) enum Home {
    /// This stack.
    Here(ConnectionKey),
    /// Another worker's.
    Elsewhere(DistantHome),
}

/// A subflow of some worker of the host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct SubflowAddress {
    pub(super) worker: WorkerId,
    pub(super) key: SubflowKey,
}

/// In the number of a handle the worker stands above the place in its slab.
const WORKER_SHIFT: u32 = 24;

/// Subflows of a stack, at most: as many as handles tell apart.
pub(super) const MAX_SUBFLOWS: usize = 1 << WORKER_SHIFT;

impl SubflowAddress {
    /// The name that a connection knows the subflow by.
    pub(super) fn handle(self) -> SubflowHandle {
        SubflowHandle(self.key.to_u64() | u64::from(self.worker.number()) << WORKER_SHIFT)
    }

    /// The subflow of that name.
    pub(super) fn of(handle: SubflowHandle) -> Self {
        let worker = handle.worker();
        let bits = handle.0 & !(u64::from(u8::MAX) << WORKER_SHIFT);
        Self {
            worker,
            key: Key::from_u64(bits),
        }
    }
}

impl SubflowHandle {
    /// The worker that the subflow is on.
    pub const fn worker(self) -> WorkerId {
        WorkerId::new((self.0 >> WORKER_SHIFT) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_worker_and_place() {
        let key = Key::from_u64(0x0000_0007_00ab_cdef);
        for worker in [0, 1, 31] {
            let worker = WorkerId::new(worker);
            let address = SubflowAddress { worker, key };
            assert_eq!(address.handle().worker(), worker);
            assert_eq!(SubflowAddress::of(address.handle()), address);
        }
        // On the first worker the handle is the key.
        let worker = WorkerId::FIRST;
        assert_eq!(SubflowAddress { worker, key }.handle().0, key.to_u64());
    }
}
