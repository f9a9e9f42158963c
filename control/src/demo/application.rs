//! The engine's counterpart of the peer's program: one transfer through the engine's sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use braid_engine::mptcp::info::SubflowInfo;
use braid_engine::socket::{ConnectOptions, ListenOptions, Shutdown, SocketError};
use braid_engine::stack::{ConnectionId, Event, ListenerId, Stack};
use braid_engine::time::Instant as EngineInstant;

use super::measured::{Outcome, Seen};
use super::report::{Role, SubflowRow};
use crate::peer::{Activity, Progress};
use crate::stream::{Receiver, Stream};

/// Bytes moved by one call of send or receive.
const CHUNK: usize = 1 << 16;

/// Calls of send or receive between two looks at the network.
const CALLS_PER_TURN: usize = 8;

/// What the engine is to do in one run.
#[derive(Copy, Clone, Debug)]
pub(super) struct EngineTransfer<'a> {
    /// Whether it listens or connects.
    pub(super) role: Role,
    /// The server's port.
    pub(super) port: u16,
    /// What it does with the connection.
    pub(super) activity: Activity,
    /// Where it tells how far it has come, and learns that the other side has failed.
    pub(super) progress: &'a Progress,
}

/// Where the connection stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    Listening(ListenerId),
    Connecting(ConnectionId),
    /// Data is moving, the activity's own part is not over.
    Moving(ConnectionId),
    /// All is sent and the end is told; the peer has not finished.
    Draining(ConnectionId),
    /// Both sides have finished; the subflows are closing.
    Closing(ConnectionId),
}

/// What a turn of the application came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Bytes moved or the stage changed.
    Busy,
    /// There was nothing to do.
    Idle,
}

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Application<'a> {
    activity: Activity,
    progress: &'a Progress,
    stage: Stage,
    listener: Option<ListenerId>,
    position: u64,
    /// The part of the buffer that is filled and not yet sent.
    unsent: std::ops::Range<usize>,
    buffer: Box<[u8]>,
    receiver: Receiver,
    established: Option<Instant>,
    elapsed: Duration,
    fallback: bool,
    /// The engine has closed the connection; there may be something left to read.
    closed: bool,
    subflows: BTreeMap<u32, SubflowInfo>,
}

impl<'a> Application<'a> {
    /// Listens at the address of `server`, or opens a connection to it.
    pub(super) fn start(
        transfer: EngineTransfer<'a>,
        server: SocketAddr,
        now: EngineInstant,
        stack: &mut Stack,
    ) -> Result<Self, SocketError> {
        let (stage, listener) = match transfer.role {
            Role::Server => {
                let listener = stack.listen(server, ListenOptions::default())?;
                (Stage::Listening(listener), Some(listener))
            }
            Role::Client => (
                Stage::Connecting(stack.connect(now, ConnectOptions::to(server))?),
                None,
            ),
        };
        Ok(Self {
            activity: transfer.activity,
            progress: transfer.progress,
            stage,
            listener,
            position: 0,
            unsent: 0..0,
            buffer: vec![0; CHUNK].into(),
            receiver: Receiver::default(),
            established: None,
            elapsed: Duration::ZERO,
            fallback: false,
            closed: false,
            subflows: BTreeMap::new(),
        })
    }
}

impl Application<'_> {
    /// Whether both sides have finished and the connection is closed.
    pub(super) fn is_over(&self) -> bool {
        self.has_finished() && self.closed
    }

    /// Whether it has a connection, or is about to have one.
    pub(super) fn has_connection(&self) -> bool {
        self.connection().is_some()
    }

    /// Whether all data has been moved and only the closing is left.
    pub(super) fn has_finished(&self) -> bool {
        matches!(self.stage, Stage::Closing(_))
    }

    /// Takes note of what the engine tells.
    pub(super) fn on_event(&mut self, event: &Event) -> Result<(), SocketError> {
        match event {
            Event::Connected(id) if self.stage == Stage::Connecting(*id) => {
                self.established = Some(Instant::now());
                self.stage = Stage::Moving(*id);
            }
            Event::Closed(id, result) if self.connection() == Some(*id) => {
                if !self.has_finished() {
                    // What has arrived can still be read, up to the end.
                    (*result)?;
                }
                self.closed = true;
            }
            Event::SubflowClosed {
                connection, info, ..
            } if self.connection() == Some(*connection) => {
                self.subflows.insert(info.id, **info);
            }
            _ => {}
        }
        Ok(())
    }

    /// Moves as many bytes as the engine takes or has, within a bound.
    pub(super) fn turn(
        &mut self,
        now: EngineInstant,
        stack: &mut Stack,
    ) -> Result<Turn, SocketError> {
        match self.stage {
            Stage::Listening(listener) => match stack.accept(listener) {
                Some(id) => {
                    self.established = Some(Instant::now());
                    self.stage = Stage::Moving(id);
                    Ok(Turn::Busy)
                }
                None => Ok(Turn::Idle),
            },
            Stage::Connecting(_) | Stage::Closing(_) => Ok(Turn::Idle),
            Stage::Moving(id) => match self.activity {
                Activity::Send(stream) => self.send(now, stack, id, stream),
                Activity::Receive => self.receive(now, stack, id),
            },
            Stage::Draining(id) => self.receive(now, stack, id),
        }
    }

    /// Looks at the subflows, so that the report knows them as they were before they closed.
    pub(super) fn inspect(&mut self, stack: &Stack) {
        let Some(id) = self.connection() else { return };
        for info in stack.subflows(id) {
            self.subflows.insert(info.id, info);
        }
        if let Some(info) = stack.connection_info(id) {
            self.fallback |= info.fallback.is_some();
        }
    }

    /// Gives up what is left open, and reports.
    pub(super) fn finish(self, now: EngineInstant, stack: &mut Stack) -> Outcome {
        match self.connection() {
            Some(id) if self.is_over() => stack.close(now, id),
            Some(id) => stack.abort(now, id),
            None => {}
        }
        if let Some(listener) = self.listener {
            stack.close_listener(now, listener);
        }
        Outcome {
            seen: Seen {
                received: self.receiver.received(),
                digest: self.receiver.finish(),
                elapsed: self.elapsed,
                fallback: self.fallback,
            },
            subflows: self.subflows.into_values().map(row).collect(),
        }
    }

    fn connection(&self) -> Option<ConnectionId> {
        match self.stage {
            Stage::Listening(_) => None,
            Stage::Connecting(id)
            | Stage::Moving(id)
            | Stage::Draining(id)
            | Stage::Closing(id) => Some(id),
        }
    }

    fn send(
        &mut self,
        now: EngineInstant,
        stack: &mut Stack,
        id: ConnectionId,
        stream: Stream,
    ) -> Result<Turn, SocketError> {
        let mut turn = Turn::Idle;
        for _ in 0..CALLS_PER_TURN {
            if self.unsent.is_empty() {
                self.unsent = 0..stream.fill(self.position, &mut self.buffer);
            }
            if self.unsent.is_empty() {
                self.inspect(stack);
                stack.shutdown(now, id, Shutdown::Write)?;
                self.stage = Stage::Draining(id);
                return Ok(Turn::Busy);
            }
            match stack.send(now, id, &self.buffer[self.unsent.clone()]) {
                Ok(0) | Err(SocketError::WouldBlock) => return Ok(turn),
                Ok(count) => {
                    self.unsent.start += count;
                    self.position += count as u64;
                    turn = Turn::Busy;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(turn)
    }

    fn receive(
        &mut self,
        now: EngineInstant,
        stack: &mut Stack,
        id: ConnectionId,
    ) -> Result<Turn, SocketError> {
        let mut turn = Turn::Idle;
        for _ in 0..CALLS_PER_TURN {
            match stack.recv(now, id, &mut self.buffer) {
                Err(SocketError::WouldBlock) => return Ok(turn),
                Err(error) => return Err(error),
                Ok(0) => {
                    self.elapsed = self.established.map(|at| at.elapsed()).unwrap_or_default();
                    self.inspect(stack);
                    stack.shutdown(now, id, Shutdown::Write)?;
                    self.stage = Stage::Closing(id);
                    return Ok(Turn::Busy);
                }
                Ok(count) => {
                    self.receiver.absorb(&self.buffer[..count]);
                    if self.activity == Activity::Receive {
                        self.progress.set_received(self.receiver.received());
                    }
                    turn = Turn::Busy;
                }
            }
        }
        Ok(turn)
    }
}

fn row(info: SubflowInfo) -> SubflowRow {
    SubflowRow {
        id: info.id,
        worker: info.handle.worker().number(),
        local: info.path.local,
        remote: info.path.remote,
        tx_bytes: info.bytes_sent,
        rx_bytes: info.bytes_received,
        srtt_us: info
            .smoothed_rtt
            .map_or(0, |rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
        retransmits: info.retransmissions,
    }
}
