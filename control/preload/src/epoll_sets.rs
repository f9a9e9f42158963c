//! Which sockets of the engine are in which epoll set (epoll(7)).
//!
//! The kernel knows when a socket's descriptor is readable or writable. That a connection has failed or
//! is over in both directions it does not know: EPOLLERR and EPOLLHUP are added to what epoll_wait(2)
//! gives, by the data that the program registered the descriptor with. And it may say that a socket is
//! readable that is not: the token of bytes that were read meanwhile. That is taken back, for some
//! programs take EAGAIN from a readable socket for a failure.
//!
//! Where several descriptors have the same data, which of them an event is about cannot be told: then
//! only what is so of all of them is added, and nothing is taken back.

use crate::guarded::{Guarded, Held};
use braid_shm::SlotState;
use braid_socket::{calls, descriptor};
use libc::{
    EPOLL_CTL_DEL, EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLRDHUP, EPOLLRDNORM,
    c_int, epoll_event,
};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The registrations, in two orders.
#[derive(Debug, Default)]
pub(crate) struct EpollSets {
    /// Set, data, descriptor; what it waits for.
    by_data: BTreeMap<(RawFd, u64, RawFd), u32>,
    /// Descriptor, set, data.
    by_fd: BTreeSet<(RawFd, RawFd, u64)>,
}

static SETS: Guarded<EpollSets> = Guarded::new(EpollSets {
    by_data: BTreeMap::new(),
    by_fd: BTreeSet::new(),
});
/// What a token says.
const READABLE: u32 = (EPOLLIN | EPOLLRDNORM) as u32;
/// What is said of a connection that is over.
const ENDS: u32 = (EPOLLERR | EPOLLHUP | EPOLLRDHUP) as u32;
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
    fn insert(&mut self, set: RawFd, data: u64, fd: RawFd, events: u32) {
        self.by_data.insert((set, data, fd), events);
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
        let gone: Vec<_> = of_fds.chain(of_sets.map(|(key, _)| *key)).collect();
        self.remove(&gone);
    }

    /// Those that have this data in a set.
    fn with_data(&self, set: RawFd, data: u64) -> impl Iterator<Item = (RawFd, u32)> {
        self.by_data
            .range((set, data, RawFd::MIN)..=(set, data, RawFd::MAX))
            .map(|((_, _, fd), events)| (*fd, *events))
    }
}

/// A call of epoll_ctl(2) on a socket of the engine has succeeded.
pub(crate) fn note(set: RawFd, operation: c_int, fd: RawFd, event: Option<epoll_event>) {
    let mut sets = lock();
    sets.remove_one(set, fd);
    if let Some(event) = event
        && operation != EPOLL_CTL_DEL
    {
        sets.insert(set, event.u64, fd, event.events);
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

/// Corrects events that the kernel has given of a set; how many are left of them, in front.
pub(crate) fn correct(set: RawFd, events: &mut [epoll_event]) -> usize {
    let given = events.len();
    if is_empty() || given == 0 {
        return given;
    }
    LOOKING.set(true);
    let mut left = 0;
    // If somebody changes the sets just now, the next turn does it.
    if let Some(sets) = SETS.try_lock() {
        for at in 0..given {
            let Some(mut event) = events.get(at).copied() else {
                break;
            };
            correct_one(&sets, set, &mut event);
            if event.events != 0
                && let Some(place) = events.get_mut(left)
            {
                *place = event;
                left += 1;
            }
        }
    } else {
        left = given;
    }
    LOOKING.set(false);
    left
}

fn correct_one(sets: &EpollSets, set: RawFd, event: &mut epoll_event) {
    let mut known = sets.with_data(set, event.u64);
    let Some((fd, asked)) = known.next() else {
        return;
    };
    let mut added = unknown_to_kernel(fd, event.events);
    let mut alone = true;
    for (other, _) in known {
        alone = false;
        added &= unknown_to_kernel(other, event.events);
    }
    event.events |= added;
    // After its one shot a registration rests: what is taken back would not come again.
    let readable = event.events & READABLE != 0 && event.events & ENDS == 0;
    if readable
        && alone
        && asked & EPOLLONESHOT as u32 == 0
        && calls::take_back(fd).unwrap_or(false)
    {
        event.events &= !READABLE;
    }
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
