//! poll(2) over sockets of the engine and descriptors of the kernel together.
//!
//! A socket's events are judged from its words, as Linux's `tcp_poll` judges its own; the kernel is
//! asked only when there is nothing to report, and for descriptors that are its own.

use super::of;
use crate::descriptor::{self, Descriptor, OpenSocket};
use crate::errno::Errno;
use crate::fork;
use crate::sys::descriptor::borrow;
use crate::sys::poll as sys;
use crate::wait;
use braid_shm::{ReadEnd, SlotState};
use libc::{
    POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM, c_short, pollfd, sigset_t,
};
use std::os::fd::{BorrowedFd, RawFd};
use std::time::{Duration, Instant};

/// What a poll reports whether it was asked for or not.
const ALWAYS: c_short = POLLERR | POLLHUP;
const READ: c_short = POLLIN | POLLRDNORM;
const WRITE: c_short = POLLOUT | POLLWRNORM;
/// Wake-ups for nothing after which descriptors' readiness is set anew.
const IDLE_WAKES: u32 = 16;
/// How long a sleep lasts at most when the kernel can say nothing of what may come: that a connection
/// whose peer has finished is over in the other direction, too, to one who asked for nothing else.
const HALF_CLOSED_STEP: Duration = Duration::from_millis(50);

/// How long the engine is given to answer a kick, which takes it some microseconds.
const ANSWER: Duration = Duration::from_millis(10);

/// The events of a socket now: POLLIN, POLLOUT, POLLRDHUP, POLLHUP, POLLERR and what goes with them.
/// No system call, except on a listener.
pub fn readiness(fd: RawFd) -> Result<c_short, Errno> {
    let (socket, borrowed) = of(fd)?;
    if socket.slot().state() == SlotState::Listening {
        let found = sys::poll_one(borrowed, POLLIN, Some(Duration::ZERO))?;
        return Ok(of_listener(&socket, found));
    }
    Ok(events_of(&socket))
}

/// Whether the descriptor is readable for nothing: by the token of bytes that were read meanwhile, which
/// is taken out. Readiness for what comes from now on shows again.
pub fn take_back(fd: RawFd) -> Result<bool, Errno> {
    let (socket, borrowed) = of(fd)?;
    let is_stream = matches!(
        socket.slot().state(),
        SlotState::Connecting | SlotState::Established
    );
    if !is_stream || events_of(&socket) & READ != 0 {
        return Ok(false);
    }
    let slot = socket.slot();
    // A receive of nothing sets the descriptor right, and has the engine look if need be.
    slot.receive(fork::thread(), &mut [], &borrowed)?;
    Ok(events_of(&socket) & READ == 0)
}

/// Waits a moment until the kernel knows that a socket is readable, if it is.
pub(super) fn wait_until_readable(socket: &OpenSocket, fd: BorrowedFd<'_>) {
    if socket.slot().state() != SlotState::Listening && events_of(socket) & READ != 0 {
        let _ = sys::poll_one(fd, POLLIN, Some(ANSWER));
    }
}

fn of_listener(listener: &OpenSocket, found: c_short) -> c_short {
    if found & POLLHUP != 0 {
        listener.note_hang_up();
        return READ | ALWAYS;
    }
    found & READ
}

fn events_of(socket: &OpenSocket) -> c_short {
    let slot = socket.slot();
    if socket.engine_is_gone() {
        return READ | WRITE | POLLRDHUP | ALWAYS;
    }
    let state = slot.state();
    let failed = slot.has_untold_failure();
    let read_ended = failed || slot.read_end() != ReadEnd::Open;
    let write_ended = failed || slot.write_closed();
    let mut events = 0;
    if slot.has_error() {
        events |= POLLERR;
    }
    if (read_ended && write_ended) || matches!(state, SlotState::Open | SlotState::Closed) {
        events |= POLLHUP;
    }
    if read_ended {
        events |= READ | POLLRDHUP;
    }
    if state == SlotState::Connecting {
        return events;
    }
    let capacity = usize::try_from(socket.region().memory().layout().ring_bytes()).unwrap_or(0);
    let enough = (slot.receive_low_water() as usize).min(capacity / 2).max(1);
    if slot.unread().map_or(true, |unread| unread >= enough) {
        events |= READ;
    }
    if write_ended || slot.is_writable() || state != SlotState::Established {
        events |= WRITE;
    }
    events
}

/// Waits until one of the descriptors has an event that it is asked for; how many have. `mask`: the
/// thread's signals meanwhile, as in ppoll(2). `timeout` `None`: for ever.
///
/// Errors: EINTR, ENOMEM, EINVAL for more descriptors than there can be.
pub fn poll(
    entries: &mut [pollfd],
    timeout: Option<Duration>,
    mask: Option<&sigset_t>,
) -> Result<usize, Errno> {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let sockets = Sockets::of(entries);
    if sockets.0.is_empty() {
        return sys::sleep(entries, timeout, mask);
    }
    if sockets.0.len() == entries.len() && timeout != Some(Duration::ZERO) {
        // Nothing of the kernel's: a brief busy wait may do.
        let ready = || sockets.any_ready(entries);
        if let Some((_, first)) = sockets.0.first() {
            wait::spin(first, ready);
        }
    }
    for round in 1u32.. {
        let watches = sockets.announce(entries)?;
        // Before the last look: what ends from now on, the kernel is asked for.
        let (mut asked, step) = sockets.questions(entries);
        let ready = sockets.any_ready(entries);
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let time = match (left, step) {
            _ if ready => Some(Duration::ZERO),
            (Some(left), Some(step)) => Some(left.min(step)),
            (left, step) => left.or(step),
        };
        if !ready || asked.len() > sockets.0.len() || sockets.has_listener() {
            sys::sleep(&mut asked, time, mask)?;
        }
        drop(watches);
        let found = sockets.judge(entries, &asked, round.is_multiple_of(IDLE_WAKES));
        if found > 0 || left.is_some_and(|left| left.is_zero()) {
            return Ok(found);
        }
    }
    Ok(0)
}

/// The sockets of the engine among the entries, by their position.
struct Sockets(Vec<(usize, Descriptor)>);

impl Sockets {
    fn of(entries: &[pollfd]) -> Self {
        let known = entries.iter().enumerate();
        Self(
            known
                .filter_map(|(at, entry)| Some((at, descriptor::find(entry.fd)?)))
                .collect(),
        )
    }

    fn each<'a>(
        &'a self,
        entries: &'a [pollfd],
    ) -> impl Iterator<Item = (&'a pollfd, &'a Descriptor)> {
        self.0
            .iter()
            .filter_map(|(at, socket)| Some((entries.get(*at)?, socket)))
    }

    fn has_listener(&self) -> bool {
        self.0
            .iter()
            .any(|(_, socket)| socket.slot().state() == SlotState::Listening)
    }

    /// Whether one has an event, listeners apart.
    fn any_ready(&self, entries: &[pollfd]) -> bool {
        self.each(entries).any(|(entry, socket)| {
            socket.slot().state() != SlotState::Listening
                && events_of(socket) & (entry.events | ALWAYS) != 0
        })
    }

    /// Says that somebody is about to sleep for them.
    fn announce(&self, entries: &[pollfd]) -> Result<Vec<braid_shm::Watch<'_>>, Errno> {
        let mut watches = Vec::with_capacity(self.0.len());
        for (at, socket) in &self.0 {
            let slot = socket.slot();
            let Some(entry) = entries.get(*at) else {
                continue;
            };
            if slot.state() == SlotState::Listening {
                continue;
            }
            if entry.events & (READ | POLLRDHUP) != 0 {
                watches.push(slot.watch());
            }
            if entry.events & WRITE != 0
                && events_of(socket) & WRITE == 0
                && let Some(fd) = borrow(entry.fd)
            {
                slot.block(fork::thread(), &fd)?;
            }
        }
        Ok(watches)
    }

    /// What the kernel is asked, and how long it may be left to answer.
    ///
    /// Of POLLHUP and POLLERR it knows nothing. Whatever brings them ends the receiving side, of which
    /// it knows as POLLRDHUP, unless that has ended before.
    fn questions(&self, entries: &[pollfd]) -> (Vec<pollfd>, Option<Duration>) {
        let mut asked = entries.to_vec();
        let mut step = None;
        for (at, socket) in &self.0 {
            if let Some(entry) = asked.get_mut(*at) {
                let mut events = 0;
                if entry.events & (READ | POLLRDHUP) != 0 {
                    events |= POLLIN;
                }
                if entry.events & WRITE != 0 {
                    events |= POLLOUT;
                }
                let slot = socket.slot();
                if slot.state() != SlotState::Listening {
                    if slot.read_end() == ReadEnd::Open {
                        events |= POLLRDHUP;
                    } else if events == 0 {
                        step = Some(HALF_CLOSED_STEP);
                    }
                }
                entry.events = events;
                entry.revents = 0;
            }
        }
        (asked, step)
    }

    /// Writes the events of all entries; how many have some.
    fn judge(&self, entries: &mut [pollfd], asked: &[pollfd], resynchronize: bool) -> usize {
        for (entry, answer) in entries.iter_mut().zip(asked) {
            entry.revents = answer.revents;
        }
        for (at, socket) in &self.0 {
            let Some(entry) = entries.get_mut(*at) else {
                continue;
            };
            let found = entry.revents;
            let slot = socket.slot();
            if slot.state() == SlotState::Listening {
                entry.revents = of_listener(socket, found) & (entry.events | ALWAYS);
                continue;
            }
            if found & POLLHUP != 0 {
                socket.note_hang_up();
            }
            let events = events_of(socket);
            entry.revents = events & (entry.events | ALWAYS);
            if found & POLLIN != 0 && events & READ == 0 {
                // A token for bytes that were read meanwhile.
                if let Some(fd) = borrow(entry.fd) {
                    let _ = slot.receive(fork::thread(), &mut [], &fd);
                    if resynchronize {
                        slot.resynchronize(fork::thread(), &fd);
                    }
                }
            }
        }
        entries.iter().filter(|entry| entry.revents != 0).count()
    }
}
