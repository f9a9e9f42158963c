//! One epoll set: what the program asks of each socket of the engine in it, and what the kernel was
//! told.
//!
//! The two differ for a while. A program that waits for room and then for an answer, over and over,
//! would change its registration twice a request by a system call; here it is written down, and the
//! kernel is told when somebody is about to sleep, if by then there is still something to tell. What
//! may be ready meanwhile is known from the sockets' own words, and from the list of those to which
//! something has come ([`listening`]).

use super::listening::{self, Listening};
use super::truth;
use crate::real;
use braid_socket::{Errno, calls};
use libc::{
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP,
    EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLRDBAND, EPOLLRDHUP, EPOLLRDNORM, EPOLLWAKEUP,
    EPOLLWRBAND, EPOLLWRNORM, c_int, epoll_event,
};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::os::fd::RawFd;

/// Turns in a row that are answered without a look at the kernel's descriptors, which are in the same
/// set and have to have theirs.
const TURNS_WITHOUT_KERNEL: u32 = 3;
/// What the kernel keeps a state for: such a registration is changed by the kernel alone.
const OF_KERNEL: u32 = (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP) as u32;
/// What keeps a registration from being heard of by the list: the kernel says it once, or to one.
const NOT_LISTED: u32 = (EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP) as u32;
/// What the kernel says because of a token.
const READABLE: u32 = (EPOLLIN | EPOLLRDNORM) as u32;
/// What is reported whether it was asked for or not.
const ALWAYS: u32 = (EPOLLERR | EPOLLHUP) as u32;
/// What the kernel knows of a connection, one of which comes with its end.
const OF_CONNECTION: u32 =
    (EPOLLIN | EPOLLRDNORM | EPOLLRDBAND | EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND | EPOLLRDHUP)
        as u32;

/// What is asked of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Interest {
    pub(super) events: u32,
    pub(super) data: u64,
}

impl From<epoll_event> for Interest {
    fn from(event: epoll_event) -> Self {
        Self {
            events: event.events,
            data: event.u64,
        }
    }
}

impl From<Interest> for epoll_event {
    fn from(interest: Interest) -> Self {
        Self {
            events: interest.events,
            u64: interest.data,
        }
    }
}

impl Interest {
    /// Whether it asks for nothing that the kernel knows, and hears all the same when the connection
    /// has failed or is over in both directions.
    pub(super) fn waits_for_end(self) -> bool {
        self.events & (OF_CONNECTION | (EPOLLONESHOT | EPOLLEXCLUSIVE) as u32) == 0
    }

    /// As the kernel is told. It knows when nothing more will be read, as which every such end begins;
    /// the other direction may go on, so it is to say that once, but again and again when the connection
    /// `has_ended`.
    pub(super) fn event(self, has_ended: bool) -> epoll_event {
        let mut events = self.events;
        if self.waits_for_end() {
            events |= EPOLLRDHUP as u32;
            if !has_ended {
                events |= EPOLLET as u32;
            }
        }
        epoll_event {
            events,
            u64: self.data,
        }
    }

    fn is_of_kernel(self) -> bool {
        self.events & OF_KERNEL != 0
    }

    fn is_edge(self) -> bool {
        self.events & EPOLLET as u32 != 0
    }

    /// Whether the list may stand for tokens: a token must end a sleep in which the kernel was told so.
    fn may_be_listed(self) -> bool {
        self.events & READABLE != 0 && self.events & NOT_LISTED == 0
    }
}

/// A descriptor that is in the kernel's set.
#[derive(Debug)]
struct Registration {
    /// `None`: the program has taken it out.
    asked: Option<Interest>,
    told: Interest,
    /// Whether the kernel says again and again that the connection has ended ([`Interest::event`]).
    has_ended: bool,
    /// Whether it is among [`EpollSet::listed`].
    listed: bool,
    /// By what number it is heard of ([`Listening`]).
    slot: Option<u32>,
}

impl Registration {
    fn is_pending(&self) -> bool {
        self.asked != Some(self.told)
    }
}

/// What a wait is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// So many events are there.
    Answered(usize),
    /// The kernel is to be asked what it has now, without waiting, and that completed.
    Ask,
    /// The kernel knows all, and can be waited for.
    Sleep,
}

/// A set with sockets of the engine in it.
#[derive(Debug)]
pub(crate) struct EpollSet {
    number: RawFd,
    by_fd: BTreeMap<RawFd, Registration>,
    /// Data that the kernel was told, and the descriptor.
    by_data: BTreeSet<(u64, RawFd)>,
    /// Descriptors that are looked at in every turn: their registration was changed or something has
    /// come, and they were not found unready since.
    listed: Vec<RawFd>,
    listening: Listening,
    /// Somebody sees it through the kernel alone: another process, another number, a set that it is
    /// in, poll(2).
    shared: bool,
    turns: u32,
}

impl EpollSet {
    pub(super) fn new(number: RawFd) -> Self {
        Self {
            number,
            by_fd: BTreeMap::new(),
            by_data: BTreeSet::new(),
            listed: Vec::new(),
            listening: Listening::Possible,
            shared: false,
            turns: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_fd.is_empty()
    }

    /// epoll_ctl(2), if it needs no system call. `None`: the kernel is to be called, and knows by now
    /// all that it has to for that.
    pub(super) fn control(
        &mut self,
        operation: c_int,
        fd: RawFd,
        interest: Option<Interest>,
        has_sleepers: bool,
    ) -> Option<Result<(), Errno>> {
        let registration = self.by_fd.get_mut(&fd)?;
        let by_kernel = self.shared
            || has_sleepers
            || registration.told.is_of_kernel()
            || interest.is_some_and(Interest::is_of_kernel)
            || (interest.is_none() && operation != EPOLL_CTL_DEL)
            || !truth::is_stream(fd);
        if by_kernel {
            self.tell(fd);
            return None;
        }
        let refused = match (operation, registration.asked) {
            (EPOLL_CTL_ADD, Some(_)) => Some(libc::EEXIST),
            (EPOLL_CTL_MOD | EPOLL_CTL_DEL, None) => Some(libc::ENOENT),
            (EPOLL_CTL_ADD | EPOLL_CTL_MOD | EPOLL_CTL_DEL, _) => None,
            _ => Some(libc::EINVAL),
        };
        if let Some(errno) = refused {
            return Some(Err(Errno::new(errno)));
        }
        registration.asked = interest.filter(|_| operation != EPOLL_CTL_DEL);
        if !registration.listed {
            registration.listed = true;
            self.listed.push(fd);
        }
        Some(Ok(()))
    }

    /// The kernel was told so of a descriptor; `None`: that it is taken out.
    pub(super) fn note(&mut self, fd: RawFd, interest: Option<Interest>) {
        let heard_before = self.remove(fd);
        if interest.is_none() && heard_before {
            listening::leave(fd);
        }
        if let Some(told) = interest {
            // Which of two an event is about cannot be told: the kernel alone judges.
            let is_alone = self.of_data(told.data).next().is_none();
            if !is_alone {
                self.share();
            }
            self.by_data.insert((told.data, fd));
            let slot = told
                .may_be_listed()
                .then(|| self.listening.add(fd, told.is_edge()))
                .flatten();
            if slot.is_some() {
                self.listed.push(fd);
            } else if heard_before {
                listening::say_again(fd);
            } else if self.shared || told.events & READABLE != 0 {
                watch(fd, told);
            }
            let registration = Registration {
                asked: interest,
                told,
                has_ended: false,
                listed: slot.is_some(),
                slot,
            };
            self.by_fd.insert(fd, registration);
        }
    }

    /// Whether it was heard of by the list.
    fn remove(&mut self, fd: RawFd) -> bool {
        let Some(registration) = self.by_fd.remove(&fd) else {
            return false;
        };
        self.by_data.remove(&(registration.told.data, fd));
        if registration.listed {
            self.listed.retain(|other| *other != fd);
        }
        if let Some(slot) = registration.slot {
            self.listening.remove(slot, fd);
        }
        registration.slot.is_some()
    }

    /// Tells the kernel what it does not know of a descriptor.
    pub(super) fn tell(&mut self, fd: RawFd) {
        let Some(registration) = self.by_fd.get(&fd).filter(|found| found.is_pending()) else {
            return;
        };
        let asked = registration.asked;
        let done = self.call_with(fd, asked);
        // It fails only for a descriptor that somebody has closed behind our back.
        self.note(fd, asked.filter(|_| done));
    }

    fn call_with(&self, fd: RawFd, asked: Option<Interest>) -> bool {
        match asked {
            Some(interest) => self.call_kernel(EPOLL_CTL_MOD, fd, interest.event(false)),
            None => self.call_kernel(EPOLL_CTL_DEL, fd, epoll_event { events: 0, u64: 0 }),
        }
    }

    fn call_kernel(&self, operation: c_int, fd: RawFd, mut event: epoll_event) -> bool {
        // SAFETY: the event is live.
        unsafe { real::epoll_ctl(self.number, operation, fd, &raw mut event) == 0 }
    }

    /// Tells the kernel all that it does not know.
    pub(super) fn settle(&mut self) {
        for fd in mem::take(&mut self.listed) {
            let Some(registration) = self.by_fd.get_mut(&fd) else {
                continue;
            };
            // Of one that is heard of by the list the kernel does not know what has come.
            registration.listed = registration.slot.is_some();
            if registration.listed {
                self.listed.push(fd);
            }
            self.tell(fd);
            self.look_for_end(fd);
        }
    }

    /// Has the kernel say of a registration that waits for an end whether that is there.
    pub(super) fn look_for_end(&mut self, fd: RawFd) {
        let Some(registration) = self.by_fd.get_mut(&fd) else {
            return;
        };
        let told = registration.told;
        if !told.waits_for_end() || registration.is_pending() {
            return;
        }
        let has_ended = truth::events(fd) & ALWAYS != 0;
        if mem::replace(&mut registration.has_ended, has_ended) != has_ended {
            self.call_kernel(EPOLL_CTL_MOD, fd, told.event(has_ended));
        }
    }

    /// The same for those of this data, of which the kernel has just spoken: who asked for edges has had
    /// this one.
    pub(super) fn look_for_ends_of(&mut self, data: u64) {
        let waiting = |(fd, told): (RawFd, Interest)| {
            (told.waits_for_end() && told.events & EPOLLET as u32 == 0).then_some(fd)
        };
        let waiting: Vec<RawFd> = self.of_data(data).filter_map(waiting).collect();
        for fd in waiting {
            self.look_for_end(fd);
        }
    }

    /// From now on the kernel is told at once.
    pub(super) fn share(&mut self) {
        if !mem::replace(&mut self.shared, true) {
            self.stop_listening();
            self.settle();
            for (fd, registration) in &self.by_fd {
                watch(*fd, registration.told);
            }
        }
    }

    /// From now on the descriptors say what comes: several threads wait, or the kernel alone is asked.
    pub(super) fn stop_listening(&mut self) {
        // Given back last: who has the list next is woken for nobody else.
        let Listening::To(_list) = mem::replace(&mut self.listening, Listening::Over) else {
            return;
        };
        for (fd, registration) in &mut self.by_fd {
            if registration.slot.take().is_some() {
                listening::say_again(*fd);
            }
        }
    }

    /// The same, but what the kernel does not take stays to be told.
    pub(super) fn share_over_exec(&mut self) {
        self.shared = true;
        self.stop_listening();
        for fd in mem::take(&mut self.listed) {
            let Some(registration) = self.by_fd.get_mut(&fd) else {
                continue;
            };
            let (is_pending, asked) = (registration.is_pending(), registration.asked);
            registration.listed = false;
            if is_pending && self.call_with(fd, asked) {
                self.note(fd, asked);
            } else if is_pending && let Some(registration) = self.by_fd.get_mut(&fd) {
                registration.listed = true;
                self.listed.push(fd);
            }
        }
    }

    /// Takes the descriptors of a range out, which are about to be closed; the kernel keeps those that
    /// have other numbers, so it has to know.
    pub(super) fn forget_range(&mut self, first: RawFd, last: RawFd) {
        let within: Vec<RawFd> = self.by_fd.range(first..=last).map(|(fd, _)| *fd).collect();
        for fd in within {
            self.tell(fd);
            if self.remove(fd) {
                listening::leave(fd);
            }
        }
    }

    /// Whether a wait has to look before it sleeps.
    pub(super) fn has_changes(&self) -> bool {
        !self.listed.is_empty() || self.listening.heard().is_some()
    }

    /// Takes note of those to which something has come.
    pub(super) fn gather(&mut self) {
        let (by_fd, listed) = (&mut self.by_fd, &mut self.listed);
        let Some(heard) = self.listening.heard() else {
            return;
        };
        if heard.is_inherited() {
            return self.stop_listening();
        }
        heard.take(|fd| {
            if let Some(registration) = by_fd.get_mut(&fd)
                && !mem::replace(&mut registration.listed, true)
            {
                listed.push(fd);
            }
        });
    }

    /// Descriptors of which the kernel was told this data, and what is asked of them.
    pub(super) fn of_data(&self, data: u64) -> impl Iterator<Item = (RawFd, Interest)> {
        self.by_data
            .range((data, RawFd::MIN)..=(data, RawFd::MAX))
            .filter_map(|(_, fd)| Some((*fd, self.by_fd.get(fd)?.told)))
    }

    /// Whether [`Self::look`] judges what the kernel says with this data.
    pub(super) fn is_judged(&self, data: u64) -> bool {
        let mut of_data = self.by_data.range((data, RawFd::MIN)..=(data, RawFd::MAX));
        of_data.any(|(_, fd)| self.by_fd.get(fd).is_some_and(|found| found.listed))
    }

    /// Begins a wait.
    pub(super) fn turn(&mut self, events: &mut [epoll_event], may_sleep: bool) -> Turn {
        if events.is_empty() {
            // Without a place only the kernel answers.
            self.stop_listening();
        }
        self.gather();
        if self.shared {
            self.settle();
        } else if self.turns < TURNS_WITHOUT_KERNEL || events.is_empty() {
            // Without a place nothing can be completed: what the kernel gives would be lost.
            let found = self.look(events);
            if found > 0 {
                self.turns += 1;
                return Turn::Answered(found);
            }
        } else {
            self.turns = 0;
            return Turn::Ask;
        }
        self.turns = 0;
        if may_sleep {
            self.settle();
            let is_awaited = self.prepare_sleep();
            let found = self.look(events);
            if found > 0 {
                self.turns += 1;
                return Turn::Answered(found);
            }
            if !is_awaited {
                // What was noted was read already, and nobody would wake this thread.
                return Turn::Ask;
            }
        }
        if self.listed.is_empty() {
            Turn::Sleep
        } else {
            Turn::Ask
        }
    }

    /// From here on who notes something on the list wakes this thread. `false`: something was noted just
    /// now, and nobody does.
    fn prepare_sleep(&mut self) -> bool {
        let prepared = self
            .listening
            .heard()
            .is_none_or(listening::Heard::prepare_sleep);
        if !prepared {
            self.gather();
        }
        prepared
    }

    /// Writes the events of those that were changed; how many. One that the kernel judges as well as
    /// this, and that is not ready, is looked at no more.
    pub(super) fn look(&mut self, events: &mut [epoll_event]) -> usize {
        let mut found = 0;
        let by_fd = &mut self.by_fd;
        self.listed.retain(|fd| {
            let Some(registration) = by_fd.get_mut(fd) else {
                return false;
            };
            let Some(asked) = registration.asked else {
                return true;
            };
            let Some(place) = events.get_mut(found) else {
                return true;
            };
            let ready = truth::events(*fd) & (asked.events | ALWAYS);
            if ready != 0 {
                found += 1;
                *place = epoll_event {
                    events: ready,
                    u64: asked.data,
                };
            }
            registration.listed = (ready != 0 && !asked.is_edge()) || registration.is_pending();
            registration.listed
        });
        // Who had no place is the first next time.
        let places = found.min(self.listed.len());
        self.listed.rotate_left(places);
        found
    }
}

/// Has a descriptor follow its socket's readiness.
fn watch(fd: RawFd, told: Interest) {
    // It can fail only when another thread has closed it: then nobody waits for it.
    let _ = calls::watch_for_good(fd, told.is_edge());
}
