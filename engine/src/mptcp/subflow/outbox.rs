//! Where the messages of one call wait until the stack carries them off.

use std::collections::VecDeque;

/// Messages in the order they arose.
///
/// Whoever made the call drains it before the next one, so it holds at most what one call can
/// produce: a message per piece of data that became in order and a handful beside. Its storage is
/// kept for the next call.
#[derive(Debug)]
pub struct Outbox<M> {
    messages: VecDeque<M>,
}

impl<M> Outbox<M> {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            messages: VecDeque::new(),
        }
    }

    /// Adds a message behind those that wait.
    pub fn push(&mut self, message: M) {
        self.messages.push_back(message);
    }

    /// Takes the oldest message.
    pub fn pop(&mut self) -> Option<M> {
        self.messages.pop_front()
    }

    /// Takes all messages, the oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = M> + '_ {
        self.messages.drain(..)
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// True when no message waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        Self::new()
    }
}
