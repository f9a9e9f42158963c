//! When a worker sleeps, and what wakes it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::port::PortError;
use crate::sys::eventfd::EventFd;

/// What a worker does with time it has nothing to do in.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum IdlePolicy {
    /// Polls on: the shortest delay, at the price of the core.
    Spin,
    /// Polls on for a while, then sleeps until a frame comes, a timer is due or a [`Waker`] rings.
    Sleep {
        /// How long it polls in vain before it sleeps. Zero to sleep at once.
        after: Duration,
    },
}

impl Default for IdlePolicy {
    /// Sleeps after 20 microseconds, about what waking up costs.
    fn default() -> Self {
        Self::Sleep {
            after: Duration::from_micros(20),
        }
    }
}

/// What else a worker wakes for than its ports: the applications, whose bells one descriptor
/// gathers.
pub trait Beside {
    /// Readable when there is work; `None` when there can be none.
    fn poll_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Called before the worker sleeps: from now on whoever brings work must ring. `false` when
    /// some is there already, so that the worker does not sleep.
    fn prepare_to_sleep(&mut self) -> bool;

    /// Called after the sleep, and after one that was not entered: nobody needs to ring.
    fn awake(&mut self);
}

/// A worker without anything beside its ports.
pub(super) struct Nothing;

impl Beside for Nothing {
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn prepare_to_sleep(&mut self) -> bool {
        true
    }

    fn awake(&mut self) {}
}

/// Wakes a sleeping worker from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    pub(super) fn new() -> Result<Self, PortError> {
        let bell = EventFd::new().map_err(|source| PortError::System {
            action: "making an event descriptor for a worker".into(),
            source,
        })?;
        Ok(Self(Arc::new(bell)))
    }

    /// Wakes the worker, or keeps it from its next sleep.
    pub fn wake(&self) {
        self.0.ring();
    }

    pub(super) fn silence(&self) {
        self.0.silence();
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
