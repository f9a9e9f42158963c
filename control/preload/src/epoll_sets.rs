//! Which sockets of the engine are in which epoll set (epoll(7)).
//!
//! The kernel knows when a socket's descriptor is readable or writable. That a connection has failed or
//! is over in both directions it does not know: EPOLLERR and EPOLLHUP are added to what epoll_wait(2)
//! gives, by the data that the program registered the descriptor with.

use crate::guarded::{Guarded, Held};
use braid_shm::SlotState;
use braid_socket::{calls, descriptor};
use libc::{EPOLL_CTL_DEL, EPOLLERR, EPOLLET, EPOLLHUP, c_int, epoll_event};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// By set and data, the descriptor.
#[derive(Debug, Default)]
pub(crate) struct EpollSets(BTreeMap<(RawFd, u64), RawFd>);

static SETS: Guarded<EpollSets> = Guarded::new(EpollSets(BTreeMap::new()));
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
    fn retain(&mut self, keep: impl Fn(RawFd, RawFd) -> bool) {
        self.0.retain(|(set, _), fd| keep(*set, *fd));
        COUNT.store(self.0.len(), Ordering::Relaxed);
    }
}

/// A call of epoll_ctl(2) on a socket of the engine has succeeded.
pub(crate) fn note(set: RawFd, operation: c_int, fd: RawFd, event: Option<epoll_event>) {
    let mut sets = lock();
    sets.retain(|other_set, other_fd| (other_set, other_fd) != (set, fd));
    if let Some(event) = event
        && operation != EPOLL_CTL_DEL
    {
        let data = event.u64;
        sets.0.insert((set, data), fd);
        COUNT.store(sets.0.len(), Ordering::Relaxed);
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
        let within = |fd| (first..=last).contains(&fd);
        lock().retain(|set, fd| !within(set) && !within(fd));
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
            if let Some(fd) = sets.0.get(&(set, { event.u64 })) {
                complete_one(*fd, event);
            }
        }
    }
    LOOKING.set(false);
}

fn complete_one(fd: RawFd, event: &mut epoll_event) {
    let Some(socket) = descriptor::find(fd) else {
        return;
    };
    if event.events & EPOLLHUP as u32 != 0 {
        socket.note_hang_up();
        event.events |= EPOLLERR as u32;
    }
    if socket.slot().state() != SlotState::Listening
        && let Ok(found) = calls::readiness(fd)
    {
        // The bits of poll and epoll are the same.
        event.events |= u32::from(found as u16) & (EPOLLERR | EPOLLHUP) as u32;
    }
}
