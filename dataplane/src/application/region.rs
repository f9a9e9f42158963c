//! The regions that a worker serves, and the one descriptor that gathers their bells.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use braid_shm::{EngineSlot, SlotHandle, WorkerRegion};
use rustix::event::{Timespec, epoll};

use super::SocketKey;

/// Bells whose ringing is taken note of at once; those beyond end the next sleep as it begins.
const BELLS: usize = 64;

/// Names a region among those of an engine, for ever: what is told of one that is gone is never
/// taken for another's.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RegionId {
    /// A small number, which is used again.
    pub index: u32,
    /// How often it was used before.
    pub generation: u32,
}

#[derive(Debug)]
struct Region {
    id: RegionId,
    memory: WorkerRegion,
    /// By the number of the slot.
    sockets: Box<[Option<SocketKey>]>,
    /// Its application has written over it: nothing in it is looked at any more.
    silenced: bool,
}

/// All of them.
///
/// Each has a bell of its own: one that they shared could be silenced by any of them.
#[derive(Debug)]
pub(super) struct Regions {
    list: Vec<Option<Region>>,
    bells: OwnedFd,
    /// Sleepers were announced, so that bells may have rung.
    announced: bool,
}

impl Regions {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            list: Vec::new(),
            bells: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            announced: false,
        })
    }

    pub(super) fn add(&mut self, id: RegionId, memory: WorkerRegion) -> io::Result<()> {
        // Edge-triggered: an application may ring as much as it likes, nobody has to silence it.
        epoll::add(
            &self.bells,
            memory.bell(),
            epoll::EventData::new_u64(id.index.into()),
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        )?;
        let index = id.index as usize;
        if self.list.len() <= index {
            self.list.resize_with(index + 1, || None);
        }
        let sockets = vec![None; memory.layout().sockets() as usize].into();
        if let Some(place) = self.list.get_mut(index) {
            *place = Some(Region {
                id,
                memory,
                sockets,
                silenced: false,
            });
        }
        Ok(())
    }

    /// Takes a region away and returns the sockets in it.
    pub(super) fn remove(&mut self, id: RegionId) -> Vec<SocketKey> {
        if self.get(id).is_none() {
            return Vec::new();
        }
        let place = self.list.get_mut(id.index as usize);
        let Some(region) = place.and_then(Option::take) else {
            return Vec::new();
        };
        // The application holds the bell too, so that it would go on to end sleeps.
        let _ = epoll::delete(&self.bells, region.memory.bell());
        region.sockets.iter().flatten().copied().collect()
    }

    fn get(&self, id: RegionId) -> Option<&Region> {
        let region = self.list.get(id.index as usize)?.as_ref();
        region.filter(|region| region.id == id)
    }

    fn get_mut(&mut self, id: RegionId) -> Option<&mut Region> {
        let region = self.list.get_mut(id.index as usize)?.as_mut();
        region.filter(|region| region.id == id)
    }

    pub(super) fn engine_slot(&self, id: RegionId, handle: &SlotHandle) -> Option<EngineSlot> {
        self.get(id)?.memory.engine_slot(handle)
    }

    pub(super) fn set_socket(&mut self, id: RegionId, slot: u32, socket: SocketKey) {
        if let Some(place) = self
            .get_mut(id)
            .and_then(|region| region.sockets.get_mut(slot as usize))
        {
            *place = Some(socket);
        }
    }

    pub(super) fn clear_socket(&mut self, id: RegionId, slot: u32) {
        if let Some(place) = self
            .get_mut(id)
            .and_then(|region| region.sockets.get_mut(slot as usize))
        {
            *place = None;
        }
    }

    /// Looks at a region no more. False when that was so before.
    pub(super) fn silence(&mut self, id: RegionId) -> bool {
        self.get_mut(id)
            .is_some_and(|region| !core::mem::replace(&mut region.silenced, true))
    }

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.list.iter().any(Option::is_some)
    }

    fn served(&self) -> impl Iterator<Item = &Region> {
        self.list.iter().flatten().filter(|region| !region.silenced)
    }

    /// Hands every socket that was kicked to `kick`; whether any slot was.
    pub(super) fn take_kicks(&self, mut kick: impl FnMut(SocketKey)) -> bool {
        self.served().fold(false, |any, region| {
            region.memory.take_kicks(|slot| {
                if let Some(&Some(socket)) = region.sockets.get(slot as usize) {
                    kick(socket);
                }
            }) | any
        })
    }

    /// Asks all applications to ring from now on. False when one has kicked already.
    pub(super) fn prepare_to_sleep(&mut self) -> bool {
        self.announced = true;
        self.served().all(|region| region.memory.prepare_sleep())
    }

    /// Takes note of the bells that rang, and asks for no more.
    pub(super) fn awake(&mut self) {
        if !core::mem::replace(&mut self.announced, false) {
            return;
        }
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut rung = [const { core::mem::MaybeUninit::uninit() }; BELLS];
        // Whoever rang has kicked, which is seen at the next look.
        let _ = epoll::wait(&self.bells, &mut rung, Some(&now));
        for region in self.served() {
            region.memory.awake();
        }
    }

    pub(super) fn bells(&self) -> BorrowedFd<'_> {
        self.bells.as_fd()
    }
}
