//! The list of a process's sockets to which something has come, for a wait that looks at all of them
//! (`braid_shm`'s readiness has the protocol).

use crate::attachment::Region;
use crate::descriptor::OpenSocket;
use std::sync::Arc;

/// The list of an attachment. There is one, and while this lives it is its owner's.
#[derive(Debug)]
pub struct ReadyList(Arc<Region>);

impl Drop for ReadyList {
    fn drop(&mut self) {
        self.0.give_list_back();
    }
}

impl ReadyList {
    /// That of the attachment in which a socket lies. `None`: it is another process's, its engine is
    /// gone, or somebody has its list.
    pub fn of(socket: &OpenSocket) -> Option<Self> {
        let region = socket.region();
        (!region.is_dead() && region.take_list()).then(|| Self(Arc::clone(region)))
    }

    /// Whether it is of no use any more: its engine is gone.
    pub fn is_dead(&self) -> bool {
        self.0.is_dead()
    }

    /// Whether this process is a child of the one that has taken it.
    pub fn is_inherited(&self) -> bool {
        !self.0.is_own()
    }

    /// Has the engine note a socket here when bytes come, and make its descriptor readable only when
    /// the owner sleeps. From now on the owner asks the kernel, in each of its sleeps, whether that
    /// descriptor is readable. The number by which the socket is noted; look at it once afterwards.
    /// `None`: it lies elsewhere.
    pub fn add(&self, socket: &OpenSocket, edge: bool) -> Option<u32> {
        if !Arc::ptr_eq(socket.region(), &self.0) {
            return None;
        }
        socket.slot().list(edge);
        Some(socket.slot().slot())
    }

    /// Hands the number of each socket that was noted to `look`, once.
    pub fn take(&self, look: impl FnMut(u32)) {
        self.0.memory().take_ready(look);
    }

    /// To be called before a sleep in the kernel. `false`: sockets were noted, and are to be looked at
    /// first.
    #[must_use = "sleep only if this says so"]
    pub fn prepare_sleep(&self) -> bool {
        self.0.memory().prepare_sleep()
    }

    /// To be called after it.
    pub fn awake(&self) {
        self.0.memory().awake();
    }
}
