//! Letters between the engine of a worker and those of the other workers of its host.

use braid_engine::stack::WorkerId;
use braid_engine::time::Instant;

use super::{Engine, Waker};
use crate::reassembly_ring::Exchange;

/// How many letters a worker takes in one step at most.
pub const LETTER_BUDGET: usize = 256;

/// How many letters may be under way from a worker to another: as many as keep the ring within the first
/// cache of a core.
pub const LETTER_CAPACITY: usize = 256;

/// The way to the other workers; a worker alone has none.
#[derive(Debug)]
pub(super) struct Letters<T>(Option<Exchange<T, Waker>>);

impl<T: Send> Letters<T> {
    /// Of a worker alone.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Of one that has others to write to.
    pub(super) fn new(exchange: Exchange<T, Waker>) -> Self {
        Self((exchange.workers() > 1).then_some(exchange))
    }

    /// Hands the engine what the others wrote, at most [`LETTER_BUDGET`]; how many letters.
    pub(super) fn deliver(&mut self, now: Instant, engine: &mut impl Engine<Letter = T>) -> usize {
        let Some(exchange) = &mut self.0 else {
            return 0;
        };
        let letters = std::iter::from_fn(|| exchange.receive()).take(LETTER_BUDGET);
        letters.map(|letter| engine.deliver(now, letter)).count()
    }

    /// Sends what the engine wrote, as far as there is room, and wakes those it is for; how many
    /// letters.
    pub(super) fn send(&mut self, engine: &mut impl Engine<Letter = T>) -> usize {
        let Some(exchange) = &mut self.0 else {
            return 0;
        };
        let mut sent = 0;
        for (number, to) in (0..exchange.workers()).zip((0..).map(WorkerId::new)) {
            while let Some(letter) = engine.poll_letter(to) {
                if let Err(letter) = exchange.send(number, letter) {
                    engine.refuse_letter(to, letter);
                    break;
                }
                sent += 1;
            }
        }
        exchange.flush();
        sent
    }

    /// Whether letters wait for room: nobody rings when there is some.
    pub(super) fn wait(&self, engine: &impl Engine<Letter = T>) -> bool {
        self.0.is_some() && engine.letters_waiting()
    }

    /// Announces a sleep: from now on who sends a letter rings. `false` when there is one already.
    pub(super) fn prepare_to_sleep(&self) -> bool {
        self.0.as_ref().is_none_or(Exchange::prepare_to_sleep)
    }

    /// Called after the sleep, and after one that was not entered.
    pub(super) fn awake(&self) {
        if let Some(exchange) = &self.0 {
            exchange.awake();
        }
    }
}
