//! The worker's thread, and how the control thread has things done in it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};

use braid_dataplane::application::{Applications, Reports};
use braid_dataplane::worker::{Ports, Waker, Worker};
use braid_engine::stack::Stack;
use braid_engine::time::{Duration, Instant};

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
    /// The ports, to be looked at.
    pub(super) ports: &'a Ports,
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

/// The worker's thread has ended, by a panic.
#[derive(Copy, Clone, Debug)]
pub(super) struct WorkerGone;

/// The worker's thread as the control thread sees it.
#[derive(Debug)]
pub(super) struct Host {
    /// `None` once the worker is told to end.
    tasks: Option<SyncSender<Task>>,
    waker: Waker,
    reports: Arc<Reports>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    pub(super) fn start(
        worker: Worker<Stack>,
        applications: Applications,
        reports: Arc<Reports>,
    ) -> std::io::Result<Self> {
        let (tasks, incoming) = sync_channel(TASKS);
        let waker = worker.waker();
        let thread = thread::Builder::new().name("braid-worker".into()).spawn({
            let reports = Arc::clone(&reports);
            move || {
                let _alarm = Alarm(reports);
                run(worker, applications, &incoming);
            }
        })?;
        Ok(Self {
            tasks: Some(tasks),
            waker,
            reports,
            thread: Some(thread),
        })
    }

    /// What the worker reports.
    pub(super) fn reports(&self) -> &Reports {
        &self.reports
    }

    /// Whether the worker's thread has ended.
    pub(super) fn is_gone(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Has `task` done in the worker's thread and waits for its result: at most for one turn of
    /// the worker, which is bounded.
    pub(super) fn call<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
    ) -> Result<R, WorkerGone> {
        let (answer, result) = sync_channel(1);
        let task: Task = Box::new(move |turn| {
            // The control thread waits for it, unless it is gone itself.
            let _ = answer.send(task(turn));
        });
        let tasks = self.tasks.as_ref().ok_or(WorkerGone)?;
        tasks.send(task).map_err(|_| WorkerGone)?;
        self.waker.wake();
        result.recv().map_err(|_| WorkerGone)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.tasks = None;
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic has been told where it happened.
            let _ = thread.join();
        }
    }
}

/// Rings when the worker's thread ends, by a panic too, so that the control thread looks.
struct Alarm(Arc<Reports>);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.bell().ring();
    }
}

fn run(mut worker: Worker<Stack>, mut applications: Applications, tasks: &Receiver<Task>) {
    loop {
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
                        applications: &mut applications,
                    });
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        busy |= applications.serve(now, worker.engine_mut());
        if !busy {
            let deadline = applications.has_regions().then(|| now + LONGEST_SLEEP);
            worker.rest_beside(work, deadline, &mut applications);
        }
    }
}
