//! Messages and their answers, over connections that stay.

use std::collections::HashMap;
use std::time::Duration;

use braid_engine::stack::{ConnectionId, Event, Stack};
use braid_engine::time::Instant;
use serde::Serialize;

use super::super::{BenchError, Links};
use super::count;
use super::exchange::{Exchange, measure};
use super::paced::{Operation, Paced, Rate, Slot};

/// Connections whose handshake is under way at a time.
const HANDSHAKES: usize = 64;

/// Bytes of all messages under way at a time: what is more waits, as it would fill buffers.
const UNDER_WAY: usize = 64 << 20;

/// Requests of so many bytes, which are sent back.
#[derive(Copy, Clone, PartialEq, Debug, Serialize)]
pub struct RequestResponse {
    /// Bytes of a request, and of its answer.
    pub size: usize,
    /// Connections, each with one request at a time.
    pub connections: u32,
    /// How often, when latencies are measured.
    pub rate: Rate,
}

impl RequestResponse {
    pub(super) fn describe(self) -> String {
        format!(
            "request and response of {}, {}",
            count(u32::try_from(self.size).unwrap_or(u32::MAX), "byte"),
            count(self.connections, "connection")
        )
    }

    pub(super) fn measure(self, links: &Links, time: Duration) -> Result<Paced, BenchError> {
        let workers = usize::from(links.workers.get());
        let at_once = UNDER_WAY / self.size.max(1) / workers;
        let pace = (self.rate, time);
        measure(links, self.connections, at_once, pace, |share| {
            Requests::new(self.size, share)
        })
    }
}

/// The connections of one worker.
pub(super) struct Requests {
    connections: usize,
    message: Box<[u8]>,
    into: Box<[u8]>,
    exchanges: Vec<Exchange>,
    slots: HashMap<ConnectionId, Slot>,
    connected: usize,
}

impl Requests {
    fn new(size: usize, connections: u32) -> Self {
        Self {
            connections: connections as usize,
            message: vec![0x5a; size].into(),
            into: vec![0; size].into(),
            exchanges: Vec::new(),
            slots: HashMap::new(),
            connected: 0,
        }
    }
}

impl Operation for Requests {
    fn prepare(&mut self, now: Instant, stack: &mut Stack) -> Result<bool, BenchError> {
        while self.exchanges.len() < self.connections
            && self.exchanges.len() < self.connected + HANDSHAKES
        {
            let exchange = Exchange::connect(now, stack)?;
            self.slots
                .insert(exchange.connection(), self.exchanges.len());
            self.exchanges.push(exchange);
        }
        Ok(self.connected == self.connections)
    }

    fn slots(&self) -> usize {
        self.connections
    }

    fn begin(&mut self, slot: Slot, now: Instant, stack: &mut Stack) -> Result<(), BenchError> {
        let exchange = &mut self.exchanges[slot];
        exchange.begin(self.message.len());
        exchange.send(now, stack, &self.message)
    }

    fn on_event(
        &mut self,
        event: &Event,
        now: Instant,
        stack: &mut Stack,
    ) -> Result<Option<Slot>, BenchError> {
        match event {
            Event::Connected(_) => {
                self.connected += 1;
                Ok(None)
            }
            Event::Writable(connection) => {
                if let Some(&slot) = self.slots.get(connection) {
                    self.exchanges[slot].send(now, stack, &self.message)?;
                }
                Ok(None)
            }
            Event::Readable(connection) => {
                let Some(&slot) = self.slots.get(connection) else {
                    return Ok(None);
                };
                let answered = self.exchanges[slot].receive(now, stack, &mut self.into)?;
                Ok(answered.then_some(slot))
            }
            Event::Closed(_, result) => {
                result.map_err(BenchError::engine("a connection ended in the middle"))?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}
