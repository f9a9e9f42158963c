//! Connections that come to be, carry a message and its answer, and go.

use std::collections::HashMap;
use std::time::Duration;

use braid_engine::stack::{ConnectionId, Event, Stack};
use braid_engine::time::Instant;
use serde::Serialize;

use super::super::{BenchError, Links};
use super::count;
use super::exchange::{Exchange, measure};
use super::paced::{Operation, Paced, Rate, Slot};

/// Bytes of the message and of its answer.
const MESSAGE: [u8; 64] = [0x5a; 64];

/// Connect, 64 bytes there and back, close.
#[derive(Copy, Clone, PartialEq, Debug, Serialize)]
pub struct ConnectRate {
    /// Connections at a time.
    pub connections: u32,
    /// How often, when latencies are measured: from when a connection was due to its answer.
    pub rate: Rate,
}

impl ConnectRate {
    pub(super) fn describe(self) -> String {
        format!(
            "connect, 64 bytes, close, {} at a time",
            count(self.connections, "connection")
        )
    }

    pub(super) fn measure(self, links: &Links, time: Duration) -> Result<Paced, BenchError> {
        let pace = (self.rate, time);
        measure(links, self.connections, usize::MAX, pace, |share| {
            Connects::new(share as usize)
        })
    }
}

/// A connection that has not been answered in full.
#[derive(Copy, Clone, Debug)]
struct Attempt {
    slot: Slot,
    exchange: Exchange,
}

/// The connections of one worker.
struct Connects {
    slots: usize,
    attempts: HashMap<ConnectionId, Attempt>,
}

impl Connects {
    fn new(slots: usize) -> Self {
        Self {
            slots,
            attempts: HashMap::new(),
        }
    }
}

impl Operation for Connects {
    fn prepare(&mut self, _: Instant, _: &mut Stack) -> Result<bool, BenchError> {
        Ok(true)
    }

    fn slots(&self) -> usize {
        self.slots
    }

    fn begin(&mut self, slot: Slot, now: Instant, stack: &mut Stack) -> Result<(), BenchError> {
        let mut exchange = Exchange::connect(now, stack)?;
        exchange.begin(MESSAGE.len());
        let attempt = Attempt { slot, exchange };
        self.attempts.insert(exchange.connection(), attempt);
        Ok(())
    }

    fn on_event(
        &mut self,
        event: &Event,
        now: Instant,
        stack: &mut Stack,
    ) -> Result<Option<Slot>, BenchError> {
        match event {
            Event::Connected(connection) | Event::Writable(connection) => {
                if let Some(attempt) = self.attempts.get_mut(connection) {
                    attempt.exchange.send(now, stack, &MESSAGE)?;
                }
                Ok(None)
            }
            Event::Readable(connection) => {
                let Some(attempt) = self.attempts.get_mut(connection) else {
                    return Ok(None);
                };
                let mut into = MESSAGE;
                if !attempt.exchange.receive(now, stack, &mut into)? {
                    return Ok(None);
                }
                let slot = attempt.slot;
                self.attempts.remove(connection);
                stack.close(now, *connection);
                Ok(Some(slot))
            }
            Event::Closed(connection, result) if self.attempts.contains_key(connection) => {
                result.map_err(BenchError::engine("a connection ended in the middle"))?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}
