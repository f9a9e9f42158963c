//! Connections that come to be, carry a message and its answer, and go.

use std::collections::HashMap;
use std::time::Duration;

use braid_engine::socket::{ConnectOptions, SocketOptions};
use braid_engine::stack::{ConnectionId, Event, Stack};
use braid_engine::time::Instant;
use serde::Serialize;

use super::super::driver::{drive, some};
use super::super::hosts::{Demand, Hosts, server, shares};
use super::super::server::Service;
use super::super::{BenchError, Links};
use super::count;
use super::paced::{Operation, Paced, Pacer, Rate, Slot, wait};

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
        let demand = Demand {
            connections: self.connections,
            behaviour: &[],
        };
        let hosts = Hosts::create(links, demand)?;
        let rate = self.rate.of_each(links.workers);
        let pacers = shares(self.connections, links.workers).map(|share| {
            let slots = share as usize;
            Pacer::new(Connects::new(slots), slots, time, rate)
        });
        let (pacers, ()) = drive(hosts, Service::Echo, pacers.collect(), |scene| {
            wait(scene, time)
        })?;
        Paced::of(&pacers)
    }
}

/// A connection that has not been answered in full.
#[derive(Copy, Clone, Debug)]
struct Attempt {
    slot: Slot,
    unsent: usize,
    awaited: usize,
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
        let options = ConnectOptions {
            socket: SocketOptions {
                nodelay: true,
                ..SocketOptions::default()
            },
            ..ConnectOptions::to(server())
        };
        let connection = stack
            .connect(now, options)
            .map_err(BenchError::engine("cannot connect"))?;
        let attempt = Attempt {
            slot,
            unsent: MESSAGE.len(),
            awaited: MESSAGE.len(),
        };
        self.attempts.insert(connection, attempt);
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
                    let rest = &MESSAGE[MESSAGE.len() - attempt.unsent..];
                    let sent = stack.send(now, *connection, rest);
                    attempt.unsent -= some(sent, "cannot send a message")?;
                }
                Ok(None)
            }
            Event::Readable(connection) => {
                let Some(attempt) = self.attempts.get_mut(connection) else {
                    return Ok(None);
                };
                let mut into = MESSAGE;
                let received = stack.recv(now, *connection, &mut into);
                attempt.awaited = attempt
                    .awaited
                    .saturating_sub(some(received, "cannot receive an answer")?);
                if attempt.awaited > 0 {
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
