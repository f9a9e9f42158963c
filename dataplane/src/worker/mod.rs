//! One core's poll loop: frames from ports to an engine and back.
//!
//! A step is bounded ([`BURST`](crate::port::BURST) frames from each port, [`LETTER_BUDGET`] letters
//! of other workers, the timers that are due, [`TRANSMIT_BUDGET`] frames out), so that neither
//! direction, no port and no worker starves another.
//! It reads the clock once, after the last frame came in: a core that is taken away for a while
//! may make a round trip look longer to RFC 6298, never shorter.
//! Between steps the owner of the worker serves the engine's sockets; when there is nothing to
//! do, [`Worker::rest`] sleeps.
//!
//! Several workers drive the engines of one host: all are made, [`connect`]ed, and moved to their
//! threads. A worker alone has no part in any of that.

mod clock;
mod engine;
mod idle;
mod letters;
mod pin;
mod ports;
mod stack;

use std::collections::VecDeque;

use braid_engine::stack::PortId;
use braid_engine::storage::prefetch::Prefetch;
use braid_engine::time::Instant;

pub use clock::Clock;
pub use engine::Engine;
use idle::Nothing;
pub use idle::{Beside, IdlePolicy, Waker};
use letters::Letters;
pub use letters::{LETTER_BUDGET, LETTER_CAPACITY};
pub use pin::{PinError, allowed_cores, pin};
pub use ports::{Ports, Seat, TRANSMIT_BUDGET};

use crate::port::{Burst, POOL_FRAME_CAPACITY, Port, PortError};
use crate::reassembly_ring::{Exchange, exchanges};
use crate::sys::poll;
use crate::sys::prefetch::prefetch;

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
    /// Letters of other workers taken, and letters sent to them.
    pub letters: usize,
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
            letters: 0,
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
pub struct Worker<E: Engine> {
    engine: E,
    ports: Ports,
    letters: Letters<E::Letter>,
    clock: Clock,
    idle: IdlePolicy,
    /// There are more workers than cores: whoever waits lets others run.
    crowded: bool,
    waker: Waker,
    /// What each port brings in a step.
    bursts: Vec<Burst>,
    /// Since when there has been nothing to do.
    idle_since: Option<Instant>,
    failures: VecDeque<(PortId, PortError)>,
}

impl<E: Engine> Worker<E> {
    /// A worker for `engine`, whose ports are those of `seats` in this order from `PortId(0)` on:
    /// the same for all workers of a host.
    ///
    /// # Errors
    ///
    /// When there are more than [`MAX_PORTS`] ports, the frames of the engine's pool cannot hold
    /// what a port with segmentation receives, or the process is out of file descriptors.
    pub fn new(
        mut engine: E,
        seats: Vec<Seat>,
        clock: Clock,
        idle: IdlePolicy,
    ) -> Result<Self, PortError> {
        if seats.len() > MAX_PORTS {
            return Err(PortError::TooMany {
                count: seats.len(),
                limit: MAX_PORTS,
            });
        }
        let capacity = engine.frame_pool().frame_capacity();
        let segments = |seat: &Seat| seat.capabilities().segmentation;
        if capacity < POOL_FRAME_CAPACITY && seats.iter().any(segments) {
            return Err(PortError::SmallFrames {
                capacity,
                needed: POOL_FRAME_CAPACITY,
            });
        }
        engine.set_prefetch(Prefetch::by(prefetch));
        Ok(Self {
            engine,
            bursts: seats.iter().map(|_| Burst::new()).collect(),
            ports: Ports::new(seats),
            letters: Letters::none(),
            clock,
            idle,
            crowded: false,
            waker: Waker::new()?,
            idle_since: None,
            failures: VecDeque::new(),
        })
    }

    /// Gives the worker its way to the other workers of its host, before the first step; see
    /// [`connect`].
    pub fn set_exchange(&mut self, exchange: Exchange<E::Letter, Waker>) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.crowded = exchange.workers() > cores;
        self.letters = Letters::new(exchange);
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
    pub fn engine_and_ports(&mut self) -> (&mut E, &mut Ports) {
        (&mut self.engine, &mut self.ports)
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
    /// sent by it, until it is replaced ([`Ports::replace`]).
    pub fn take_failure(&mut self) -> Option<(PortId, PortError)> {
        self.failures.pop_front()
    }

    /// Receives, advances and transmits once, each within its bound.
    pub fn step(&mut self) -> Work {
        self.step_serving(|_, _| {})
    }

    /// As [`Self::step`], with a look at the engine between what came in and what goes out: what
    /// applications within the worker answer goes with the acknowledgment of what they answer to.
    pub fn step_serving(&mut self, serve: impl FnOnce(Instant, &mut E)) -> Work {
        let failures = self.failures.len();
        self.gather();
        let now = self.clock.now();
        let received = self.deliver(now);
        for (port, _) in self.failures.iter().skip(failures) {
            self.engine.set_link(now, *port, false);
        }
        let delivered = self.letters.deliver(now, &mut self.engine);
        let timers = self.engine.is_due(now);
        if timers {
            self.engine.advance(now);
        }
        serve(now, &mut self.engine);
        let transmitted = self.transmit(now);
        Work {
            now,
            received,
            transmitted,
            letters: delivered + self.letters.send(&mut self.engine),
            timers,
            failed: self.failures.len() > failures,
        }
    }

    /// Takes what waits at the ports, and notes which of them failed: each once at most until it is
    /// replaced, which bounds the queue.
    fn gather(&mut self) {
        for (id, burst) in self.ports.ids().zip(&mut self.bursts) {
            let pool = self.engine.frame_pool();
            if let Err(error) = self.ports.receive(id, pool, burst) {
                self.failures.push_back((id, error));
            }
        }
    }

    fn deliver(&mut self, now: Instant) -> usize {
        let mut received = 0;
        for burst in self.bursts.iter_mut().filter(|burst| !burst.is_empty()) {
            received += burst.len();
            if burst.len() > 1 {
                let frames = burst.iter().map(|received| received.frame.bytes());
                self.engine.expect_frames(frames);
            }
            let frames = burst
                .drain(..)
                .map(|received| (received.frame, received.meta));
            self.engine.receive_burst(now, frames);
        }
        received
    }

    fn transmit(&mut self, now: Instant) -> usize {
        self.ports.begin();
        let transmitted = self.engine.transmit(now, &mut self.ports);
        for id in self.ports.ids() {
            if let Err(error) = self.ports.flush(id) {
                self.engine.set_link(now, id, false);
                self.failures.push_back((id, error));
            }
        }
        transmitted
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
        // The owner may have had the engine write some since the step.
        let sent = self.letters.send(&mut self.engine);
        if !work.is_none() || sent > 0 || self.ports.budget_spent() {
            self.idle_since = None;
            return;
        }
        let idle_since = *self.idle_since.get_or_insert(work.now);
        let IdlePolicy::Sleep { after } = self.idle else {
            return self.pause();
        };
        if work.now.saturating_since(idle_since) < after || self.letters.wait(&self.engine) {
            return self.pause();
        }
        let now = self.now();
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
        if self.letters.prepare_to_sleep() && beside.prepare_to_sleep() {
            let descriptors = [self.waker.as_fd()]
                .into_iter()
                .chain(beside.poll_fd())
                .chain(self.ports.working().map(Port::poll_fd))
                .chain(self.ports.working().filter_map(Port::room_fd));
            // A wait that fails is one that ends at once.
            let _ = poll::readable(descriptors, until.map(|until| until.saturating_since(now)));
            self.waker.silence();
        }
        self.letters.awake();
        beside.awake();
    }

    /// Lets a moment pass.
    fn pause(&self) {
        if self.crowded {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Makes `workers`, in the order of their numbers, the workers of one host: from each to each
/// `capacity` letters may be under way (rounded up to a power of two). Before their first steps.
pub fn connect<E: Engine>(workers: &mut [Worker<E>], capacity: usize) {
    let wakers = workers.iter().map(Worker::waker).collect();
    for (worker, exchange) in workers.iter_mut().zip(exchanges(wakers, capacity)) {
        worker.set_exchange(exchange);
    }
}

#[cfg(test)]
mod tests;
