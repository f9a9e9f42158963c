//! How a call that may block waits: a brief busy wait where those have paid off lately, then poll(2)
//! on the socket's own descriptor.
//!
//! The order that loses no wake-up is that of `braid_shm`: announce (a [`Watch`](braid_shm::Watch), or
//! filler), look once more, sleep. The descriptor hangs up when the engine is gone, so no sleep
//! outlives it.
//!
//! poll(2) is never restarted after a signal handler, whereas the kernel's own calls are if the handler
//! was installed with SA_RESTART and no timeout is set (signal(7)). Which handler ran is not told; so a
//! wait goes on if all of the process's handlers were installed so, and fails with EINTR otherwise. A
//! call that has moved bytes already is not restarted either way: the kernel's gives what it has moved.
//!
//! A thread that is cancelled (pthread_cancel(3)) ends in its sleep, as in the kernel's calls: what is
//! held on the way out of here is dropped, so the functions that C calls let an unwinding pass.

use crate::descriptor::OpenSocket;
use crate::errno::Errno;
use crate::fork;
use crate::sys::{poll, process};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a busy wait lasts: about a round trip through the engine on one machine.
const SPIN_TIME: Duration = Duration::from_micros(20);
/// Looks between two looks at the clock.
const SPIN_LOOKS: u32 = 64;
/// Credit after a busy wait that was enough. It goes down with each that was not; below
/// [`SPIN_THRESHOLD`] there are none, and every wait without one brings the next attempt nearer.
pub(crate) const SPIN_CREDIT: u32 = SPIN_THRESHOLD + 4;
const SPIN_THRESHOLD: u32 = 64;
/// How long a sleep lasts at most that the engine may not end: for less than SO_RCVLOWAT.
const STEP: Duration = Duration::from_millis(5);
/// Wake-ups in a row with nothing there after which the descriptor's readiness is set anew.
const IDLE_WAKES: u32 = 16;

/// How long a call may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    /// O_NONBLOCK, MSG_DONTWAIT.
    None,
    /// SO_RCVTIMEO, SO_SNDTIMEO.
    Until(Instant),
    /// Until it is done.
    Endless,
}

impl Patience {
    pub(crate) fn new(nonblocking: bool, timeout: Option<Duration>) -> Self {
        match timeout {
            _ if nonblocking => Self::None,
            Some(timeout) => Instant::now()
                .checked_add(timeout)
                .map_or(Self::Endless, Self::Until),
            None => Self::Endless,
        }
    }

    /// The time left; `None` without a bound. Errors: EAGAIN when none is left.
    fn left(self) -> Result<Option<Duration>, Errno> {
        match self {
            Self::None => Err(Errno::new(libc::EAGAIN)),
            Self::Endless => Ok(None),
            Self::Until(end) => Some(end.saturating_duration_since(Instant::now()))
                .filter(|left| !left.is_zero())
                .map(Some)
                .ok_or(Errno::new(libc::EAGAIN)),
        }
    }
}

/// The waits of one call.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    pub(crate) socket: &'a OpenSocket,
    pub(crate) fd: BorrowedFd<'a>,
    pub(crate) patience: Patience,
    /// The call has moved bytes: a signal ends it, whatever its handler was installed with.
    pub(crate) begun: bool,
    idle_wakes: u32,
}

impl<'a> Waiter<'a> {
    pub(crate) fn new(socket: &'a OpenSocket, fd: BorrowedFd<'a>, patience: Patience) -> Self {
        Self {
            socket,
            fd,
            patience,
            begun: false,
            idle_wakes: 0,
        }
    }

    /// Waits until `ready`, or for no reason: the caller looks again. Errors: EAGAIN, EINTR.
    pub(crate) fn for_bytes(&mut self, ready: impl Fn() -> bool) -> Result<(), Errno> {
        self.patience.left()?;
        if spin(self.socket, &ready) {
            return Ok(());
        }
        let slot = self.socket.slot();
        self.idle_wakes += 1;
        if self.idle_wakes.is_multiple_of(IDLE_WAKES) {
            slot.resynchronize(fork::thread(), &self.fd);
        }
        let _watch = slot.watch();
        if ready() {
            return Ok(());
        }
        // The engine wakes for that many unread bytes; what this call still wants may be fewer.
        let step = (slot.receive_low_water() > 1).then_some(STEP);
        self.sleep(libc::POLLIN, step)
    }

    /// Waits in small steps for bytes behind bytes that are there: the descriptor is readable.
    pub(crate) fn for_more_bytes(&mut self, ready: impl Fn() -> bool) -> Result<(), Errno> {
        self.patience.left()?;
        if !spin(self.socket, &ready) {
            self.sleep(0, Some(STEP))?;
        }
        Ok(())
    }

    /// Waits until there is room in the ring, or for no reason. Errors: EAGAIN, EINTR.
    pub(crate) fn for_room(&mut self, ready: impl Fn() -> bool) -> Result<(), Errno> {
        let may_wait = self.patience.left();
        if may_wait.is_ok() && spin(self.socket, &ready) {
            return Ok(());
        }
        // A call that does not wait leaves the descriptor unwritable, for the poll that follows it.
        self.socket.slot().block(fork::thread(), &self.fd)?;
        if ready() {
            return Ok(());
        }
        may_wait?;
        self.sleep(libc::POLLOUT, None)
    }

    /// Waits for the end of connect(), or for no reason. Errors: EAGAIN, EINTR.
    pub(crate) fn for_connection(&mut self, ready: impl Fn() -> bool) -> Result<(), Errno> {
        self.patience.left()?;
        self.socket.slot().block(fork::thread(), &self.fd)?;
        if ready() {
            return Ok(());
        }
        self.sleep(libc::POLLOUT, None)
    }

    /// Waits for a packet on a listener's descriptor. Errors: EAGAIN, EINTR.
    pub(crate) fn for_packet(&mut self) -> Result<(), Errno> {
        self.sleep(libc::POLLIN, None)
    }

    fn sleep(&self, events: libc::c_short, step: Option<Duration>) -> Result<(), Errno> {
        let left = self.patience.left()?;
        let time = match (left, step) {
            (Some(left), Some(step)) => Some(left.min(step)),
            (left, step) => left.or(step),
        };
        match poll::sleep_on(self.fd, events, time) {
            Ok(0) => self.patience.left().map(drop),
            Ok(events) => {
                if events & libc::POLLHUP != 0 {
                    self.socket.note_hang_up();
                }
                Ok(())
            }
            Err(errno)
                if errno.get() == libc::EINTR
                    && !self.begun
                    && self.patience == Patience::Endless
                    && process::every_handler_restarts() =>
            {
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }
}

/// Looks for `ready` for a moment, where that has paid off lately for this socket; whether it came.
pub(crate) fn spin(socket: &OpenSocket, ready: impl Fn() -> bool) -> bool {
    let credit = &socket.spin_credit;
    let before = credit.load(Ordering::Relaxed);
    if !spins_pay() {
        return ready();
    }
    if before < SPIN_THRESHOLD {
        credit.store(before + 1, Ordering::Relaxed);
        return ready();
    }
    let end = Instant::now() + SPIN_TIME;
    loop {
        for _ in 0..SPIN_LOOKS {
            if ready() {
                credit.store(SPIN_CREDIT, Ordering::Relaxed);
                return true;
            }
            std::hint::spin_loop();
        }
        if Instant::now() >= end {
            let after = if before == SPIN_THRESHOLD {
                0
            } else {
                before - 1
            };
            credit.store(after, Ordering::Relaxed);
            return false;
        }
    }
}

/// Whether the engine can run while this thread does not sleep.
fn spins_pay() -> bool {
    static PROCESSORS: AtomicU32 = AtomicU32::new(0);
    match PROCESSORS.load(Ordering::Relaxed) {
        0 => {
            let found = thread::available_parallelism().map_or(1, |n| n.get() as u32);
            PROCESSORS.store(found, Ordering::Relaxed);
            found > 1
        }
        found => found > 1,
    }
}
