//! The worker's thread, and how the control thread has things done in it.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};

use braid_dataplane::worker::{Waker, Worker};
use braid_engine::stack::Stack;
use braid_engine::time::Instant;

/// Tasks that wait for the worker; the control thread waits for each, so few ever do.
const TASKS: usize = 16;

/// What a task has in its hands.
pub(super) struct Turn<'a> {
    /// The present on the worker's clock.
    pub(super) now: Instant,
    /// The protocols.
    pub(super) stack: &'a mut Stack,
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
    thread: Option<JoinHandle<()>>,
}

impl Host {
    pub(super) fn start(worker: Worker<Stack>) -> std::io::Result<Self> {
        let (tasks, incoming) = sync_channel(TASKS);
        let waker = worker.waker();
        let thread = thread::Builder::new()
            .name("braid-worker".into())
            .spawn(move || run(worker, &incoming))?;
        Ok(Self {
            tasks: Some(tasks),
            waker,
            thread: Some(thread),
        })
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

fn run(mut worker: Worker<Stack>, tasks: &Receiver<Task>) {
    loop {
        let now = worker.now();
        let work = worker.step(now);
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
                    task(&mut Turn {
                        now,
                        stack: worker.engine_mut(),
                    });
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        while worker.engine_mut().poll_event().is_some() {
            busy = true;
        }
        if !busy {
            worker.rest(work, None);
        }
    }
}
