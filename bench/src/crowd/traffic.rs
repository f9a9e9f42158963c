//! Small messages on some or all of many connections.

use std::time::Instant;

use braid_engine::stack::{ConnectionId, Event, StackConfig};
use braid_engine::time::Duration;

use super::{Crowd, open, would_block};
use crate::memory_links::Links;

/// Bytes of each buffer.
const BUFFER: u32 = 8 << 10;

/// Messages that are written before the hosts go on.
const BATCH: usize = 32;

/// Messages of a sample.
const MESSAGES: usize = 100_000;

const MESSAGE: [u8; 64] = [0x5a; 64];

/// Memory that an open connection takes at both ends together, with room to spare.
const BYTES_OF_A_CONNECTION: usize = 8 << 10;

/// Two hosts with so many connections of one subflow each, some of which carry messages.
#[derive(Debug)]
pub struct Stage {
    crowd: Crowd,
    /// Those, from all places among the others.
    busy: Vec<ConnectionId>,
    /// Where the order without pattern is.
    state: u64,
}

impl Stage {
    /// Opens them, of which `busy` carry messages.
    ///
    /// # Errors
    ///
    /// When they cannot be made, or there is not enough memory for them.
    pub fn with(connections: usize, busy: usize) -> Result<Self, String> {
        let needed = connections * BYTES_OF_A_CONNECTION;
        let available = available_memory().unwrap_or(usize::MAX);
        if needed > available {
            return Err(format!(
                "{connections} connections take about {} GiB; {} GiB are free",
                needed >> 30,
                available >> 30
            ));
        }
        // With the usual delay each of the few would acknowledge several messages at once, and the many none.
        let config = StackConfig {
            delayed_ack: Duration::ZERO,
            ..StackConfig::default()
        };
        let mut crowds = Crowd::between_hosts_with(&config, Links::ONE, connections, BUFFER)?;
        open(&mut crowds, connections, 1)?;
        let crowd = crowds.pop().ok_or("there is one worker")?;
        let every = (connections / busy.max(1)).max(1);
        let busy = crowd.connections.iter().copied().step_by(every).collect();
        let mut stage = Self {
            crowd,
            busy,
            state: 1,
        };
        // Buffers and windows come to be.
        stage.send(stage.busy.len(), |stage, index| stage.busy[index])?;
        Ok(stage)
    }

    /// Nanoseconds for a message of 64 bytes and what it takes to acknowledge it, at both ends.
    ///
    /// # Errors
    ///
    /// When a connection ends.
    pub fn message(&mut self) -> Result<f64, String> {
        self.send(MESSAGES / 10, |stage, _| stage.any())?;
        let start = Instant::now();
        self.send(MESSAGES, |stage, _| stage.any())?;
        Ok(start.elapsed().as_secs_f64() * 1e9 / MESSAGES as f64)
    }

    fn send(
        &mut self,
        messages: usize,
        mut next: impl FnMut(&mut Self, usize) -> ConnectionId,
    ) -> Result<(), String> {
        let (mut written, mut read) = (0, 0);
        let mut batch = Vec::with_capacity(BATCH);
        while read < messages * MESSAGE.len() {
            let most = messages.min(read / MESSAGE.len() + BATCH);
            batch.extend((written..most).map(|index| next(self, index)));
            let engine = self.crowd.client.engine();
            engine.expect_calls(batch.iter().copied());
            for connection in batch.drain(..) {
                let now = self.crowd.client.now();
                let engine = self.crowd.client.engine_mut();
                if would_block(engine.send(now, connection, &MESSAGE))? < MESSAGE.len() {
                    return Err("a message found no room".into());
                }
                written += 1;
            }
            self.crowd.step();
            while let Some((of_client, event)) = self.crowd.event() {
                match event {
                    Event::Readable(connection) if !of_client => {
                        let now = self.crowd.server.now();
                        let engine = self.crowd.server.engine_mut();
                        let mut into = [0; 4 * MESSAGE.len()];
                        read += would_block(engine.recv(now, connection, &mut into))?;
                    }
                    Event::Closed(..) => return Err("a connection ended".into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// A busy connection, in an order without pattern that a cache could know.
    fn any(&mut self) -> ConnectionId {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.busy[((self.state >> 32) as usize * self.busy.len()) >> 32]
    }
}

/// Bytes of memory that programs may still take.
fn available_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: usize = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}
