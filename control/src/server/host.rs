//! A worker that runs, in a thread of its own or as a pipeline of DPDK's, and how the control thread has
//! things done in it.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

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
pub(super) struct Pending<R>(Receiver<R>);

/// A worker's thread has ended, by a panic: what was asked of it is void.
#[derive(Copy, Clone, Debug)]
pub(super) struct WorkerGone;

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
    /// What its panic said, once it has ended. `None` once its end was taken note of.
    ended: Option<Receiver<String>>,
    /// It has ended, or is about to.
    gone: Arc<AtomicBool>,
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
            ended: Some(ended),
            gone,
        };
        let launch = Box::new(move || -> Turns {
            let mut running = Some(Running {
                worker: new.worker,
                applications: new.applications,
                tasks: incoming,
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

    /// Whether the worker's thread has ended, or is about to.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Once the worker is gone: what its panic said. `None`: it lives, or this was asked before.
    pub(super) fn take_last_words(&mut self) -> Option<String> {
        if !self.is_gone() {
            return None;
        }
        Some(self.ended.take()?.recv().unwrap_or_default())
    }

    /// Gives the worker a task.
    pub(super) fn begin<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
    ) -> Result<Pending<R>, WorkerGone> {
        let (answer, result) = sync_channel(1);
        let task: Task = Box::new(move |turn| {
            // The control thread waits for it, unless it is gone itself.
            let _ = answer.send(task(turn));
        });
        let given = self.tasks.as_ref().map(|tasks| tasks.send(task));
        let Some(Ok(())) = given else {
            self.gone.store(true, Ordering::Release);
            return Err(WorkerGone);
        };
        self.waker.wake();
        Ok(Pending(result))
    }

    /// Waits for the result of a task.
    pub(super) fn end<R>(&self, pending: &Pending<R>) -> Result<R, WorkerGone> {
        pending.0.recv().map_err(|_| {
            self.gone.store(true, Ordering::Release);
            WorkerGone
        })
    }
}

/// How long a worker that is to panic takes no other task.
#[cfg(test)]
const FUSE: std::time::Duration = std::time::Duration::from_millis(100);

#[cfg(test)]
impl Host {
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
        if let Some(ended) = self.ended.take() {
            // A panic has been told where it happened.
            let _ = ended.recv();
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
}

impl Running {
    /// A step, what the control thread wants, the applications, and rest where there was nothing to do.
    /// Breaks when the control thread has let go of the worker.
    fn turn(&mut self) -> ControlFlow<()> {
        let Self {
            worker,
            applications,
            tasks,
        } = self;
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
        busy |= applications.serve(now, worker.engine_mut());
        if !busy {
            let deadline = applications.has_regions().then(|| now + LONGEST_SLEEP);
            worker.rest_beside(work, deadline, applications);
        }
        ControlFlow::Continue(())
    }
}
