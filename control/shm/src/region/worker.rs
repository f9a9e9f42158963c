//! A worker's doorbell in a region, and the worker's side of it: who kicked, and when to sleep.

use crate::descriptor::Bell;
use crate::doorbell::Doorbell;
use crate::layout::{RegionLayout, SlotDoorbellWords};
use crate::memory::{Shared, SharedMemory};
use crate::region::engine::{EngineRegion, EngineSlot, SlotHandle};
use crate::sync::AtomicU64;
use std::sync::Arc;

/// The words of a doorbell with a bit for each slot, mapped.
#[derive(Clone, Debug)]
pub(crate) struct SlotDoorbell {
    words: Shared<SlotDoorbellWords>,
    bits: Shared<[AtomicU64]>,
}

impl SlotDoorbell {
    /// Those of all workers, in the order of their numbers. `None`: the memory is not that of such a
    /// region.
    pub(crate) fn of_workers(
        memory: &Arc<SharedMemory>,
        layout: &RegionLayout,
    ) -> Option<Vec<Self>> {
        let of_worker = |worker| Self::at(memory, layout, layout.doorbell_offset(worker)?);
        (0..layout.workers().into()).map(of_worker).collect()
    }

    /// The application's.
    pub(crate) fn of_application(
        memory: &Arc<SharedMemory>,
        layout: &RegionLayout,
    ) -> Option<Self> {
        Self::at(memory, layout, layout.ready_offset())
    }

    fn at(memory: &Arc<SharedMemory>, layout: &RegionLayout, offset: u64) -> Option<Self> {
        let bits = offset + size_of::<SlotDoorbellWords>() as u64;
        Some(Self {
            words: Shared::at(memory, offset)?,
            bits: Shared::slice_at(memory, bits, layout.doorbell_words())?,
        })
    }

    pub(crate) fn doorbell(&self) -> Doorbell<'_> {
        Doorbell {
            summary: &self.words.summary.0,
            words: &self.bits,
            sleeping: &self.words.sleeping.0,
        }
    }
}

/// One worker's side of a region that this engine has made.
#[derive(Clone, Debug)]
pub struct WorkerRegion {
    pub(super) region: EngineRegion,
    pub(super) doorbell: SlotDoorbell,
    pub(super) bell: Arc<Bell>,
}

impl WorkerRegion {
    /// The region's layout.
    pub fn layout(&self) -> RegionLayout {
        self.region.layout()
    }

    /// The bell that ends the worker's sleep; the worker polls and clears it.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// The rings of a socket that has carried nothing yet.
    pub fn engine_slot(&self, handle: &SlotHandle) -> Option<EngineSlot> {
        self.region.engine_slot(handle)
    }

    /// Hands every slot that was kicked here to `serve`, each once; whether there was any. The
    /// numbers are those of slots of the region, of sockets that this worker serves or not.
    pub fn take_kicks(&self, mut serve: impl FnMut(u32)) -> bool {
        let sockets = self.layout().sockets();
        self.doorbell.doorbell().take(|slot| {
            if slot < sockets {
                serve(slot);
            }
        })
    }

    /// Announces a sleep. `false`: there are kicks to take first.
    #[must_use = "sleep only if this says so"]
    pub fn prepare_sleep(&self) -> bool {
        self.doorbell.doorbell().prepare_sleep()
    }

    /// The worker is awake, and nobody need ring.
    pub fn awake(&self) {
        self.doorbell.doorbell().awake();
    }
}
