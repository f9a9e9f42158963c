//! The ports of one worker, as the engine fills them.

use std::ops::Range;
use std::sync::Arc;

use braid_engine::stack::{Capabilities, PortId, TransmitBatch, TransmitMeta};
use braid_engine::storage::frame::FramePool;

use crate::port::{AnyPort, Burst, LARGEST_FRAME, Port, PortCounters, PortError};

/// How many frames a worker sends in one step at most.
pub const TRANSMIT_BUDGET: usize = 64;

/// A worker's part in a port of its host.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a worker has few of them, and nearly all are ports of its own"
)]
pub enum Seat {
    /// The worker has a queue of it.
    Here(AnyPort),
    /// Only other workers have, and the engine hands them its frames
    /// (`braid_engine::stack::Stack::set_port_worker`).
    Elsewhere(Capabilities),
}

impl Seat {
    /// What the port takes over from the engine.
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Self::Here(port) => port.capabilities(),
            Self::Elsewhere(capabilities) => *capabilities,
        }
    }
}

impl From<AnyPort> for Seat {
    fn from(port: AnyPort) -> Self {
        Self::Here(port)
    }
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a worker has few of them, and nearly all work"
)]
enum Slot {
    /// With what queues that it took the place of have done.
    Working(AnyPort, PortCounters),
    /// Nothing comes or goes here.
    Elsewhere(Capabilities),
    /// A port beyond use. It takes frames and loses them, as a link that is down does.
    Failed {
        scratch: Box<[u8]>,
        counters: PortCounters,
    },
}

/// The ports of one worker; the first is `PortId(0)`.
#[derive(Debug)]
pub struct Ports {
    slots: Vec<Slot>,
    budget: usize,
    budget_spent: bool,
}

impl Ports {
    pub(super) fn new(seats: Vec<Seat>) -> Self {
        let slot = |seat| match seat {
            Seat::Here(port) => Slot::Working(port, PortCounters::default()),
            Seat::Elsewhere(capabilities) => Slot::Elsewhere(capabilities),
        };
        Self {
            slots: seats.into_iter().map(slot).collect(),
            budget: 0,
            budget_spent: false,
        }
    }

    /// Their ids.
    pub fn ids(&self) -> impl Iterator<Item = PortId> + use<> {
        let count = u16::try_from(self.slots.len()).unwrap_or(u16::MAX);
        (0..count).map(PortId)
    }

    /// What the port takes over from the engine; `None` when there is no such port or it failed.
    pub fn capabilities(&self, port: PortId) -> Option<Capabilities> {
        match self.slots.get(usize::from(port.0))? {
            Slot::Working(port, _) => Some(port.capabilities()),
            Slot::Elsewhere(capabilities) => Some(*capabilities),
            Slot::Failed { .. } => None,
        }
    }

    /// What this worker's queue of the port has done so far; `None` when there is none.
    pub fn counters(&self, port: PortId) -> Option<PortCounters> {
        match self.slots.get(usize::from(port.0))? {
            Slot::Working(port, before) => Some([port.counters(), *before].into_iter().sum()),
            Slot::Elsewhere(_) => None,
            Slot::Failed { counters, .. } => Some(*counters),
        }
    }

    /// What the device behind the port counts by itself; see [`Port::device_counters`].
    pub fn device_counters(&self, port: PortId) -> Vec<(String, u64)> {
        match self.slots.get(usize::from(port.0)) {
            Some(Slot::Working(port, _)) => port.device_counters(),
            _ => Vec::new(),
        }
    }

    /// Whether this worker has a queue of the port that works.
    pub fn has_queue(&self, port: PortId) -> bool {
        let slot = self.slots.get(usize::from(port.0));
        matches!(slot, Some(Slot::Working(..)))
    }

    /// Goes on with another part in a port, be it that the one before has failed or not. A port that
    /// there is not is ignored.
    pub fn replace(&mut self, port: PortId, seat: Seat) {
        let before = self.counters(port).unwrap_or_default();
        if let Some(slot) = self.slots.get_mut(usize::from(port.0)) {
            *slot = match seat {
                Seat::Here(port) => Slot::Working(port, before),
                Seat::Elsewhere(capabilities) => Slot::Elsewhere(capabilities),
            };
        }
    }

    /// Whether frames that were sent have yet to leave a port, be it that the system has not
    /// taken them or that they are on an impaired link: steps of the worker move them on.
    pub fn transmit_pending(&self) -> bool {
        self.working().any(Port::transmit_pending)
    }

    /// Begins a batch of [`TRANSMIT_BUDGET`] frames.
    pub(super) fn begin(&mut self) {
        self.budget = TRANSMIT_BUDGET;
        self.budget_spent = false;
    }

    /// Whether the last batch was as long as it may be: there may be more to send.
    pub(super) fn budget_spent(&self) -> bool {
        self.budget_spent
    }

    pub(super) fn receive(
        &mut self,
        id: PortId,
        pool: &mut FramePool,
        burst: &mut Burst,
    ) -> Result<usize, PortError> {
        let received = match self.slots.get_mut(usize::from(id.0)) {
            Some(Slot::Working(port, _)) => port.receive(id, pool, burst),
            _ => Ok(0),
        };
        received.inspect_err(|_| self.fail(id))
    }

    pub(super) fn flush(&mut self, id: PortId) -> Result<(), PortError> {
        let flushed = match self.slots.get_mut(usize::from(id.0)) {
            Some(Slot::Working(port, _)) => port.flush(),
            _ => Ok(()),
        };
        flushed.inspect_err(|_| self.fail(id))
    }

    fn fail(&mut self, id: PortId) {
        if let Some(slot) = self.slots.get_mut(usize::from(id.0))
            && let Slot::Working(port, before) = slot
        {
            let counters = [port.counters(), *before].into_iter().sum();
            let scratch = vec![0; LARGEST_FRAME].into_boxed_slice();
            *slot = Slot::Failed { scratch, counters };
        }
    }

    /// The ports that work, in order.
    pub(super) fn working(&self) -> impl Iterator<Item = &AnyPort> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Working(port, _) => Some(port),
            Slot::Elsewhere(_) | Slot::Failed { .. } => None,
        })
    }

    /// Asks all ports that work whether there is anything to wait for, as each has to be told.
    pub(super) fn prepare_to_sleep(&mut self) -> bool {
        self.slots
            .iter_mut()
            .fold(true, |nothing, slot| match slot {
                Slot::Working(port, _) => port.prepare_to_sleep() && nothing,
                Slot::Elsewhere(_) | Slot::Failed { .. } => nothing,
            })
    }
}

impl TransmitBatch for Ports {
    fn room(&self, port: PortId) -> usize {
        let room = match self.slots.get(usize::from(port.0)) {
            Some(Slot::Working(port, _)) => port.room(),
            _ => 1,
        };
        room.min(self.budget)
    }

    fn reserve(&mut self, port: PortId, length: usize) -> Option<&mut [u8]> {
        if self.budget == 0 {
            self.budget_spent = true;
            return None;
        }
        match self.slots.get_mut(usize::from(port.0))? {
            Slot::Working(port, _) => port.reserve(length),
            Slot::Elsewhere(_) => None,
            Slot::Failed { scratch, .. } => scratch.get_mut(..length),
        }
    }

    fn commit(&mut self, port: PortId, length: usize, meta: TransmitMeta) {
        self.budget = self.budget.saturating_sub(1);
        match self.slots.get_mut(usize::from(port.0)) {
            Some(Slot::Working(port, _)) => port.commit(length, meta),
            Some(Slot::Failed { counters, .. }) => counters.transmit_dropped += 1,
            Some(Slot::Elsewhere(_)) | None => {}
        }
    }

    fn attach(
        &mut self,
        port: PortId,
        memory: Arc<[u8]>,
        filled: Range<usize>,
        meta: TransmitMeta,
    ) {
        self.budget = self.budget.saturating_sub(1);
        match self.slots.get_mut(usize::from(port.0)) {
            Some(Slot::Working(port, _)) => port.attach(memory, filled, meta),
            Some(Slot::Failed { counters, .. }) => counters.transmit_dropped += 1,
            Some(Slot::Elsewhere(_)) | None => {}
        }
    }
}
