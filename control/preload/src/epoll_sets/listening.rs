//! A set that hears of its sockets by the list of this process ([`braid_socket::ReadyList`]) instead of
//! by their descriptors, as long as one thread at a time waits for it: which sockets, and by what number
//! each is noted.

use super::truth;
use braid_socket::{ReadyList, calls, descriptor};
use std::collections::BTreeMap;
use std::os::fd::RawFd;

/// Whether and how a set does so.
#[derive(Debug)]
pub(super) enum Listening {
    /// It may, once the list is free.
    Possible,
    /// It has the list.
    To(Heard),
    /// Never again: the descriptors say it.
    Over,
}

/// The list, and whom it is about.
#[derive(Debug)]
pub(super) struct Heard {
    list: ReadyList,
    by_slot: BTreeMap<u32, RawFd>,
}

impl Listening {
    pub(super) fn heard(&self) -> Option<&Heard> {
        match self {
            Self::To(heard) => Some(heard),
            Self::Possible | Self::Over => None,
        }
    }

    /// Hears of a socket by the list from now on; the number by which. The caller looks at it once.
    pub(super) fn add(&mut self, fd: RawFd, edge: bool) -> Option<u32> {
        if matches!(self, Self::Over) || !truth::is_stream(fd) {
            return None;
        }
        let socket = descriptor::find(fd)?;
        if self.heard().is_some_and(|heard| heard.list.is_dead()) {
            *self = Self::Possible;
        }
        if matches!(self, Self::Possible) {
            *self = Self::To(Heard {
                list: ReadyList::of(&socket)?,
                by_slot: BTreeMap::new(),
            });
        }
        let Self::To(heard) = self else {
            return None;
        };
        // By another number of the same socket it is heard of already: that one keeps the list.
        if heard.by_slot.contains_key(&socket.slot().slot()) {
            return None;
        }
        let slot = heard.list.add(&socket, edge)?;
        heard.by_slot.insert(slot, fd);
        Some(slot)
    }

    /// Forgets by what number a socket is heard of.
    pub(super) fn remove(&mut self, slot: u32, fd: RawFd) {
        if let Self::To(heard) = self
            && heard.by_slot.get(&slot) == Some(&fd)
        {
            heard.by_slot.remove(&slot);
        }
    }
}

impl Heard {
    /// Whether the list is a parent's, from before a fork in a signal handler.
    pub(super) fn is_inherited(&self) -> bool {
        self.list.is_inherited()
    }

    /// Hands those to which something has come to `look`. From here on nobody wakes the caller.
    pub(super) fn take(&self, mut look: impl FnMut(RawFd)) {
        self.list.awake();
        self.list.take(|slot| {
            if let Some(fd) = self.by_slot.get(&slot) {
                look(*fd);
            }
        });
    }

    /// Before a sleep in the kernel; `false`: something has come.
    pub(super) fn prepare_sleep(&self) -> bool {
        self.list.prepare_sleep()
    }
}

/// A socket is heard of no more: its descriptor says what comes to it, to whoever else has it.
pub(super) fn leave(fd: RawFd) {
    // It fails for one that is closed.
    let _ = calls::unlist(fd);
}

/// The same, and the kernel is about to be asked: the descriptor says already what has come.
pub(super) fn say_again(fd: RawFd) {
    leave(fd);
    let _ = calls::wait_until_shown(fd);
}
