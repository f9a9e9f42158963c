//! Messages and their answers, over connections that stay.

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
        let demand = Demand {
            connections: self.connections,
            behaviour: &[],
        };
        let hosts = Hosts::create(links, demand)?;
        let workers = usize::from(links.workers.get());
        let at_once = UNDER_WAY / self.size.max(1) / workers;
        let rate = self.rate.of_each(links.workers);
        let pacers = shares(self.connections, links.workers)
            .map(|share| Pacer::new(Requests::new(self.size, share), at_once, time, rate));
        let (pacers, ()) = drive(hosts, Service::Echo, pacers.collect(), |scene| {
            wait(scene, time)
        })?;
        Paced::of(&pacers)
    }
}

/// A connection and how far its request has come.
#[derive(Copy, Clone, Debug)]
struct Exchange {
    connection: ConnectionId,
    unsent: usize,
    awaited: usize,
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

    /// Sends what there is room for.
    fn send(&mut self, slot: Slot, now: Instant, stack: &mut Stack) -> Result<(), BenchError> {
        let exchange = &mut self.exchanges[slot];
        if exchange.unsent > 0 {
            let rest = &self.message[self.message.len() - exchange.unsent..];
            let sent = stack.send(now, exchange.connection, rest);
            exchange.unsent -= some(sent, "cannot send a request")?;
        }
        Ok(())
    }

    /// Takes what has come; whether the answer is complete by that.
    fn receive(&mut self, slot: Slot, now: Instant, stack: &mut Stack) -> Result<bool, BenchError> {
        let exchange = &mut self.exchanges[slot];
        while exchange.awaited > 0 {
            let into = &mut self.into[..exchange.awaited];
            let received = stack.recv(now, exchange.connection, into);
            let count = some(received, "cannot receive an answer")?;
            if count == 0 {
                return Ok(false);
            }
            exchange.awaited -= count;
        }
        Ok(true)
    }
}

impl Operation for Requests {
    fn prepare(&mut self, now: Instant, stack: &mut Stack) -> Result<bool, BenchError> {
        while self.exchanges.len() < self.connections
            && self.exchanges.len() < self.connected + HANDSHAKES
        {
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
            self.slots.insert(connection, self.exchanges.len());
            self.exchanges.push(Exchange {
                connection,
                unsent: 0,
                awaited: 0,
            });
        }
        Ok(self.connected == self.connections)
    }

    fn slots(&self) -> usize {
        self.connections
    }

    fn begin(&mut self, slot: Slot, now: Instant, stack: &mut Stack) -> Result<(), BenchError> {
        let exchange = &mut self.exchanges[slot];
        exchange.unsent = self.message.len();
        exchange.awaited = self.message.len();
        self.send(slot, now, stack)
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
                    self.send(slot, now, stack)?;
                }
                Ok(None)
            }
            Event::Readable(connection) => {
                let Some(&slot) = self.slots.get(connection) else {
                    return Ok(None);
                };
                let answered = self.receive(slot, now, stack)?;
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
