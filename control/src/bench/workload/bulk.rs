//! Bytes one way, as fast as they go.

use std::collections::VecDeque;
use std::time::{Duration, Instant as SystemInstant};

use braid_engine::socket::{ConnectOptions, SocketError};
use braid_engine::stack::{ConnectionId, Event, Stack};
use braid_engine::time::Instant;
use serde::{Deserialize, Serialize};

use super::super::arrivals::Arrivals;
use super::super::driver::{Client, Scene, drive, some};
use super::super::hosts::{Demand, Hosts, server, shares};
use super::super::server::Service;
use super::super::{BenchError, Links, Spread};
use super::count;

/// What an application gives or takes at once.
pub(super) const PIECE: usize = 256 << 10;

/// Connections that are served in a turn.
const TURN: usize = 32;

/// Parts of the time, of each of which there is a figure.
const SAMPLES: u32 = 10;

/// Of the time, how much passes before it is measured: connections come to be and windows open.
pub(in crate::bench) const WARM_UP: f64 = 0.25;

/// Connections, each with bytes one way.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Bulk {
    /// How many.
    pub connections: u32,
    /// Which way.
    pub direction: Direction,
}

/// Who sends.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Our host, which opened the connections.
    Upload,
    /// The far host.
    Download,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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
        let direction = match self.direction {
            Direction::Upload => "bulk",
            Direction::Download => "bulk download",
        };
        format!("{direction}, {}", count(self.connections, "connection"))
    }

    pub(super) fn measure(self, links: &Links, time: Duration) -> Result<Goodput, BenchError> {
        let hosts = Hosts::create(links, Demand::of(self.connections))?;
        let shares = shares(self.connections, links.workers);
        match self.direction {
            Direction::Upload => Goodput::of(
                hosts,
                Service::Sink,
                shares.map(Writer::new).collect(),
                time,
            ),
            Direction::Download => Goodput::of(
                hosts,
                Service::Source,
                shares.map(Reader::new).collect(),
                time,
            ),
        }
    }
}

impl Goodput {
    /// That of clients with their servers.
    fn of<C: Client>(
        hosts: Hosts,
        service: Service,
        clients: Vec<C>,
        time: Duration,
    ) -> Result<Self, BenchError> {
        let (_, goodput) = drive(hosts, service, clients, |scene| {
            scene.sleep(time.mul_f64(WARM_UP));
            Self::sample(scene, time.mul_f64(1.0 - WARM_UP))
        })?;
        Ok(goodput)
    }

    /// Watches what arrives for so long.
    pub(super) fn sample(scene: &Scene<'_>, time: Duration) -> Result<Self, BenchError> {
        Self::watch(&scene.arrivals, time, |part| scene.sleep(part))
    }

    /// The same of any arrivals; `sleep` lets a part of the time pass.
    pub(in crate::bench) fn watch(
        arrivals: &Arrivals,
        time: Duration,
        sleep: impl Fn(Duration),
    ) -> Result<Self, BenchError> {
        let mut samples = Vec::new();
        let first = arrivals.bytes();
        let (mut before, mut since) = (first, SystemInstant::now());
        for _ in 0..SAMPLES {
            sleep(time / SAMPLES);
            let (bytes, now) = (arrivals.bytes(), SystemInstant::now());
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

/// Connections of a client, begun one a turn, and those of them where something can be done.
struct Connections {
    due: u32,
    ready: VecDeque<ConnectionId>,
}

impl Connections {
    fn new(due: u32) -> Self {
        let ready = VecDeque::new();
        Self { due, ready }
    }

    fn begin_one(&mut self, now: Instant, stack: &mut Stack) -> Result<(), BenchError> {
        if self.due > 0 {
            let connection = stack.connect(now, ConnectOptions::to(server()));
            connection.map_err(BenchError::engine("cannot connect"))?;
            self.due -= 1;
        }
        Ok(())
    }

    /// Does it to each that is ready, once; one of which it says so stays ready.
    fn each(
        &mut self,
        mut does: impl FnMut(ConnectionId) -> Result<bool, BenchError>,
    ) -> Result<(), BenchError> {
        for _ in 0..self.ready.len().min(TURN) {
            let Some(connection) = self.ready.pop_front() else {
                break;
            };
            if does(connection)? {
                self.ready.push_back(connection);
            }
        }
        Ok(())
    }
}

/// What the end of a connection in the middle of a measurement means for it.
pub(super) fn ended(result: Result<(), SocketError>) -> Result<(), BenchError> {
    result.map_err(BenchError::engine("a connection ended in the middle"))
}

/// Writes to its connections as much as they take.
pub(super) struct Writer {
    connections: Connections,
    bytes: Box<[u8]>,
}

impl Writer {
    pub(super) fn new(connections: u32) -> Self {
        Self {
            connections: Connections::new(connections),
            bytes: vec![0x5a; PIECE].into(),
        }
    }
}

impl Client for Writer {
    fn on_event(&mut self, event: &Event, _: Instant, _: &mut Stack) -> Result<(), BenchError> {
        match event {
            Event::Connected(connection) | Event::Writable(connection) => {
                self.connections.ready.push_back(*connection);
                Ok(())
            }
            Event::Closed(_, result) => ended(*result),
            _ => Ok(()),
        }
    }

    fn turn(&mut self, now: Instant, stack: &mut Stack, _: &Arrivals) -> Result<(), BenchError> {
        self.connections.begin_one(now, stack)?;
        let bytes = &self.bytes;
        self.connections.each(|connection| {
            let sent = stack.send(now, connection, bytes);
            // One that took all stays writable.
            Ok(some(sent, "cannot send")? == bytes.len())
        })
    }

    fn is_over(&self) -> bool {
        false
    }
}

/// Reads from its connections as much as they have.
struct Reader {
    connections: Connections,
    into: Box<[u8]>,
}

impl Reader {
    fn new(connections: u32) -> Self {
        Self {
            connections: Connections::new(connections),
            into: vec![0; PIECE].into(),
        }
    }
}

impl Client for Reader {
    fn on_event(
        &mut self,
        event: &Event,
        now: Instant,
        stack: &mut Stack,
    ) -> Result<(), BenchError> {
        match event {
            // Further subflows are opened once something was sent.
            Event::Connected(connection) => {
                some(stack.send(now, *connection, &[0]), "cannot send").map(drop)
            }
            Event::Readable(connection) => {
                self.connections.ready.push_back(*connection);
                Ok(())
            }
            Event::Closed(_, result) => ended(*result),
            _ => Ok(()),
        }
    }

    fn turn(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        arrivals: &Arrivals,
    ) -> Result<(), BenchError> {
        self.connections.begin_one(now, stack)?;
        let into = &mut self.into;
        self.connections.each(|connection| {
            let received = stack.recv(now, connection, into);
            let count = some(received, "cannot receive")?;
            if count > 0 {
                arrivals.note(count);
            }
            Ok(count > 0)
        })
    }

    fn is_over(&self) -> bool {
        false
    }
}
