//! A worker that runs, in a thread of its own or as a pipeline of DPDK's, and how the control thread has
//! things done in it.
//!
//! A worker that does not get to what it was asked is given up after [`PATIENCE`]: no thread can be ended from
//! outside, so it ends itself before it does anything further, should it ever go on.

use std::any::Any;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::{fmt, thread, time};

use braid_dataplane::application::{Applications, Reports};
use braid_dataplane::worker::{Ports, Waker, Worker, pin};
use braid_engine::stack::{Stack, WorkerId};
use braid_engine::time::{Duration, Instant};

use super::cores::{Launch, Turns};

/// Tasks that wait for the worker; the control thread waits for each, so few ever do.
const TASKS: usize = 16;

/// The worker sleeps no longer while there are applications: one that was killed between the mark that
/// it wakes the worker and the ring of the bell must not leave it asleep.
const LONGEST_SLEEP: Duration = Duration::from_millis(250);

/// How long a worker may take for a turn before it is given up: far longer than any turn of a sound worker
/// on a busy machine.
#[cfg(not(test))]
pub(super) const PATIENCE: time::Duration = time::Duration::from_secs(10);
#[cfg(test)]
pub(super) const PATIENCE: time::Duration = time::Duration::from_secs(2);

/// A wait is counted by pieces, so that a process which was stopped takes none of its workers for hung.
const PIECE: time::Duration = time::Duration::from_millis(100);

/// How long to wait for room among the tasks: about what a turn takes.
const PAUSE: time::Duration = time::Duration::from_micros(50);

/// What a task has in its hands.
pub(super) struct Turn<'a> {
    /// The present on the worker's clock.
    pub(super) now: Instant,
    /// The protocols.
    pub(super) stack: &'a mut Stack,
    /// The ports.
    pub(super) ports: &'a mut Ports,
    /// The sockets of applications.
    pub(super) applications: &'a mut Applications,
}

impl Turn<'_> {
    /// Ends every connection at once.
    pub(super) fn abort_all(&mut self) {
        let connections: Vec<_> = self.stack.connections().collect();
        for connection in connections {
            self.stack.abort(self.now, connection);
        }
    }
}

/// Something for the worker to do between two steps.
type Task = Box<dyn FnOnce(&mut Turn<'_>) + Send>;

/// A task that is under way.
#[derive(Debug)]
pub(super) struct Pending<R>(Receiver<R>);

/// A worker has ended by a panic or was given up: what was asked of it is void.
#[derive(Copy, Clone, Debug)]
pub(super) struct WorkerGone;

/// Why a worker is asked nothing more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// It panicked, and this is what it said.
    Panicked(String),
    /// It does not get to what it is asked.
    Silent,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(said) => write!(f, "has failed ({said})"),
            Self::Silent => write!(f, "has not answered for {} s", PATIENCE.as_secs()),
        }
    }
}

/// A worker that does not run yet.
#[derive(Debug)]
pub(super) struct NewHost {
    pub(super) worker: Worker<Stack>,
    pub(super) applications: Applications,
    /// The core that it is kept on.
    pub(super) core: Option<usize>,
}

/// A worker that runs, as the control thread sees it.
#[derive(Debug)]
pub(super) struct Host {
    number: WorkerId,
    /// `None` once the worker is told to end.
    tasks: Option<SyncSender<Task>>,
    waker: Waker,
    /// What its panic said, once it has ended.
    ended: Receiver<String>,
    /// Its end was taken note of.
    noted: bool,
    /// It has ended or is about to, or it was given up and ends itself once it sees that.
    gone: Arc<AtomicBool>,
    /// It was given up, and may yet be in the midst of something.
    silent: Cell<bool>,
    /// What was asked to see whether it answers, and how long ago.
    look: Option<(Pending<()>, time::Duration)>,
    /// Times that there was no room for a task at once.
    crowded: Cell<u64>,
}

impl Host {
    /// The worker as the control thread sees it, and what runs it.
    pub(super) fn new(number: WorkerId, new: NewHost, reports: Arc<Reports>) -> (Self, Launch) {
        let (tasks, incoming) = sync_channel(TASKS);
        let (last_words, ended) = sync_channel(1);
        let waker = new.worker.waker();
        let gone = Arc::new(AtomicBool::new(false));
        let alarm = Alarm {
            gone: Arc::clone(&gone),
            reports,
        };
        let host = Self {
            number,
            tasks: Some(tasks),
            waker,
            ended,
            noted: false,
            gone: Arc::clone(&gone),
            silent: Cell::new(false),
            look: None,
            crowded: Cell::new(0),
        };
        let launch = Box::new(move || -> Turns {
            let mut running = Some(Running {
                worker: new.worker,
                applications: new.applications,
                tasks: incoming,
                gone,
            });
            let mut alarm = Some((alarm, last_words));
            Box::new(move || {
                let Some(worker) = &mut running else {
                    return ControlFlow::Break(());
                };
                // What a panic leaves behind is dropped, and nobody looks at it again.
                let turn = catch_unwind(AssertUnwindSafe(|| worker.turn()));
                if matches!(turn, Ok(ControlFlow::Continue(()))) {
                    return ControlFlow::Continue(());
                }
                running = None;
                if let Some((alarm, last_words)) = alarm.take() {
                    // The control thread may be gone itself.
                    let panic = turn.err();
                    let said = panic.map_or_else(String::new, |panic| message_of(&*panic));
                    let _ = last_words.send(said);
                    drop(alarm);
                }
                ControlFlow::Break(())
            })
        });
        (host, launch)
    }

    /// The worker's number.
    pub(super) fn number(&self) -> WorkerId {
        self.number
    }

    /// Whether the worker has ended, is about to, or was given up.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Whether the worker was given up and its thread has not ended since: it may yet touch what it had in
    /// its hands.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.get() && self.ended.try_recv() == Err(TryRecvError::Empty)
    }

    /// Once the worker is gone: why. `None`: it lives, or this was asked before.
    pub(super) fn take_loss(&mut self) -> Option<Loss> {
        if !self.is_gone() || std::mem::replace(&mut self.noted, true) {
            return None;
        }
        if self.silent.get() {
            return Some(Loss::Silent);
        }
        Some(Loss::Panicked(self.ended.recv().unwrap_or_default()))
    }

    /// Times that a task had to wait for room among those before it.
    pub(super) fn crowded(&self) -> u64 {
        self.crowded.get()
    }

    fn give_up(&self) -> WorkerGone {
        // One that has just ended by itself has more to say.
        if !self.gone.swap(true, Ordering::AcqRel) {
            self.silent.set(true);
        }
        WorkerGone
    }

    /// Gives the worker a task, once there is room for it.
    pub(super) fn begin<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
    ) -> Result<Pending<R>, WorkerGone> {
        let (mut task, result) = order(task);
        let mut waited = time::Duration::ZERO;
        loop {
            if self.is_gone() {
                return Err(WorkerGone);
            }
            match self.offer(task)? {
                None => return Ok(result),
                Some(refused) => task = refused,
            }
            if waited.is_zero() {
                self.crowded.set(self.crowded.get() + 1);
            }
            if waited >= PATIENCE {
                return Err(self.give_up());
            }
            thread::sleep(PAUSE);
            waited += PAUSE;
        }
    }

    /// Gives the worker a task, or gives it back for want of room.
    fn offer(&self, task: Task) -> Result<Option<Task>, WorkerGone> {
        let Some(tasks) = &self.tasks else {
            return Err(WorkerGone);
        };
        let refused = match tasks.try_send(task) {
            Ok(()) => None,
            Err(TrySendError::Full(task)) => Some(task),
            Err(TrySendError::Disconnected(_)) => {
                self.gone.store(true, Ordering::Release);
                return Err(WorkerGone);
            }
        };
        self.waker.wake();
        Ok(refused)
    }

    /// Waits for the result of a task, at most for as long as a worker may take.
    pub(super) fn end<R>(&self, pending: &Pending<R>) -> Result<R, WorkerGone> {
        let mut waited = time::Duration::ZERO;
        loop {
            match pending.0.recv_timeout(PIECE) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Timeout) if self.silent.get() => return Err(WorkerGone),
                Err(RecvTimeoutError::Timeout) => {
                    waited += PIECE;
                    if waited >= PATIENCE {
                        return Err(self.give_up());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.gone.store(true, Ordering::Release);
                    return Err(WorkerGone);
                }
            }
        }
    }

    /// Looks whether the worker takes turns, `since` the look before, without waiting for it: one that has
    /// taken none for too long is given up.
    pub(super) fn look(&mut self, since: time::Duration) {
        if self.is_gone() {
            return;
        }
        if let Some((pending, waited)) = &mut self.look {
            match pending.0.try_recv() {
                Ok(()) => {}
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    *waited += since;
                    if *waited >= PATIENCE {
                        self.give_up();
                    }
                    return;
                }
            }
        }
        let (task, result) = order(|_| ());
        // Without room there are tasks enough that somebody waits for.
        let taken = matches!(self.offer(task), Ok(None));
        self.look = taken.then_some((result, time::Duration::ZERO));
    }
}

/// A task, and where its result comes.
fn order<R: Send + 'static>(
    task: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
) -> (Task, Pending<R>) {
    let (answer, result) = sync_channel(1);
    let task = Box::new(move |turn: &mut Turn<'_>| {
        // The control thread waits for it, unless it has given the worker up or is gone itself.
        let _ = answer.send(task(turn));
    });
    (task, Pending(result))
}

/// How long a worker that is to panic takes no other task.
#[cfg(test)]
const FUSE: std::time::Duration = std::time::Duration::from_millis(100);

#[cfg(test)]
impl Host {
    /// What has the worker hang, from any thread, until the sender that is returned is dropped.
    pub(super) fn paralysis(&self) -> impl FnOnce() -> SyncSender<()> + Send + use<> {
        let (tasks, waker) = (self.tasks.clone(), self.waker.clone());
        move || {
            let (release, released) = sync_channel(0);
            let (begin, begun) = sync_channel(1);
            let hang: Task = Box::new(move |_| {
                let _ = begin.send(());
                let _ = released.recv();
            });
            let given = tasks.map(|tasks| tasks.send(hang).is_ok());
            assert_eq!(given, Some(true));
            waker.wake();
            begun.recv().unwrap();
            release
        }
    }

    /// What has the worker panic, from any thread: after [`FUSE`], so that what is asked meanwhile meets
    /// its end.
    pub(super) fn bomb(&self) -> impl FnOnce() + Send + use<> {
        let (tasks, waker) = (self.tasks.clone(), self.waker.clone());
        move || {
            let panic: Task = Box::new(|_| {
                thread::sleep(FUSE);
                panic!("on purpose")
            });
            let given = tasks.map(|tasks| tasks.send(panic).is_ok());
            assert_eq!(given, Some(true));
            waker.wake();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.tasks = None;
        self.waker.wake();
        if !self.noted {
            // A panic has been told where it happened. One that hangs ends with the process.
            let _ = self.ended.recv_timeout(PATIENCE);
        }
    }
}

/// What a panic said, as [`std::panic::PanicHookInfo`] has it.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or_default()
        .to_owned()
}

/// Rings when the worker's thread ends, by a panic too, so that the control thread looks.
struct Alarm {
    gone: Arc<AtomicBool>,
    reports: Arc<Reports>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
        self.reports.bell().ring();
    }
}

/// Runs a worker in a thread of its own, kept on `core` if there is one.
pub(super) fn spawn(number: WorkerId, core: Option<usize>, launch: Launch) -> std::io::Result<()> {
    let name = format!("braid-worker-{}", number.number());
    thread::Builder::new().name(name).spawn(move || {
        if let Some(core) = core
            && let Err(error) = pin(core)
        {
            eprintln!("braid: worker {}: {error}", number.number());
        }
        let mut turns = launch();
        while turns().is_continue() {}
    })?;
    Ok(())
}

/// What runs.
struct Running {
    worker: Worker<Stack>,
    applications: Applications,
    tasks: Receiver<Task>,
    /// The control thread has given the worker up.
    gone: Arc<AtomicBool>,
}

impl Running {
    /// A step, what the control thread wants, the applications, and rest where there was nothing to do.
    /// Breaks when the control thread has let go of the worker or given it up.
    fn turn(&mut self) -> ControlFlow<()> {
        let Self {
            worker,
            applications,
            tasks,
            gone,
        } = self;
        let given_up = || gone.load(Ordering::Acquire);
        if given_up() {
            return ControlFlow::Break(());
        }
        let work = worker.step();
        let now = work.now;
        while let Some((port, error)) = worker.take_failure() {
            eprintln!(
                "braid: port {} has failed: {error}; its connections go on by the other ports",
                port.0
            );
        }
        let mut busy = false;
        for _ in 0..TASKS {
            if given_up() {
                return ControlFlow::Break(());
            }
            match tasks.try_recv() {
                Ok(task) => {
                    busy = true;
                    let (stack, ports) = worker.engine_and_ports();
                    task(&mut Turn {
                        now,
                        stack,
                        ports,
                        applications,
                    });
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return ControlFlow::Break(()),
            }
        }
        if given_up() {
            return ControlFlow::Break(());
        }
        busy |= applications.serve(now, worker.engine_mut());
        if !busy {
            let deadline = applications.has_regions().then(|| now + LONGEST_SLEEP);
            worker.rest_beside(work, deadline, applications);
        }
        ControlFlow::Continue(())
    }
}
