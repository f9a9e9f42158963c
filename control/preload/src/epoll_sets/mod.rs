//! Which sockets of the engine are in which epoll set (epoll(7)).
//!
//! The kernel knows when a socket's descriptor is readable or writable. That a connection has failed or
//! is over in both directions it does not know: EPOLLERR and EPOLLHUP are added to what epoll_wait(2)
//! gives, by the data that the program registered the descriptor with. And it may say that a socket is
//! readable that is not: the token of bytes that were read meanwhile. That is taken back, for some
//! programs take EAGAIN from a readable socket for a failure.
//!
//! What a program changes of a registration the kernel is told when somebody is about to sleep for it
//! (see [`set`]), unless others look at the set by the kernel alone. One set of the process hears what
//! comes to its sockets by a list in shared memory, and the kernel hears of it only while its thread
//! sleeps (see [`listening`]).
//!
//! Who asks for nothing that the kernel knows would hear of no end. For those the kernel is asked when
//! nothing more will be read, as which an end begins.
//!
//! Where several descriptors have the same data, which of them an event is about cannot be told: then
//! only what is so of all of them is added, and nothing is taken back.

mod listening;
mod missed;
mod set;
mod sleepers;
mod truth;

use crate::guarded::{Guarded, Held, SignalsWait};
use crate::real;
use braid_socket::{Errno, calls};
use libc::{EPOLL_CTL_DEL, EPOLLET, EPOLLONESHOT, EPOLLRDHUP, c_int, epoll_event};
use missed::Missed;
pub(crate) use set::Turn;
use set::{EpollSet, Interest};
pub(crate) use sleepers::Asleep;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// All sets that have sockets of the engine in them.
#[derive(Debug, Default)]
pub(crate) struct EpollSets(BTreeMap<RawFd, EpollSet>);

static SETS: Guarded<EpollSets> = Guarded::new(EpollSets(BTreeMap::new()));
/// How many there are, so that programs without pay one load.
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread looks into the sets, with its signals on. A handler of it that closes a descriptor
    /// leaves them as they are: what is left over there names a descriptor that is in no set any more;
    /// and a handler that forks finds them whole once the look goes on, on both sides.
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

/// All of them, if there are any, and if the caller is not a handler that has interrupted a look.
pub(crate) fn held() -> Option<Held<EpollSets>> {
    if is_empty() || LOOKING.get() {
        return None;
    }
    keep_missed();
    Some(lock())
}

/// A look of epoll_wait(2) or epoll_ctl(2) into one set. A handler that interrupts it finds none, and what it
/// does there is kept afterwards.
fn look<T>(set: RawFd, work: impl FnOnce(&mut EpollSet) -> T) -> Option<T> {
    if is_empty() || LOOKING.replace(true) {
        return None;
    }
    let mut sets = SETS.lock_with_signals();
    let done = sets.0.get_mut(&set).map(work);
    drop(sets);
    LOOKING.set(false);
    keep_missed();
    done
}

/// Does what handlers have done during a look again. Before anything newer is done: also by a handler that
/// comes between the look and this, and none comes amid it.
fn keep_missed() {
    if !missed::is_any() {
        return;
    }
    let _signals = SignalsWait::new();
    while let Some(missed) = missed::take() {
        if missed.tell_again() {
            keep(missed.set, missed.fd, missed.interest);
        }
    }
}

impl EpollSets {
    /// Drops sets without a socket.
    fn clean(&mut self) {
        self.0.retain(|_, set| !set.is_empty());
        COUNT.store(self.0.len(), Ordering::Relaxed);
    }

    /// From now on the kernel is told all at once: before a fork, whose child has the same sets.
    pub(crate) fn share_all(&mut self) {
        for set in self.0.values_mut() {
            set.share();
        }
    }
}

/// epoll_ctl(2) on a socket of the engine, if it needs no system call. `None`: the kernel is to be
/// called, and [`note`] after it.
pub(crate) fn control(
    set: RawFd,
    operation: c_int,
    fd: RawFd,
    event: Option<epoll_event>,
) -> Option<Result<(), Errno>> {
    if is_empty() || LOOKING.get() {
        return None;
    }
    keep_missed();
    look(set, |found| {
        // Announced first: either a sleeper is seen here, or it sees that something was changed.
        sleepers::note_change(set);
        let has_sleepers = sleepers::any(set);
        let outcome = found.control(operation, fd, event.map(Interest::from), has_sleepers);
        sleepers::set_changed(set, found.has_changes());
        outcome
    })?
}

/// A call of epoll_ctl(2) on a socket of the engine has succeeded.
pub(crate) fn note(set: RawFd, operation: c_int, fd: RawFd, event: Option<epoll_event>) {
    let event = event.filter(|_| operation != EPOLL_CTL_DEL);
    let interest = event.map(Interest::from);
    if LOOKING.get() {
        missed::add(Missed { set, fd, interest });
        if let Some(event) = event {
            // It can fail only when another thread has closed it: then nobody waits for it.
            let _ = calls::watch_for_good(fd, event.events & EPOLLET as u32 != 0);
        }
    } else {
        keep_missed();
        keep(set, fd, interest);
    }
}

fn keep(set: RawFd, fd: RawFd, interest: Option<Interest>) {
    let mut sets = lock();
    let found = sets.0.entry(set).or_insert_with(|| EpollSet::new(set));
    if sleepers::any(set) {
        // It may sleep for a token that no longer ends its sleep.
        found.stop_listening();
    }
    found.note(fd, interest);
    sleepers::set_changed(set, found.has_changes());
    sets.clean();
    if !sleepers::is_alone(set)
        && let Some(found) = sets.0.get_mut(&set)
    {
        found.share();
    }
}

/// What the kernel is to be told of a socket of the engine, for the program to hear what it asks.
pub(crate) fn for_kernel(fd: RawFd, event: epoll_event) -> epoll_event {
    if truth::is_stream(fd) {
        Interest::from(event).event(false)
    } else {
        event
    }
}

/// The program has shut a socket down: the connection may be over now.
pub(crate) fn look_for_end(fd: RawFd) {
    if let Some(mut sets) = held() {
        for set in sets.0.values_mut() {
            set.look_for_end(fd);
        }
    }
}

/// A set was made (epoll_create(2)).
pub(crate) fn note_made(set: RawFd) {
    sleepers::note_made(set);
}

/// Every set is about to be another process's as well, also those without a socket.
pub(crate) fn note_fork() {
    sleepers::note_all_seen();
}

/// A descriptor is about to be closed: it is a set, or is in sets.
pub(crate) fn forget(fd: RawFd) {
    forget_range(fd, fd);
}

/// The same for all from `first` to `last`.
pub(crate) fn forget_range(first: RawFd, last: RawFd) {
    if let Some(mut sets) = held() {
        sets.0.retain(|number, set| {
            let stays = !(first..=last).contains(number);
            if !stays {
                sleepers::set_changed(*number, false);
                set.stop_listening();
            }
            stays
        });
        for set in sets.0.values_mut() {
            set.forget_range(first, last);
        }
        sets.clean();
    }
}

/// Somebody is about to see these by the kernel alone, sets maybe: poll(2), another set, another
/// number, another process. Of a set without a socket that holds for those that are put into it.
pub(crate) fn share(descriptors: impl IntoIterator<Item = RawFd> + Clone) {
    descriptors
        .clone()
        .into_iter()
        .for_each(sleepers::note_seen);
    if let Some(mut sets) = held() {
        for fd in descriptors {
            if let Some(set) = sets.0.get_mut(&fd) {
                set.share();
            }
        }
    }
}

/// Tells the kernel all of every set: another program is about to have them.
pub(crate) fn settle() {
    if let Some(mut sets) = held() {
        sets.0.values_mut().for_each(EpollSet::settle);
    }
}

/// The same for those that an exec keeps: the new program may change them as well. Also in a child that
/// borrows its parent's memory, some of whose descriptors may be others than the parent's: what the
/// kernel does not take there the parent tells it later.
pub(crate) fn share_over_exec() {
    if let Some(mut sets) = held() {
        for (number, set) in &mut sets.0 {
            // SAFETY: no pointer is passed.
            let flags = unsafe { real::fcntl(*number, libc::F_GETFD, 0) };
            if flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
                sleepers::note_seen(*number);
                set.share_over_exec();
                sleepers::set_changed(*number, set.has_changes());
            }
        }
    }
}

/// Begins a wait.
pub(crate) fn turn(set: RawFd, events: &mut [epoll_event], may_sleep: bool) -> Turn {
    if !sleepers::has_changed(set) {
        return Turn::Sleep;
    }
    let turn = look(set, |found| {
        if sleepers::several(set) {
            found.stop_listening();
        }
        let turn = found.turn(events, may_sleep);
        sleepers::set_changed(set, found.has_changes());
        turn
    });
    turn.unwrap_or(Turn::Sleep)
}

/// Corrects the first `given` events, which the kernel has given of a set, and adds what it does not
/// know; how many there are now.
pub(crate) fn complete(set: RawFd, events: &mut [epoll_event], given: usize) -> usize {
    let all = look(set, |found| {
        found.gather();
        for event in events.iter_mut().take(given) {
            correct_one(found, event);
            if found.is_judged(event.u64) {
                event.events = 0;
            }
        }
        let left = close_up(events, given);
        let all = left + found.look(events.get_mut(left..).unwrap_or_default());
        sleepers::set_changed(set, found.has_changes());
        all
    });
    all.unwrap_or(given)
}

/// Corrects events that the kernel has given of a set; how many are left of them, in front.
pub(crate) fn correct(set: RawFd, events: &mut [epoll_event]) -> usize {
    let given = events.len();
    if is_empty() || given == 0 {
        return given;
    }
    look(set, |found| {
        for event in events.iter_mut() {
            correct_one(found, event);
        }
    });
    close_up(events, given)
}

/// Leaves out those of the first `given` of which nothing is left; how many there are then.
fn close_up(events: &mut [epoll_event], given: usize) -> usize {
    let mut left = 0;
    for at in 0..given {
        if let Some(event) = events.get(at).copied()
            && event.events != 0
            && let Some(place) = events.get_mut(left)
        {
            *place = event;
            left += 1;
        }
    }
    left
}

fn correct_one(set: &mut EpollSet, event: &mut epoll_event) {
    if event.events == 0 {
        return;
    }
    let mut known = set.of_data(event.u64);
    let Some((fd, told)) = known.next() else {
        return;
    };
    let mut added = truth::unknown_to_kernel(fd, event.events);
    let mut asked = told.events;
    let mut alone = true;
    for (other, told) in known {
        alone = false;
        asked |= told.events;
        added &= truth::unknown_to_kernel(other, event.events);
    }
    event.events |= added;
    // Which the kernel was told for the sake of an end.
    event.events &= asked | !(EPOLLRDHUP as u32);
    set.look_for_ends_of(event.u64);
    // After its one shot a registration rests: what is taken back would not come again.
    if alone && told.events & EPOLLONESHOT as u32 == 0 {
        event.events = truth::without_stale_token(fd, event.events);
    }
}
