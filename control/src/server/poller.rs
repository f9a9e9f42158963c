//! The descriptors that the control thread waits for (epoll(7)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

pub(crate) use rustix::event::epoll::EventFlags;

/// Events taken in one turn.
const EVENTS: usize = 256;

/// An epoll descriptor and room for what it tells.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

/// What happened at the descriptor that was added with `token`.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    pub(crate) flags: EventFlags,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
        })
    }

    /// Waits for `flags` of a descriptor, and always for its end.
    pub(crate) fn add(&self, fd: impl AsFd, token: u64, flags: EventFlags) -> io::Result<()> {
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), flags)?;
        Ok(())
    }

    /// Waits for other flags of a descriptor that was added.
    pub(crate) fn modify(&self, fd: impl AsFd, token: u64, flags: EventFlags) {
        // Fails only for a descriptor that is not waited for any more.
        let _ = epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(token), flags);
    }

    /// Waits for a descriptor no more. One that was not added is ignored.
    pub(crate) fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits until something happens, at most for `timeout` in milliseconds, and fills `ready`
    /// with it.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<std::time::Duration>,
        ready: &mut Vec<Ready>,
    ) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().map(|event| Ready {
            token: event.data.u64(),
            flags: event.flags,
        }));
        Ok(())
    }
}
