//! Names that the control thread keeps: what a stack names belongs to a worker.

use braid_engine::stack::{ConnectionId, ListenerId, WorkerId};

/// Where the number of the worker stands in [`ConnectionName::to_number`]: above the index of a
/// connection among those of a worker, of which there are fewer (`limits.connections`), and below its
/// generation.
const WORKER_SHIFT: u32 = 24;

/// As many as [`braid_engine::stack::Steering::MAX_WORKERS`] takes.
const WORKER_BITS: u64 = 0x1F;

/// A connection of the engine: its home, and the name that it has there.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct ConnectionName {
    pub(super) home: WorkerId,
    pub(super) id: ConnectionId,
}

impl ConnectionName {
    /// The name as one number, by which the command line has it.
    pub(super) fn to_number(self) -> u64 {
        self.id.to_u64() | u64::from(self.home.number()) << WORKER_SHIFT
    }

    /// The name that [`Self::to_number`] made `number` of; any other number finds nothing.
    pub(super) fn of_number(number: u64) -> Self {
        let worker = number >> WORKER_SHIFT & WORKER_BITS;
        Self {
            home: WorkerId::new(worker as u8),
            id: ConnectionId::from_u64(number & !(WORKER_BITS << WORKER_SHIFT)),
        }
    }
}

/// What a listener is at one worker: there is one at each.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct ListenerName {
    pub(super) worker: WorkerId,
    pub(super) id: ListenerId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_back_to_its_name() {
        let generation = 0x1234_5678 << 32;
        for (worker, index) in [(0, 0), (31, (1 << 20) - 1), (1, 7)] {
            let name = ConnectionName {
                home: WorkerId::new(worker),
                id: ConnectionId::from_u64(generation | index),
            };
            let number = name.to_number();
            assert_eq!(ConnectionName::of_number(number), name);
            assert_eq!(number >> 32 << 32, generation);
        }
    }

    #[test]
    fn the_numbers_of_an_only_worker_are_its_own() {
        let name = ConnectionName {
            home: WorkerId::FIRST,
            id: ConnectionId::from_u64(5),
        };
        assert_eq!(name.to_number(), 5);
    }
}
