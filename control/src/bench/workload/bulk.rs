//! Bytes one way, as fast as they go.

use std::collections::VecDeque;
use std::time::{Duration, Instant as SystemInstant};

use braid_engine::socket::ConnectOptions;
use braid_engine::stack::{ConnectionId, Event, Stack};
use braid_engine::time::Instant;
use serde::Serialize;

use super::super::driver::{Client, Scene, drive, some};
use super::super::hosts::{Demand, Hosts, server, shares};
use super::super::server::Service;
use super::super::{BenchError, Links, Spread};
use super::count;

/// What an application gives at once.
const PIECE: usize = 256 << 10;

/// Connections that are written to in a turn.
const TURN: usize = 32;

/// Parts of the time, of each of which there is a figure.
const SAMPLES: u32 = 10;

/// Of the time, how much passes before it is measured: connections come to be and windows open.
const WARM_UP: f64 = 0.25;

/// Connections, each with bytes one way.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Bulk {
    /// How many.
    pub connections: u32,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Goodput {
    /// 10^9 bits of payload a second that reached the receiving applications, over parts of the time.
    pub gbit_per_second: Spread,
    /// Each part.
    pub samples: Vec<f64>,
    /// Bytes that they received in all parts.
    pub bytes: u64,
}

impl Bulk {
    pub(super) fn describe(self) -> String {
        format!("bulk, {}", count(self.connections, "connection"))
    }

    pub(super) fn measure(self, links: &Links, time: Duration) -> Result<Goodput, BenchError> {
        let demand = Demand {
            connections: self.connections,
            behaviour: &[],
        };
        let hosts = Hosts::create(links, demand)?;
        let writers = shares(self.connections, links.workers).map(Writer::new);
        let (_, goodput) = drive(hosts, Service::Sink, writers.collect(), |scene| {
            scene.sleep(time.mul_f64(WARM_UP));
            Goodput::sample(scene, time.mul_f64(1.0 - WARM_UP))
        })?;
        Ok(goodput)
    }
}

impl Goodput {
    /// Watches what arrives for so long.
    pub(super) fn sample(scene: &Scene<'_>, time: Duration) -> Result<Self, BenchError> {
        let mut samples = Vec::new();
        let first = scene.arrivals.bytes();
        let (mut before, mut since) = (first, SystemInstant::now());
        for _ in 0..SAMPLES {
            scene.sleep(time / SAMPLES);
            let (bytes, now) = (scene.arrivals.bytes(), SystemInstant::now());
            let seconds = now.duration_since(since).as_secs_f64();
            samples.push((bytes - before) as f64 * 8.0 / seconds.max(1e-9) / 1e9);
            (before, since) = (bytes, now);
        }
        if before == first {
            return Err(BenchError::TooSlow("nothing arrived"));
        }
        Ok(Self {
            gbit_per_second: Spread::of(samples.iter().copied())
                .ok_or(BenchError::TooSlow("nothing was measured"))?,
            samples,
            bytes: before - first,
        })
    }
}

/// Writes to its connections as much as they take.
pub(super) struct Writer {
    /// Connections that are yet to be begun.
    due: u32,
    writable: VecDeque<ConnectionId>,
    bytes: Box<[u8]>,
}

impl Writer {
    pub(super) fn new(connections: u32) -> Self {
        Self {
            due: connections,
            writable: VecDeque::new(),
            bytes: vec![0x5a; PIECE].into(),
        }
    }
}

impl Client for Writer {
    fn on_event(&mut self, event: &Event, _: Instant, _: &mut Stack) -> Result<(), BenchError> {
        match event {
            Event::Connected(connection) | Event::Writable(connection) => {
                self.writable.push_back(*connection);
                Ok(())
            }
            Event::Closed(_, result) => {
                result.map_err(BenchError::engine("a connection ended in the middle"))
            }
            _ => Ok(()),
        }
    }

    fn turn(&mut self, now: Instant, stack: &mut Stack) -> Result<(), BenchError> {
        if self.due > 0 {
            let connection = stack.connect(now, ConnectOptions::to(server()));
            connection.map_err(BenchError::engine("cannot connect"))?;
            self.due -= 1;
        }
        // One that took all stays writable.
        for _ in 0..self.writable.len().min(TURN) {
            let Some(connection) = self.writable.pop_front() else {
                break;
            };
            let sent = stack.send(now, connection, &self.bytes);
            if some(sent, "cannot send")? == self.bytes.len() {
                self.writable.push_back(connection);
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        false
    }
}
