//! The way from worker to worker: a lock-free bounded ring for each ordered pair of them, by which
//! received data reaches the home of its connection, and all other letters between their stacks.
//!
//! Items are handed over by move, in order for each pair, in batches: what is sent is seen at the
//! next flush. A full ring gives the item back, and what becomes of it is the sender's to decide.
//! Nothing is allocated after construction.
//!
//! A ring for each pair costs memory by the square of the workers and one look a producer when there
//! is nothing; in return no two workers ever write the same line of cache, and none waits for another that
//! was interrupted.

mod exchange;
mod mailbox;
mod prefetch;
mod ring;
mod sync;

pub use exchange::{Exchange, exchanges};
pub use mailbox::{Bell, Inbox, Outbox, mailbox};
pub(crate) use ring::{Consumer, Producer, ring};

use crate::worker::Waker;

impl Bell for Waker {
    fn ring(&self) {
        self.wake();
    }
}

#[cfg(test)]
mod tests;
