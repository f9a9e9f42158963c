//! The mailboxes of all workers of an engine, and one worker's part in them.

use super::mailbox::{Bell, Inbox, Outbox, mailbox};

/// One worker's part: its own mailbox, and its way into each of the others'.
#[derive(Debug)]
pub struct Exchange<T, B: Bell> {
    inbox: Inbox<T, B>,
    /// By worker; none to itself.
    outboxes: Vec<Option<Outbox<T, B>>>,
}

/// The parts of as many workers as there are bells, in the order of their numbers. From each to each
/// `capacity` items may be under way (rounded up to a power of two).
pub fn exchanges<T: Send, B: Bell>(bells: Vec<B>, capacity: usize) -> Vec<Exchange<T, B>> {
    let workers = bells.len();
    let mut exchanges: Vec<Exchange<T, B>> = Vec::with_capacity(workers);
    let mut ways: Vec<Vec<Option<Outbox<T, B>>>> =
        (0..workers).map(|_| Vec::with_capacity(workers)).collect();
    for (owner, bell) in bells.into_iter().enumerate() {
        let (inbox, outboxes) = mailbox(bell, workers - 1, capacity);
        let mut outboxes = outboxes.into_iter();
        for (worker, ways) in ways.iter_mut().enumerate() {
            ways.push((worker != owner).then(|| outboxes.next()).flatten());
        }
        exchanges.push(Exchange {
            inbox,
            outboxes: Vec::new(),
        });
    }
    for (exchange, ways) in exchanges.iter_mut().zip(ways) {
        exchange.outboxes = ways;
    }
    exchanges
}

impl<T: Send, B: Bell> Exchange<T, B> {
    /// Of how many workers this is a part.
    pub fn workers(&self) -> usize {
        self.outboxes.len()
    }

    /// Sends `item` to worker `to`, which gets it after the next [`Self::flush`].
    ///
    /// # Errors
    ///
    /// Gives `item` back when the ring to `to` is full (it has been flushed then), or when there is
    /// none: `to` is this worker itself, or no worker.
    pub fn send(&mut self, to: usize, item: T) -> Result<(), T> {
        match self.outboxes.get_mut(to) {
            Some(Some(outbox)) => outbox.send(item),
            _ => Err(item),
        }
    }

    /// Lets the other workers have all that was sent to them, and wakes those that sleep.
    pub fn flush(&mut self) {
        for outbox in self.outboxes.iter_mut().flatten() {
            outbox.flush();
        }
    }

    /// The next item that came. Those of one worker come in its order; between workers turns are taken.
    pub fn receive(&mut self) -> Option<T> {
        self.inbox.receive()
    }

    /// Announces that this worker is about to sleep. `false`: there are items, and it must not.
    #[must_use = "sleep only if this says so"]
    pub fn prepare_to_sleep(&self) -> bool {
        self.inbox.prepare_to_sleep()
    }

    /// Says that this worker looks by itself again, after a sleep or one that was not entered.
    pub fn awake(&self) {
        self.inbox.awake();
    }
}
