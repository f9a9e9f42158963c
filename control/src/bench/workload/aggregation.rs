//! Bytes one way over two unequal links: what they carry together of what each carries alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use braid_engine::socket::ConnectOptions;
use braid_engine::stack::{ConnectionId, Event, Stack};
use braid_engine::time::Instant;
use serde::{Deserialize, Serialize};

use super::super::arrivals::Arrivals;
use super::super::driver::{Client, drive, some};
use super::super::hosts::{Demand, Hosts, server};
use super::super::server::{PORT, Service};
use super::super::{BenchError, Links};
use super::bulk::{Goodput, PIECE, ended};
use crate::demo::MemoryLinks;
use crate::lab::link::{Family, Link, Side};

/// A wide and near link, and one that is narrower and farther.
const PATHS: [MemoryLinks; 2] = [
    MemoryLinks {
        delay: Duration::from_millis(5),
        loss: 0,
        rate: Some(400_000_000),
    },
    MemoryLinks {
        delay: Duration::from_millis(20),
        loss: 0,
        rate: Some(100_000_000),
    },
];

/// Of the time of each part, how much passes before it is measured.
const WARM_UP: f64 = 0.4;

/// One connection over a link of 400 Mbit/s and 10 ms round trip and one of 100 Mbit/s and 40 ms.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Aggregation {}

/// What came of it.
#[derive(Copy, Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Aggregated {
    /// 10^9 bits of payload a second over each link alone.
    pub alone_gbit_per_second: [f64; 2],
    /// Over both.
    pub together_gbit_per_second: f64,
    /// Over both, by the sum of each alone.
    pub share: f64,
}

impl Aggregation {
    pub(super) fn describe(self) -> String {
        "aggregation, one connection over 400 Mbit/s with 10 ms and 100 Mbit/s with 40 ms".into()
    }

    pub(super) fn measure(self, links: &Links, time: Duration) -> Result<Aggregated, BenchError> {
        let links = Links {
            count: PATHS.len() as u8,
            ..links.clone()
        };
        let demand = Demand {
            connections: 1,
            behaviour: &PATHS,
        };
        let hosts = Hosts::create(&links, demand)?;
        let asked = Arc::new(AtomicU8::new(Over::link(1).0));
        let clients = (0..links.workers.get()).map(|number| match number {
            0 => Sender::of(Arc::clone(&asked)),
            _ => Sender::idle(),
        });
        let (_, aggregated) = drive(hosts, Service::Sink, clients.collect(), |scene| {
            let goodput = |over: Over| {
                asked.store(over.0, Ordering::Relaxed);
                let part = time / 3;
                scene.sleep(part.mul_f64(WARM_UP));
                let goodput = Goodput::sample(scene, part.mul_f64(1.0 - WARM_UP))?;
                Ok::<_, BenchError>(goodput.gbit_per_second.median)
            };
            let alone = [goodput(Over::link(1))?, goodput(Over::link(2))?];
            let together = goodput(Over::BOTH)?;
            Ok(Aggregated {
                alone_gbit_per_second: alone,
                together_gbit_per_second: together,
                share: together / (alone[0] + alone[1]),
            })
        })?;
        Ok(aggregated)
    }
}

/// Which links a connection goes over: the number of one, or 0 for both.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Over(u8);

impl Over {
    const BOTH: Self = Self(0);

    fn link(number: u8) -> Self {
        Self(number)
    }

    /// A connection from the address of a link stays on it.
    fn options(self) -> ConnectOptions {
        if self == Self::BOTH {
            return ConnectOptions::to(server());
        }
        let end = |side, port| SocketAddr::new(Link(self.0).address(Family::V4, side), port);
        ConnectOptions {
            local: Some(end(Side::Engine, 0)),
            ..ConnectOptions::to(end(Side::Peer, PORT))
        }
    }
}

/// Writes as much as it takes to one connection, over the links that it is asked for by then.
struct Sender {
    asked: Option<Arc<AtomicU8>>,
    connection: Option<(Over, ConnectionId)>,
    writable: bool,
    bytes: Box<[u8]>,
}

impl Sender {
    fn of(asked: Arc<AtomicU8>) -> Self {
        Self {
            asked: Some(asked),
            bytes: vec![0x5a; PIECE].into(),
            ..Self::idle()
        }
    }

    /// At a worker that has a part in the connection's subflows alone.
    fn idle() -> Self {
        Self {
            asked: None,
            connection: None,
            writable: false,
            bytes: Box::default(),
        }
    }

    fn is_ours(&self, connection: ConnectionId) -> bool {
        self.connection.is_some_and(|(_, ours)| ours == connection)
    }
}

impl Client for Sender {
    fn on_event(&mut self, event: &Event, _: Instant, _: &mut Stack) -> Result<(), BenchError> {
        match event {
            Event::Connected(connection) | Event::Writable(connection) => {
                self.writable |= self.is_ours(*connection);
                Ok(())
            }
            Event::Closed(connection, result) if self.is_ours(*connection) => ended(*result),
            _ => Ok(()),
        }
    }

    fn turn(&mut self, now: Instant, stack: &mut Stack, _: &Arrivals) -> Result<(), BenchError> {
        let Some(asked) = &self.asked else {
            return Ok(());
        };
        let over = Over(asked.load(Ordering::Relaxed));
        let connection = match self.connection {
            Some((old, connection)) if old == over => connection,
            earlier => {
                if let Some((_, connection)) = earlier {
                    stack.abort(now, connection);
                }
                let connection = stack.connect(now, over.options());
                let connection = connection.map_err(BenchError::engine("cannot connect"))?;
                self.connection = Some((over, connection));
                self.writable = false;
                connection
            }
        };
        if self.writable {
            let sent = some(stack.send(now, connection, &self.bytes), "cannot send")?;
            // One that took all stays writable.
            self.writable = sent == self.bytes.len();
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        false
    }
}
