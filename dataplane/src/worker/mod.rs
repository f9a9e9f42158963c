//! One core's poll loop: frames from ports to an engine and back.
//!
//! A step is bounded ([`BURST`](crate::port::BURST) frames from each port, the timers that are
//! due, [`TRANSMIT_BUDGET`] frames out), so that neither direction and no port starves another.
//! It reads the clock once, after the last frame came in: a core that is taken away for a while
//! may make a round trip look longer to RFC 6298, never shorter.
//! Between steps the owner of the worker serves the engine's sockets; when there is nothing to
//! do, [`Worker::rest`] sleeps.

mod clock;
mod engine;
mod idle;
mod ports;
mod stack;

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use braid_engine::stack::PortId;
use braid_engine::time::Instant;

pub use clock::Clock;
pub use engine::Engine;
use idle::Nothing;
pub use idle::{Beside, IdlePolicy, Waker};
pub use ports::{Ports, TRANSMIT_BUDGET};

use crate::port::{AnyPort, Burst, POOL_FRAME_CAPACITY, Port, PortError};
use crate::sys::poll;

/// How many ports a worker drives at most.
pub const MAX_PORTS: usize = (poll::MAX_DESCRIPTORS - 2) / 2;

/// What one step did.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use = "whether there was work decides whether to rest"]
pub struct Work {
    /// The time at which it was done.
    pub now: Instant,
    /// Frames received.
    pub received: usize,
    /// Frames sent.
    pub transmitted: usize,
    /// Timers fired.
    pub timers: bool,
    /// Ports failed; [`Worker::take_failure`] tells which.
    pub failed: bool,
}

impl Work {
    /// No work at all.
    pub const fn nothing(now: Instant) -> Self {
        Self {
            now,
            received: 0,
            transmitted: 0,
            timers: false,
            failed: false,
        }
    }

    /// Whether there was nothing to do.
    pub fn is_none(self) -> bool {
        self == Self::nothing(self.now)
    }
}

/// Drives an engine over its ports.
#[derive(Debug)]
pub struct Worker<E> {
    engine: E,
    ports: Ports,
    clock: Clock,
    idle: IdlePolicy,
    waker: Waker,
    /// What each port brings in a step.
    bursts: Vec<Burst>,
    /// Since when there has been nothing to do.
    idle_since: Option<Instant>,
    failures: VecDeque<(PortId, PortError)>,
}

impl<E: Engine> Worker<E> {
    /// A worker for `engine`, whose ports are `ports` in this order from `PortId(0)` on.
    ///
    /// # Errors
    ///
    /// When there are more than [`MAX_PORTS`] ports, the frames of the engine's pool cannot hold
    /// what a port with segmentation receives, or the process is out of file descriptors.
    pub fn new(
        mut engine: E,
        ports: Vec<AnyPort>,
        clock: Clock,
        idle: IdlePolicy,
    ) -> Result<Self, PortError> {
        if ports.len() > MAX_PORTS {
            return Err(PortError::TooMany {
                count: ports.len(),
                limit: MAX_PORTS,
            });
        }
        let capacity = engine.frame_pool().frame_capacity();
        if capacity < POOL_FRAME_CAPACITY && ports.iter().any(|p| p.capabilities().segmentation) {
            return Err(PortError::SmallFrames {
                capacity,
                needed: POOL_FRAME_CAPACITY,
            });
        }
        Ok(Self {
            engine,
            bursts: ports.iter().map(|_| Burst::new()).collect(),
            ports: Ports::new(ports),
            clock,
            idle,
            waker: Waker::new()?,
            idle_since: None,
            failures: VecDeque::new(),
        })
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The engine, for its owner to serve sockets.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// The engine, for its owner to serve sockets, beside the ports.
    pub fn engine_and_ports(&mut self) -> (&mut E, &Ports) {
        (&mut self.engine, &self.ports)
    }

    /// The ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The present on the clock of the worker.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// What wakes the worker from other threads.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The next port that failed, and why. It is told once; from then on the port loses what is
    /// sent by it.
    pub fn take_failure(&mut self) -> Option<(PortId, PortError)> {
        self.failures.pop_front()
    }

    /// Receives, advances and transmits once, each within its bound.
    pub fn step(&mut self) -> Work {
        let failures = self.failures.len();
        let broken = self.gather();
        let now = self.clock.now();
        let received = self.deliver(now);
        for (port, error) in broken {
            self.note(now, port, error);
        }
        let timers = self.engine.poll_timeout().is_some_and(|due| due <= now);
        if timers {
            self.engine.advance(now);
        }
        let transmitted = self.transmit(now);
        Work {
            now,
            received,
            transmitted,
            timers,
            failed: self.failures.len() > failures,
        }
    }

    /// Takes what waits at the ports, and says which of them failed.
    fn gather(&mut self) -> ArrayVec<(PortId, PortError), MAX_PORTS> {
        let mut broken = ArrayVec::new();
        for (id, burst) in self.ports.ids().zip(&mut self.bursts) {
            let pool = self.engine.frame_pool();
            if let Err(error) = self.ports.receive(id, pool, burst) {
                broken.push((id, error));
            }
        }
        broken
    }

    fn deliver(&mut self, now: Instant) -> usize {
        let mut received = 0;
        for frame in self.bursts.iter_mut().flat_map(|burst| burst.drain(..)) {
            received += 1;
            self.engine.receive(now, frame.frame, frame.meta);
        }
        received
    }

    fn transmit(&mut self, now: Instant) -> usize {
        self.ports.begin();
        let transmitted = self.engine.transmit(now, &mut self.ports);
        for id in self.ports.ids() {
            if let Err(error) = self.ports.flush(id) {
                self.note(now, id, error);
            }
        }
        transmitted
    }

    /// A port fails once at most, which bounds the queue.
    fn note(&mut self, now: Instant, port: PortId, error: PortError) {
        self.engine.set_link(now, port, false);
        self.failures.push_back((port, error));
    }

    /// Sleeps, if it is time to after a step that did `work`, until a frame comes, a port that
    /// was full has room, a timer is due, the waker rings or `deadline` is reached. Work that the
    /// caller did for the engine's sockets counts as work too: it should step again rather than
    /// rest.
    pub fn rest(&mut self, work: Work, deadline: Option<Instant>) {
        self.rest_beside(work, deadline, &mut Nothing);
    }

    /// As [`Self::rest`], and wakes for what happens at `beside` too.
    pub fn rest_beside(&mut self, work: Work, deadline: Option<Instant>, beside: &mut impl Beside) {
        let now = self.now();
        if !work.is_none() || self.ports.budget_spent() {
            self.idle_since = None;
            return;
        }
        let idle_since = *self.idle_since.get_or_insert(now);
        let IdlePolicy::Sleep { after } = self.idle else {
            return std::hint::spin_loop();
        };
        if now.saturating_since(idle_since) < after {
            return std::hint::spin_loop();
        }
        let until = [
            self.engine.poll_timeout(),
            deadline,
            self.ports
                .working()
                .filter_map(|port| port.flush_due(now))
                .min(),
        ]
        .into_iter()
        .flatten()
        .min();
        if until.is_some_and(|until| until <= now) || !self.ports.prepare_to_sleep() {
            return;
        }
        if beside.prepare_to_sleep() {
            let descriptors = [self.waker.as_fd()]
                .into_iter()
                .chain(beside.poll_fd())
                .chain(self.ports.working().map(Port::poll_fd))
                .chain(self.ports.working().filter_map(Port::room_fd));
            // A wait that fails is one that ends at once.
            let _ = poll::readable(descriptors, until.map(|until| until.saturating_since(now)));
            self.waker.silence();
        }
        beside.awake();
    }
}

#[cfg(test)]
mod tests;
