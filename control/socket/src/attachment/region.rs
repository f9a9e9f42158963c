//! A region that this process has mapped, its own or one that came with a socket.

use super::connection::Connection;
use crate::errno::Errno;
use crate::sys::message::Descriptors;
use crate::sys::numbers::{give_back, out_of_the_way};
use braid_shm::ApplicationRegion;
use braid_shm::abi::Attached;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The memory, and the connection that keeps it alive in the engine.
#[derive(Debug)]
pub(crate) struct Region {
    name: u64,
    engine_pid: u32,
    memory: ApplicationRegion,
    connection: Arc<Connection>,
    dead: AtomicBool,
    /// The generation of the process whose attachment it is; 0: another's.
    attached_in: u32,
    /// Somebody reads its list ([`crate::ReadyList`]).
    list_taken: AtomicBool,
    descriptors: Vec<RawFd>,
}

impl Drop for Region {
    fn drop(&mut self) {
        self.descriptors.iter().copied().for_each(give_back);
    }
}

impl Region {
    /// Maps what came with a message: a memfd, the control thread's bell, and one of each worker.
    /// `attached_in`: the generation of the caller, if it is its attachment, else 0.
    pub(crate) fn open(
        message: &Attached,
        descriptors: Descriptors,
        connection: Arc<Connection>,
        attached_in: u32,
    ) -> Result<Self, Errno> {
        let wrong = |_| Errno::new(libc::EPROTO);
        let descriptors: Vec<OwnedFd> = descriptors
            .into_iter()
            .flatten()
            .map(out_of_the_way)
            .collect();
        let numbers = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let mut descriptors = descriptors.into_iter();
        let (Some(memfd), Some(control_bell)) = (descriptors.next(), descriptors.next()) else {
            return Err(Errno::new(libc::EPROTO));
        };
        let layout = message.layout().map_err(|_| Errno::new(libc::EPROTO))?;
        let memory =
            ApplicationRegion::open(layout, memfd, control_bell, descriptors).map_err(wrong)?;
        Ok(Self {
            name: message.region,
            engine_pid: message.engine_pid,
            memory,
            connection,
            dead: AtomicBool::new(false),
            attached_in,
            list_taken: AtomicBool::new(false),
            descriptors: numbers,
        })
    }

    pub(crate) fn memory(&self) -> &ApplicationRegion {
        &self.memory
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Whether it is the attachment of this very process, so that nobody else reads its list.
    pub(crate) fn is_own(&self) -> bool {
        self.attached_in == crate::fork::generation()
    }

    /// Takes the list; whether it was free.
    pub(crate) fn take_list(&self) -> bool {
        self.is_own() && !self.list_taken.swap(true, Ordering::Acquire)
    }

    /// Gives it back.
    pub(crate) fn give_list_back(&self) {
        self.list_taken.store(false, Ordering::Release);
    }

    /// The engine's name for it.
    pub(crate) fn name(&self) -> u64 {
        self.name
    }

    /// Whether a message speaks of this one.
    pub(crate) fn is(&self, message: &Attached) -> bool {
        self.name == message.region && self.engine_pid == message.engine_pid
    }

    /// Whether somebody has found that its engine is gone. Costs two loads.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed) || !self.memory.engine_alive()
    }

    /// Says that its engine is gone.
    pub(crate) fn mark_dead(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// The same question, put to the kernel if need be.
    pub(crate) fn look_for_death(&self) -> bool {
        if !self.is_dead() && self.connection.has_hung_up() {
            self.mark_dead();
        }
        self.is_dead()
    }
}
