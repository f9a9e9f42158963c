//! TCP sockets that may become the engine's. Until bind(2), connect(2) or listen(2) says which address
//! a socket has to do with, it is the kernel's; what is done to it meanwhile is written down here, to
//! be done again when the engine takes it over.
//!
//! Copies of a descriptor (dup(2)) are the same candidate.

use crate::guarded::{Guarded, Held};
use libc::{c_int, epoll_event};
use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// Options that are remembered of one socket at most; programs set a dozen.
const MOST_OPTIONS: usize = 256;

/// An option as it was set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SetOption {
    pub(crate) level: c_int,
    pub(crate) name: c_int,
    pub(crate) value: Vec<u8>,
}

/// A registration in an epoll set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    pub(crate) set: RawFd,
    pub(crate) fd: RawFd,
    pub(crate) event: epoll_event,
}

/// A socket of the kernel's that may become the engine's.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) domain: c_int,
    pub(crate) protocol: c_int,
    pub(crate) options: Vec<SetOption>,
    pub(crate) registrations: Vec<Registration>,
}

/// All of this process, by descriptor.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    last: u64,
    names: BTreeMap<RawFd, u64>,
    candidates: BTreeMap<u64, Candidate>,
}

static CANDIDATES: Guarded<Candidates> = Guarded::new(Candidates {
    last: 0,
    names: BTreeMap::new(),
    candidates: BTreeMap::new(),
});

/// Descriptors that fit into [`MARKS`]; those above are always looked up.
const MARKED: usize = 1 << 16;
/// A bit for each descriptor that is a candidate, so that all others cost one load.
static MARKS: [AtomicU64; MARKED / 64] = [const { AtomicU64::new(0) }; MARKED / 64];

fn mark(fd: RawFd, on: bool) {
    let Ok(fd) = usize::try_from(fd) else {
        return;
    };
    if let Some(word) = MARKS.get(fd / 64) {
        if on {
            word.fetch_or(1 << (fd % 64), Ordering::Relaxed);
        } else {
            word.fetch_and(!(1 << (fd % 64)), Ordering::Relaxed);
        }
    }
}

/// Whether the descriptor may be one. No system call, no lock.
pub(crate) fn may_be(fd: RawFd) -> bool {
    usize::try_from(fd).is_ok_and(|fd| {
        MARKS
            .get(fd / 64)
            .is_none_or(|word| word.load(Ordering::Relaxed) & (1 << (fd % 64)) != 0)
    })
}

/// All of them.
pub(crate) fn lock() -> Held<Candidates> {
    CANDIDATES.lock()
}

impl Candidates {
    /// A new one.
    pub(crate) fn insert(&mut self, fd: RawFd, domain: c_int, protocol: c_int) {
        self.remove(fd);
        self.last += 1;
        self.names.insert(fd, self.last);
        self.candidates.insert(
            self.last,
            Candidate {
                domain,
                protocol,
                options: Vec::new(),
                registrations: Vec::new(),
            },
        );
        mark(fd, true);
    }

    /// The descriptor is one no more.
    pub(crate) fn remove(&mut self, fd: RawFd) {
        mark(fd, false);
        if let Some(name) = self.names.remove(&fd)
            && !self.names.values().any(|other| *other == name)
        {
            self.candidates.remove(&name);
        }
    }

    /// The socket of the descriptor, and all its copies, are one no more; which they were, and what
    /// is known of it.
    pub(crate) fn take(&mut self, fd: RawFd) -> Option<(Vec<RawFd>, Candidate)> {
        let name = *self.names.get(&fd)?;
        let copies: Vec<RawFd> = self
            .names
            .iter()
            .filter(|(_, other)| **other == name)
            .map(|(fd, _)| *fd)
            .collect();
        for copy in &copies {
            self.names.remove(copy);
            mark(*copy, false);
        }
        Some((copies, self.candidates.remove(&name)?))
    }

    /// `copy` is the same socket as `fd`; what it was is forgotten.
    pub(crate) fn duplicate(&mut self, fd: RawFd, copy: RawFd) {
        if fd == copy {
            return;
        }
        self.remove(copy);
        if let Some(name) = self.names.get(&fd) {
            self.names.insert(copy, *name);
            mark(copy, true);
        }
    }

    /// Descriptors in a range.
    pub(crate) fn within(&self, first: RawFd, last: RawFd) -> Vec<RawFd> {
        self.names.range(first..=last).map(|(fd, _)| *fd).collect()
    }

    pub(crate) fn get_mut(&mut self, fd: RawFd) -> Option<&mut Candidate> {
        self.candidates.get_mut(self.names.get(&fd)?)
    }
}

impl Candidate {
    /// Notes an option. The last value counts, in the place of the last.
    pub(crate) fn note_option(&mut self, option: SetOption) {
        self.options
            .retain(|other| (other.level, other.name) != (option.level, option.name));
        if self.options.len() < MOST_OPTIONS {
            self.options.push(option);
        }
    }

    /// Notes what was done to its registration in an epoll set.
    pub(crate) fn note_registration(
        &mut self,
        set: RawFd,
        operation: c_int,
        fd: RawFd,
        event: Option<epoll_event>,
    ) {
        self.registrations
            .retain(|other| (other.set, other.fd) != (set, fd));
        if let Some(event) = event
            && operation != libc::EPOLL_CTL_DEL
        {
            self.registrations.push(Registration { set, fd, event });
        }
    }
}
