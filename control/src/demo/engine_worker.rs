//! What one worker of the engine does in a run: it drives its stack and, where the connection is at
//! home there, the application.
//!
//! Every worker listens, for the connection begins where the hash of its flow leads. Whoever has it
//! says so; the others stop listening and go on with subflows that are at theirs until the run is over.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use braid_dataplane::worker::Worker;
use braid_engine::stack::Stack;

use super::DemoError;
use super::application::{Application, Turn};
use super::engine_host::Gate;
use super::measured::Outcome;
use super::plan::PATIENCE;
use crate::peer::Progress;

/// How long the loop sleeps at most, so that it notices what other threads tell it.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// How often the subflows are looked at while data moves.
const INSPECTION: Duration = Duration::from_millis(50);

/// How long a finished connection may take to close before the next run begins.
const CLOSING: Duration = Duration::from_secs(2);

/// How long the engine goes on after a run, so that what it sent last is on its way.
const AFTERMATH: Duration = Duration::from_millis(20);

/// Nobody has the connection.
const NOBODY: u8 = u8::MAX;

/// What the workers tell each other in a run.
#[derive(Debug)]
pub(super) struct Run {
    /// The number of the worker that has the connection.
    home: AtomicU8,
    over: AtomicBool,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            home: AtomicU8::new(NOBODY),
            over: AtomicBool::new(false),
        }
    }

    /// Takes the run over; whether nobody else has.
    fn take(&self, worker: u8) -> bool {
        let taken = self
            .home
            .compare_exchange(NOBODY, worker, Ordering::AcqRel, Ordering::Acquire);
        taken.is_ok() || taken == Err(worker)
    }

    fn is_taken(&self) -> bool {
        self.home.load(Ordering::Acquire) != NOBODY
    }
}

/// One worker in a run.
#[derive(Debug)]
pub(super) struct Driver<'a> {
    pub(super) worker: &'a mut Worker<Stack>,
    pub(super) application: Option<Application<'a>>,
    pub(super) progress: &'a Progress,
    pub(super) gate: Option<&'a Gate>,
    pub(super) run: &'a Run,
}

impl Driver<'_> {
    /// Goes on until the run is over. `None`: the connection was another worker's.
    pub(super) fn drive(mut self) -> Result<Option<Outcome>, DemoError> {
        let result = self.go_on();
        // It may have slept through all of another's.
        self.leave_it_to_others();
        let now = self.worker.now();
        let stack = self.worker.engine_mut();
        let application = self.application.take();
        let outcome = application.map(|application| application.finish(now, stack));
        self.run.over.store(true, Ordering::Release);
        if let Some(gate) = self.gate {
            // Nobody looks at the gate any more, whatever is done to it from now on.
            self.worker.engine_mut().set_link(now, gate.port, true);
        }
        self.flush();
        result.map(|()| outcome)
    }

    fn go_on(&mut self) -> Result<(), DemoError> {
        let mut last_move = Instant::now();
        let mut last_inspection = Instant::now();
        let mut gate_open = true;
        while !self.is_over() {
            if let Some(gate) = self.gate
                && gate.is_open() != gate_open
            {
                let now = self.worker.now();
                gate_open = !gate_open;
                self.worker.engine_mut().set_link(now, gate.port, gate_open);
            }
            let work = self.worker.step();
            let now = work.now;
            if let Some((_, failure)) = self.worker.take_failure() {
                return Err(DemoError::Port(failure));
            }
            self.leave_it_to_others();
            let stack = self.worker.engine_mut();
            let Some(application) = &mut self.application else {
                while stack.poll_event().is_some() {}
                self.worker.rest(work, Some(now + LONGEST_SLEEP));
                continue;
            };
            while let Some(event) = stack.poll_event() {
                application.on_event(&event).map_err(DemoError::engine)?;
            }
            let turn = application.turn(now, stack).map_err(DemoError::engine)?;
            let present = Instant::now();
            if present.duration_since(last_inspection) >= INSPECTION {
                last_inspection = present;
                application.inspect(stack);
            }
            match turn {
                Turn::Busy => last_move = present,
                Turn::Idle => {
                    let waited = present.duration_since(last_move);
                    if application.has_finished() && waited > CLOSING {
                        return Ok(());
                    }
                    if self.progress.has_failed() && !application.has_finished() {
                        return Err(DemoError::OtherSide);
                    }
                    if waited > PATIENCE {
                        return Err(DemoError::Stalled);
                    }
                    self.worker.rest(work, Some(now + LONGEST_SLEEP));
                }
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.run.over.load(Ordering::Acquire)
            || self.application.as_ref().is_some_and(Application::is_over)
    }

    /// Takes the run over once the connection is here; stops listening once it is elsewhere.
    fn leave_it_to_others(&mut self) {
        let number = self.worker.engine().place().worker().number();
        let here = self.application.as_ref().map(Application::has_connection);
        let leave = match here {
            None => false,
            Some(true) => !self.run.take(number),
            Some(false) => self.run.is_taken(),
        };
        if leave && let Some(application) = self.application.take() {
            let now = self.worker.now();
            application.finish(now, self.worker.engine_mut());
        }
    }

    /// Lets the last segments out, and off links that take their time.
    fn flush(&mut self) {
        let start = Instant::now();
        let going_on =
            |waited: Duration, pending: bool| waited < AFTERMATH || (pending && waited < CLOSING);
        while going_on(start.elapsed(), self.worker.ports().transmit_pending()) {
            let work = self.worker.step();
            while self.worker.engine_mut().poll_event().is_some() {}
            self.worker.rest(work, Some(work.now + AFTERMATH));
        }
    }
}
