//! How a worker sleeps on a device that cannot wake it: for a short time, which grows while
//! nothing comes in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// The first nap: what waking up costs, twice.
const SHORTEST: Duration = Duration::from_micros(50);

/// The longest, which is what a frame waits at most on an idle host.
const LONGEST: Duration = Duration::from_millis(1);

/// A clock that wakes a worker.
#[derive(Debug)]
pub(super) struct Nap {
    timer: OwnedFd,
    next: Duration,
}

impl Nap {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self {
            timer: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            next: SHORTEST,
        })
    }

    /// Something came in: the next nap is short.
    pub(super) fn shorten(&mut self) {
        self.next = SHORTEST;
    }

    /// Sets the clock. False when it cannot be, so that there must be no sleep.
    pub(super) fn begin(&mut self) -> bool {
        let time = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: 0,
                tv_nsec: self.next.subsec_nanos().into(),
            },
        };
        self.next = (self.next * 2).min(LONGEST);
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &time).is_ok()
    }
}

impl AsFd for Nap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
