//! What this process knows of a socket: its slot, its region, and a little that is nobody else's
//! business.

use super::fruitless::Fruitless;
use crate::attachment::{Found, Region};
use crate::command::{self, Answer};
use crate::errno::Errno;
use crate::sys::poll;
use braid_shm::ApplicationSlot;
use braid_shm::abi::Operation;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// A socket of the engine in this process.
#[derive(Debug)]
pub struct OpenSocket {
    slot: ApplicationSlot,
    region: Arc<Region>,
    /// Receives that found nothing.
    pub(crate) fruitless: Fruitless,
    /// Of the last waits, how often a busy wait was enough; see `wait`.
    pub(crate) spin_credit: AtomicU32,
}

impl OpenSocket {
    pub(crate) fn new(found: Found) -> Self {
        Self {
            slot: found.slot,
            region: found.region,
            fruitless: Fruitless::new(),
            spin_credit: AtomicU32::new(crate::wait::SPIN_CREDIT),
        }
    }

    /// Its words and rings.
    pub fn slot(&self) -> &ApplicationSlot {
        &self.slot
    }

    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Whether its engine is known to be gone.
    pub fn engine_is_gone(&self) -> bool {
        self.region.is_dead()
    }

    /// Says that the descriptor has hung up (POLLHUP, EPOLLHUP): its engine is gone, and calls fail
    /// with ECONNRESET from now on.
    pub fn note_hang_up(&self) {
        self.region.mark_dead();
    }

    /// Asks the kernel whether the engine is gone.
    pub(crate) fn look_for_death(&self, fd: BorrowedFd<'_>) -> bool {
        if !self.region.is_dead() && poll::has_hung_up(fd) {
            self.region.mark_dead();
        }
        self.region.is_dead()
    }

    /// Asks the engine something about this socket.
    pub(crate) fn call(
        &self,
        fd: BorrowedFd<'_>,
        operation: Operation,
        argument: &[u8],
    ) -> Result<Answer, Errno> {
        let name = (self.slot.slot(), self.slot.generation());
        command::call(&self.region, name, Some(fd), operation, argument)
    }
}
