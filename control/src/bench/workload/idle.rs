//! Connections on which nothing happens: what each takes of memory.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant as SystemInstant};

use braid_engine::socket::ConnectOptions;
use braid_engine::stack::{Event, Stack};
use braid_engine::time::Instant;
use serde::{Deserialize, Serialize};

use super::super::arrivals::Arrivals;
use super::super::driver::{Client, Scene, drive};
use super::super::hosts::{Demand, Hosts, server, shares};
use super::super::server::Service;
use super::super::{BenchError, FarHost, Links};
use super::count;

/// Connections whose handshake is under way at a time.
const HANDSHAKES: u32 = 64;

/// Of all connections, one of so many is open before memory is measured first, so that what all of them
/// share is there.
const FIRST: u32 = 10;

/// How long connections may take to open.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the supervising thread looks.
const INTERVAL: Duration = Duration::from_millis(2);

/// Connections with all their subflows. Each has carried one byte, before which a client opens no further
/// subflow.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Idle {
    /// How many.
    pub connections: u32,
}

/// What they take.
#[derive(Copy, Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes of memory in use for each end of a connection that is an engine's.
    pub bytes_per_end: f64,
    /// Ends of a connection that are an engine's: 2 where the far host is one.
    pub ends: u32,
    /// Subflows of our ends when it was measured.
    pub subflows: u32,
}

impl Idle {
    pub(super) fn describe(self) -> String {
        format!("idle, {}", count(self.connections, "connection"))
    }

    pub(super) fn measure(self, links: &Links, time: Duration) -> Result<Memory, BenchError> {
        let hosts = Hosts::create(links, Demand::of(self.connections))?;
        let state = Arc::new(State::default());
        let openers = shares(self.connections, links.workers)
            .map(|share| Opener::new(share, Arc::clone(&state)));
        let ends = match links.far {
            FarHost::Engine => 2,
            FarHost::Linux(_) => 1,
        };
        let first = self.connections.div_ceil(FIRST);
        let (_, memory) = drive(hosts, Service::Sink, openers.collect(), |scene| {
            let open = |connections: u32| {
                state.allowed.store(connections, Ordering::Relaxed);
                state.wait(scene, connections, links.count, time)?;
                resident_bytes()
            };
            let (before, after) = (open(first)?, open(self.connections)?);
            let more = (self.connections - first).max(1) * ends;
            Ok(Memory {
                bytes_per_end: after.saturating_sub(before) as f64 / f64::from(more),
                ends,
                subflows: state.subflows.load(Ordering::Relaxed),
            })
        })?;
        Ok(memory)
    }
}

/// Memory of this process that is in use.
fn resident_bytes() -> Result<u64, BenchError> {
    let failed = BenchError::system("cannot read /proc/self/smaps_rollup");
    let text = fs::read_to_string("/proc/self/smaps_rollup").map_err(failed)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(number.unwrap_or(0) * 1_024)
}

/// What the openers of all workers and their supervisor tell each other.
#[derive(Debug, Default)]
struct State {
    /// How many connections may be opened.
    allowed: AtomicU32,
    begun: AtomicU32,
    connected: AtomicU32,
    subflows: AtomicU32,
}

impl State {
    /// Waits until so many are connected and, at most for `time`, have all their subflows.
    fn wait(
        &self,
        scene: &Scene<'_>,
        connections: u32,
        links: u8,
        time: Duration,
    ) -> Result<(), BenchError> {
        let begun = SystemInstant::now();
        while self.connected.load(Ordering::Relaxed) < connections {
            if begun.elapsed() > PATIENCE {
                return Err(BenchError::TooSlow("not all connections came to be"));
            }
            if scene.is_over() {
                return Ok(());
            }
            scene.sleep(INTERVAL);
        }
        let connected = SystemInstant::now();
        let all = connections * u32::from(links);
        while self.subflows.load(Ordering::Relaxed) < all && connected.elapsed() < time {
            scene.sleep(INTERVAL);
        }
        Ok(())
    }
}

/// Opens connections as far as it may.
struct Opener {
    due: u32,
    state: Arc<State>,
    subflows: u32,
}

impl Opener {
    fn new(due: u32, state: Arc<State>) -> Self {
        Self {
            due,
            state,
            subflows: 0,
        }
    }

    /// Takes the right to open one more.
    fn may_open(&self) -> bool {
        let state = &self.state;
        let (begun, connected) = (
            state.begun.load(Ordering::Relaxed),
            state.connected.load(Ordering::Relaxed),
        );
        begun < state.allowed.load(Ordering::Relaxed)
            && begun < connected + HANDSHAKES
            && self.due > 0
    }
}

impl Client for Opener {
    fn on_event(
        &mut self,
        event: &Event,
        now: Instant,
        stack: &mut Stack,
    ) -> Result<(), BenchError> {
        match event {
            Event::Connected(connection) => {
                let sent = stack.send(now, *connection, &[0]);
                sent.map_err(BenchError::engine("cannot send"))?;
                self.state.connected.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Event::Closed(_, result) => {
                result.map_err(BenchError::engine("an idle connection ended"))
            }
            _ => Ok(()),
        }
    }

    fn turn(&mut self, now: Instant, stack: &mut Stack, _: &Arrivals) -> Result<(), BenchError> {
        while self.may_open() {
            let connection = stack.connect(now, ConnectOptions::to(server()));
            connection.map_err(BenchError::engine("cannot connect"))?;
            self.due -= 1;
            self.state.begun.fetch_add(1, Ordering::Relaxed);
        }
        // Those of other workers are added by themselves.
        let subflows = u32::try_from(stack.subflow_count()).unwrap_or(u32::MAX);
        let more = subflows.wrapping_sub(self.subflows);
        self.state.subflows.fetch_add(more, Ordering::Relaxed);
        self.subflows = subflows;
        Ok(())
    }

    fn is_over(&self) -> bool {
        false
    }
}
