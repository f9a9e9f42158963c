//! The workers' threads together, as the control thread asks them.
//!
//! The workers of an engine are one host, so what is set is set on all of them, in the same order, and
//! what is counted is summed. The first that lives chooses where there is something to choose (a free
//! port), and the others take the same.
//!
//! A worker that has ended, or does not answer, is asked nothing more: what concerns all is done on the
//! others, and what concerns it alone fails with [`WorkerGone`] (`lost` says what becomes of its sockets).

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use braid_dataplane::application::Reports;
use braid_engine::stack::{ConnectionId, WorkerId};

use super::cores::Pipelines;
use super::home::ConnectionName;
use super::host::{self, Host, Loss, NewHost, Pending, Turn, WorkerGone};

/// How often it is looked whether workers take turns that nothing is asked of.
const LOOK: Duration = Duration::from_secs(1);

/// What workers have answered, in their order: one at least.
#[derive(Debug)]
pub(super) struct Answers<R> {
    first: (WorkerId, R),
    others: Vec<(WorkerId, R)>,
}

impl<R> Answers<R> {
    /// That of the first, where all are alike.
    pub(super) fn of_first(self) -> R {
        self.first.1
    }

    /// All of them as one: that of the first, to which `add` adds each of the others.
    pub(super) fn merge(self, mut add: impl FnMut(&mut R, R)) -> R {
        let (_, mut all) = self.first;
        for (_, other) in self.others {
            add(&mut all, other);
        }
        all
    }
}

impl<R> IntoIterator for Answers<R> {
    type Item = (WorkerId, R);
    type IntoIter = std::iter::Chain<std::iter::Once<Self::Item>, std::vec::IntoIter<Self::Item>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.others)
    }
}

/// All workers.
pub(super) struct Hosts {
    /// By their numbers.
    hosts: Vec<Host>,
    reports: Arc<Reports>,
    /// Where the next connection goes that may go anywhere.
    next: Cell<usize>,
    next_look: Instant,
}

impl Hosts {
    /// Runs the workers, in the order of their numbers: by `pipelines`, or in a thread each.
    pub(super) fn start(
        workers: Vec<NewHost>,
        reports: Arc<Reports>,
        pipelines: Option<Pipelines>,
    ) -> std::io::Result<Self> {
        let (mut hosts, mut launches) = (Vec::new(), Vec::new());
        for (number, worker) in (0..).map(WorkerId::new).zip(workers) {
            let core = worker.core;
            let (host, launch) = Host::new(number, worker, Arc::clone(&reports));
            if pipelines.is_some() {
                launches.push(launch);
            } else {
                host::spawn(number, core, launch)?;
            }
            hosts.push(host);
        }
        if let Some(pipelines) = pipelines {
            pipelines.run(launches);
        }
        Ok(Self {
            hosts,
            reports,
            next: Cell::new(0),
            next_look: Instant::now() + LOOK,
        })
    }

    /// What the workers report.
    pub(super) fn reports(&self) -> &Reports {
        &self.reports
    }

    /// The workers that live, in order.
    pub(super) fn living(&self) -> impl Iterator<Item = WorkerId> {
        let living = self.hosts.iter().filter(|host| !host.is_gone());
        living.map(Host::number)
    }

    /// Whether a worker lives.
    pub(super) fn is_living(&self, worker: WorkerId) -> bool {
        let host = self.hosts.get(worker.index());
        host.is_some_and(|host| !host.is_gone())
    }

    /// Whether a worker was given up and may yet touch what it had in its hands.
    pub(super) fn is_silent(&self, worker: WorkerId) -> bool {
        let host = self.hosts.get(worker.index());
        host.is_some_and(Host::is_silent)
    }

    /// The workers that are gone and were not taken note of, each with why.
    pub(super) fn take_lost(&mut self) -> Vec<(WorkerId, Loss)> {
        let lost = |host: &mut Host| Some((host.number(), host.take_loss()?));
        self.hosts.iter_mut().filter_map(lost).collect()
    }

    /// Looks whether all workers take turns, if it is time.
    pub(super) fn look(&mut self) {
        if self.time_of_look() == Some(Duration::ZERO) {
            self.next_look = Instant::now() + LOOK;
            for host in &mut self.hosts {
                host.look(LOOK);
            }
        }
    }

    /// How long until the workers are to be looked at.
    pub(super) fn time_of_look(&self) -> Option<Duration> {
        Some(self.next_look.saturating_duration_since(Instant::now()))
    }

    /// Times that a task had to wait for room, at all workers.
    pub(super) fn crowded(&self) -> u64 {
        self.hosts.iter().map(Host::crowded).sum()
    }

    /// The workers for the next connection that may be at any: each comes first in its turn.
    pub(super) fn in_turn(&self) -> Result<Vec<WorkerId>, WorkerGone> {
        let mut living: Vec<WorkerId> = self.living().collect();
        let turn = self.next.get();
        self.next.set(turn.wrapping_add(1));
        let first = turn.checked_rem(living.len()).ok_or(WorkerGone)?;
        living.rotate_left(first);
        Ok(living)
    }

    /// What has a worker hang, from any thread.
    #[cfg(test)]
    pub(super) fn paralysis(
        &self,
        worker: WorkerId,
    ) -> impl FnOnce() -> std::sync::mpsc::SyncSender<()> + Send + use<> {
        self.hosts[worker.index()].paralysis()
    }

    /// What has a worker panic, from any thread.
    #[cfg(test)]
    pub(super) fn bomb(&self, worker: WorkerId) -> impl FnOnce() + Send + use<> {
        self.hosts[worker.index()].bomb()
    }

    fn begin<R: Send + 'static>(
        &self,
        worker: WorkerId,
        task: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
    ) -> Result<Pending<R>, WorkerGone> {
        let host = self.hosts.get(worker.index()).ok_or(WorkerGone)?;
        host.begin(task)
    }

    fn end<R>(&self, worker: WorkerId, pending: &Pending<R>) -> Result<R, WorkerGone> {
        let host = self.hosts.get(worker.index()).ok_or(WorkerGone)?;
        host.end(pending)
    }

    /// Has `task` done by one worker and waits for its result: for one turn, which is bounded, and no longer
    /// than [`host::PATIENCE`].
    pub(super) fn call_on<R: Send + 'static>(
        &self,
        worker: WorkerId,
        task: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
    ) -> Result<R, WorkerGone> {
        let pending = self.begin(worker, task)?;
        self.end(worker, &pending)
    }

    /// As [`Self::call_on`] the home of a connection, with the name that it has there.
    pub(super) fn call_home<R: Send + 'static>(
        &self,
        connection: ConnectionName,
        task: impl FnOnce(&mut Turn<'_>, ConnectionId) -> R + Send + 'static,
    ) -> Result<R, WorkerGone> {
        let id = connection.id;
        self.call_on(connection.home, move |turn| task(turn, id))
    }

    /// As [`Self::call_on`] the first worker that lives, for what is the same on all of them.
    pub(super) fn call_first<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
    ) -> Result<R, WorkerGone> {
        self.call_on(self.living().next().ok_or(WorkerGone)?, task)
    }

    /// Has `task` done by several workers at the same time, each with a value of its own. The results of
    /// those that live, in the order of `each`.
    pub(super) fn call_each<A: Send + 'static, R: Send + 'static>(
        &self,
        each: impl IntoIterator<Item = (WorkerId, A)>,
        task: impl FnOnce(&mut Turn<'_>, A) -> R + Clone + Send + 'static,
    ) -> Vec<(WorkerId, R)> {
        let begin = |(worker, value)| {
            let task = task.clone();
            let pending = self.begin(worker, move |turn| task(turn, value));
            Some((worker, pending.ok()?))
        };
        let begun: Vec<_> = each.into_iter().filter_map(begin).collect();
        let end = |(worker, pending)| Some((worker, self.end(worker, &pending).ok()?));
        begun.into_iter().filter_map(end).collect()
    }

    /// Has `task` done by all workers that live, at the same time, and gives their results in order.
    ///
    /// # Errors
    ///
    /// When none lives.
    pub(super) fn call_all<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Turn<'_>) -> R + Clone + Send + 'static,
    ) -> Result<Answers<R>, WorkerGone> {
        let all = self.living().map(|worker| (worker, ()));
        let mut answers = self.call_each(all, |turn, ()| task(turn)).into_iter();
        Ok(Answers {
            first: answers.next().ok_or(WorkerGone)?,
            others: answers.collect(),
        })
    }

    /// Has `first` done by the first worker that lives and, if that did not fail, `same` with its result
    /// by the others: all of them then have what the first has chosen. A failure of one of them ends it
    /// too, after `undo` has been done by those that had not failed.
    pub(super) fn call_alike<T, E>(
        &self,
        first: impl FnOnce(&mut Turn<'_>) -> Result<T, E> + Send + 'static,
        same: impl FnOnce(&mut Turn<'_>, T) -> Result<T, E> + Clone + Send + 'static,
        undo: impl FnOnce(&mut Turn<'_>, T) + Clone + Send + 'static,
    ) -> Result<Result<Answers<T>, E>, WorkerGone>
    where
        T: Clone + Send + 'static,
        E: Send + 'static,
    {
        let chooser = self.living().next().ok_or(WorkerGone)?;
        let chosen = match self.call_on(chooser, first)? {
            Ok(chosen) => chosen,
            Err(error) => return Ok(Err(error)),
        };
        let others: Vec<_> = self
            .living()
            .filter(|&worker| worker != chooser)
            .map(|worker| (worker, chosen.clone()))
            .collect();
        let mut done = Answers {
            first: (chooser, chosen),
            others: Vec::new(),
        };
        let mut failure = None;
        for (worker, result) in self.call_each(others, same) {
            match result {
                Ok(value) => done.others.push((worker, value)),
                Err(error) => failure = Some(error),
            }
        }
        Ok(match failure {
            None => Ok(done),
            Some(error) => {
                self.call_each(done, undo);
                Err(error)
            }
        })
    }
}
