//! Which sockets of the engine are in which epoll set (epoll(7)).
//!
//! The kernel knows when a socket's descriptor is readable or writable. That a connection has failed or
//! is over in both directions it does not know: EPOLLERR and EPOLLHUP are added to what epoll_wait(2)
//! gives, by the data that the program registered the descriptor with. Where several have the same
//! data, which of them an event is about cannot be told: then only what is so of all of them is added.

use crate::guarded::{Guarded, Held};
use braid_shm::SlotState;
use braid_socket::{calls, descriptor};
use libc::{EPOLL_CTL_DEL, EPOLLERR, EPOLLET, EPOLLHUP, c_int, epoll_event};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The registrations, in two orders.
#[derive(Debug, Default)]
pub(crate) struct EpollSets {
    /// Set, data, descriptor.
    by_data: BTreeSet<(RawFd, u64, RawFd)>,
    /// Descriptor, set, data.
    by_fd: BTreeSet<(RawFd, RawFd, u64)>,
}

static SETS: Guarded<EpollSets> = Guarded::new(EpollSets {
    by_data: BTreeSet::new(),
    by_fd: BTreeSet::new(),
});
/// How many there are, so that programs without pay one load.
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread looks into the sets, with its signals on. A handler of it that closes a descriptor
    /// leaves them as they are: what is left over there names a descriptor that is in no set any more.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// All of them.
pub(crate) fn lock() -> Held<EpollSets> {
    SETS.lock()
}

/// Whether there are any.
pub(crate) fn is_empty() -> bool {
    COUNT.load(Ordering::Relaxed) == 0
}

impl EpollSets {
    fn insert(&mut self, set: RawFd, data: u64, fd: RawFd) {
        self.by_data.insert((set, data, fd));
        self.by_fd.insert((fd, set, data));
        COUNT.store(self.by_fd.len(), Ordering::Relaxed);
    }

    fn remove(&mut self, gone: &[(RawFd, u64, RawFd)]) {
        for (set, data, fd) in gone.iter().copied() {
            self.by_data.remove(&(set, data, fd));
            self.by_fd.remove(&(fd, set, data));
        }
        COUNT.store(self.by_fd.len(), Ordering::Relaxed);
    }

    /// The registration of a descriptor in a set.
    fn remove_one(&mut self, set: RawFd, fd: RawFd) {
        let found = self.by_fd.range((fd, set, u64::MIN)..=(fd, set, u64::MAX));
        let gone: Vec<_> = found.map(|(fd, set, data)| (*set, *data, *fd)).collect();
        self.remove(&gone);
    }

    /// Those of the descriptors from `first` to `last`, and those in sets that are among them.
    fn remove_range(&mut self, first: RawFd, last: RawFd) {
        let of_fds = self
            .by_fd
            .range((first, RawFd::MIN, u64::MIN)..=(last, RawFd::MAX, u64::MAX))
            .map(|(fd, set, data)| (*set, *data, *fd));
        let of_sets = self
            .by_data
            .range((first, u64::MIN, RawFd::MIN)..=(last, u64::MAX, RawFd::MAX));
        let gone: Vec<_> = of_fds.chain(of_sets.copied()).collect();
        self.remove(&gone);
    }

    /// Those that have this data in a set.
    fn with_data(&self, set: RawFd, data: u64) -> impl Iterator<Item = RawFd> {
        self.by_data
            .range((set, data, RawFd::MIN)..=(set, data, RawFd::MAX))
            .map(|(_, _, fd)| *fd)
    }
}

/// A call of epoll_ctl(2) on a socket of the engine has succeeded.
pub(crate) fn note(set: RawFd, operation: c_int, fd: RawFd, event: Option<epoll_event>) {
    let mut sets = lock();
    sets.remove_one(set, fd);
    if let Some(event) = event
        && operation != EPOLL_CTL_DEL
    {
        sets.insert(set, event.u64, fd);
        drop(sets);
        // It can fail only when another thread has closed it: then nobody waits for it.
        let _ = calls::watch_for_good(fd, event.events & EPOLLET as u32 != 0);
    }
}

/// A descriptor was closed: it was a set, or was in sets.
pub(crate) fn forget(fd: RawFd) {
    forget_range(fd, fd);
}

/// The same for all from `first` to `last`.
pub(crate) fn forget_range(first: RawFd, last: RawFd) {
    if !is_empty() && !LOOKING.get() {
        lock().remove_range(first, last);
    }
}

/// Adds what the kernel does not know to events of a set.
pub(crate) fn complete(set: RawFd, events: &mut [epoll_event]) {
    if is_empty() || events.is_empty() {
        return;
    }
    LOOKING.set(true);
    // Somebody changes the sets just now: the next turn adds it.
    if let Some(sets) = SETS.try_lock() {
        for event in events {
            let known = sets
                .with_data(set, event.u64)
                .map(|fd| unknown_to_kernel(fd, event.events))
                .reduce(|one, other| one & other);
            event.events |= known.unwrap_or(0);
        }
    }
    LOOKING.set(false);
}

/// EPOLLERR and EPOLLHUP of a socket, of which the kernel has told `events`.
fn unknown_to_kernel(fd: RawFd, events: u32) -> u32 {
    let Some(socket) = descriptor::find(fd) else {
        return 0;
    };
    if events & EPOLLHUP as u32 != 0 {
        // The kernel says it of nothing but the end of the engine.
        socket.note_hang_up();
        return EPOLLERR as u32;
    }
    if socket.slot().state() == SlotState::Listening {
        return 0;
    }
    // The bits of poll and epoll are the same.
    calls::readiness(fd).map_or(0, |found| {
        u32::from(found as u16) & (EPOLLERR | EPOLLHUP) as u32
    })
}
