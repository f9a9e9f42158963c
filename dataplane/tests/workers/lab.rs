//! Runs the workers of both hosts: each in a thread of its own, or all in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use braid_dataplane::worker::{Clock, Waker, Work, Worker};
use braid_engine::socket::ConnectOptions;
use braid_engine::stack::{ConnectionId, ListenerId, Stack};
use braid_engine::time::{Duration, Instant};

use crate::host::{self, Plan};
use crate::load::{End, Side};

/// How long a test may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A worker with the applications it is home to.
pub(crate) struct Seated {
    pub(crate) worker: Worker<Stack>,
    listener: Option<ListenerId>,
    pub(crate) ends: Vec<End>,
    /// Of each end that it accepts.
    length: usize,
}

/// Both hosts.
pub(crate) struct Lab {
    /// Client and server, by worker.
    pub(crate) hosts: [Vec<Seated>; 2],
    /// Ends of connections in all.
    ends: usize,
    deadline: Instant,
}

/// What the threads know of each other.
struct Goal {
    /// Ends that have more to do.
    left: AtomicUsize,
    wakers: Vec<Waker>,
}

impl Goal {
    fn reached_by(&self, ends: usize) {
        if ends > 0 && self.left.fetch_sub(ends, Ordering::AcqRel) == ends {
            self.wakers.iter().for_each(Waker::wake);
        }
    }

    fn is_reached(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }
}

impl Seated {
    /// What the applications do after a step; whether that was anything.
    pub(crate) fn serve(&mut self, now: Instant) -> bool {
        let stack = self.worker.engine_mut();
        while stack.poll_event().is_some() {}
        let accepted = self.listener.and_then(|listener| stack.accept(listener));
        if let Some(connection) = accepted {
            self.ends
                .push(End::new(Side::Server, connection, self.length));
        }
        let busy = self.ends.iter_mut().fold(false, |busy, end| {
            (!end.is_done() && end.serve(now, stack)) | busy
        });
        busy | accepted.is_some()
    }

    fn done(&self) -> usize {
        self.ends.iter().filter(|end| end.is_done()).count()
    }

    fn run(mut self, goal: &Goal, deadline: Instant) -> Self {
        let mut done = self.done();
        while !goal.is_reached() {
            let work = self.worker.step();
            let busy = self.serve(work.now);
            goal.reached_by(self.done() - done);
            done = self.done();
            if !busy {
                self.worker.rest(work, Some(deadline));
            }
            assert!(self.worker.now() < deadline, "{}", self.progress());
        }
        self
    }

    fn progress(&self) -> String {
        let place = self.worker.engine().place();
        let ends = self.ends.iter().map(|end| (end.side, end.received()));
        format!("{:?}: {:?}", place.worker(), ends.collect::<Vec<_>>())
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let counters = self.worker.engine().counters();
        let mut named = counters.named();
        named.find(|(other, _)| *other == name).expect("a name").1
    }

    /// On how many workers the connection has subflows that carried something each way.
    pub(crate) fn workers_used(&self, connection: ConnectionId) -> usize {
        let subflows = self.worker.engine().subflows(connection);
        let used = subflows
            .iter()
            .filter(|info| info.bytes_sent > 1_000 && info.bytes_received > 1_000);
        let mut workers: Vec<_> = used.map(|info| info.handle.worker()).collect();
        workers.sort_unstable();
        workers.dedup();
        workers.len()
    }
}

impl Lab {
    /// Hosts as planned, with connections from workers of the client, on each of which `length`
    /// bytes are to go both ways.
    pub(crate) fn new(plan: Plan, from: &[usize], length: usize) -> Self {
        let clock = Clock::start();
        let hosts = host::hosts(plan, clock).map(|host| {
            let listeners = host.listeners.into_iter().map(Some);
            let listeners = listeners.chain(std::iter::repeat(None));
            let seated = host.workers.into_iter().zip(listeners);
            let seated = seated.map(|(worker, listener)| Seated {
                worker,
                listener,
                ends: Vec::new(),
                length,
            });
            seated.collect::<Vec<_>>()
        });
        let mut lab = Self {
            hosts,
            ends: 2 * from.len(),
            deadline: clock.now() + PATIENCE,
        };
        for &worker in from {
            let Seated { worker, ends, .. } = &mut lab.hosts[0][worker];
            let now = worker.now();
            let stack = worker.engine_mut();
            let options = ConnectOptions {
                socket: plan.socket(),
                ..ConnectOptions::to(host::server())
            };
            let connection = stack.connect(now, options).expect("there is a way");
            ends.push(End::new(Side::Client, connection, length));
        }
        lab
    }

    fn all(&self) -> impl Iterator<Item = &Seated> {
        self.hosts.iter().flatten()
    }

    /// Runs every worker in a thread until all bytes went both ways.
    pub(crate) fn run(self) -> Self {
        let Self {
            hosts,
            ends,
            deadline,
        } = self;
        let done: usize = hosts.iter().flatten().map(Seated::done).sum();
        let wakers = hosts.iter().flatten();
        let goal = Arc::new(Goal {
            left: AtomicUsize::new(ends - done),
            wakers: wakers.map(|seated| seated.worker.waker()).collect(),
        });
        let threads = hosts.map(|host| {
            let threads = host.into_iter().map(|seated| {
                let goal = Arc::clone(&goal);
                thread::spawn(move || seated.run(&goal, deadline))
            });
            threads.collect::<Vec<_>>()
        });
        let hosts = threads.map(|host| {
            let seated = host.into_iter().map(thread::JoinHandle::join);
            seated
                .map(|seated| seated.expect("the worker ends in order"))
                .collect()
        });
        Self {
            hosts,
            ends,
            deadline,
        }
    }

    /// One turn of every worker, in this thread.
    pub(crate) fn turn(&mut self, mut around: impl FnMut(&mut Worker<Stack>) -> Work) {
        for seated in self.hosts.iter_mut().flatten() {
            let now = around(&mut seated.worker).now;
            seated.serve(now);
            assert!(now < self.deadline, "{}", seated.progress());
        }
    }

    /// Whether all bytes went both ways.
    pub(crate) fn is_done(&self) -> bool {
        self.all().map(Seated::done).sum::<usize>() == self.ends
    }

    /// Puts so many frames into the pool of every worker: how many are under way at once depends on
    /// what else the machine does.
    pub(crate) fn fill_pools(&mut self, frames: usize) {
        for seated in self.hosts.iter_mut().flatten() {
            let pool = seated.worker.engine_mut().frame_pool();
            let frames: Vec<_> = (0..frames).map(|_| pool.take()).collect();
            frames.into_iter().for_each(|frame| pool.put(frame));
        }
    }

    /// More bytes are to go on every connection.
    pub(crate) fn extend(&mut self, length: usize) {
        for end in self
            .hosts
            .iter_mut()
            .flatten()
            .flat_map(|seated| &mut seated.ends)
        {
            end.extend(length);
        }
    }

    /// A counter, summed over the workers of a side.
    pub(crate) fn counter(&self, side: Side, name: &str) -> u64 {
        let host = &self.hosts[side as usize];
        host.iter().map(|seated| seated.counter(name)).sum()
    }

    /// For every connection of a side, how many workers carried it.
    pub(crate) fn workers_used(&self, side: Side) -> Vec<usize> {
        let host = self.hosts[side as usize].iter();
        host.flat_map(|seated| {
            let ends = seated.ends.iter();
            ends.map(|end| seated.workers_used(end.connection))
        })
        .collect()
    }

    /// Nothing was lost on the way within the hosts, and once all connections are closed nothing
    /// is left of them.
    pub(crate) fn assert_clean(mut self) {
        for side in [Side::Client, Side::Server] {
            for name in ["EnginePayloadMissing", "LettersDropped"] {
                assert_eq!(self.counter(side, name), 0, "{side:?} {name}");
            }
        }
        for Seated { worker, ends, .. } in self.hosts.iter_mut().flatten() {
            let now = worker.now();
            for end in ends.drain(..) {
                worker.engine_mut().close(now, end.connection);
            }
        }
        let left = |seated: &Seated| {
            let stack = seated.worker.engine();
            let usage = stack.usage();
            stack.connection_count()
                + stack.subflow_count()
                + usage.received
                + usage.carried
                + usage.retained
                + usage.messages
        };
        while self.all().any(|seated| left(seated) > 0) {
            self.turn(Worker::step);
        }
    }
}
