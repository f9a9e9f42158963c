//! The threads of a workload: each drives a worker of our host with its client and, where the far host is
//! an engine too, the far worker of the same number with its server, so that one worker each is one
//! busy core.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant as SystemInstant};

use braid_dataplane::worker::{Worker, allowed_cores, pin};
use braid_engine::socket::SocketError;
use braid_engine::stack::{Event, PortId, Stack};
use braid_engine::time::Instant;

use super::BenchError;
use super::arrivals::Arrivals;
use super::hosts::{Far, Hosts};
use super::linux_server::LinuxServer;
use super::server::{Server, Service};
use crate::demo::DemoError;
use crate::demo::engine_host::Gate;
use crate::lab::link::Link;
use crate::peer::PeerProtocol;

/// How long a thread that may sleep does so at most, so that it notices what others tell it.
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// How often the supervising thread looks.
const INTERVAL: Duration = Duration::from_millis(1);

/// What the applications at one worker of our host do.
pub(super) trait Client: Send {
    /// Takes note of what the engine tells.
    fn on_event(
        &mut self,
        event: &Event,
        now: Instant,
        stack: &mut Stack,
    ) -> Result<(), BenchError>;

    /// Does what there is to do, within a bound; what it receives of bytes in bulk it notes in `arrivals`.
    fn turn(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        arrivals: &Arrivals,
    ) -> Result<(), BenchError>;

    /// Whether it has nothing more to do.
    fn is_over(&self) -> bool;
}

/// What the supervising thread sees and does of a workload under way.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    /// What the applications receive: the servers, or where those send the clients.
    pub(super) arrivals: Arrivals,
    gates: Vec<Gate>,
    linux: Option<&'a LinuxServer<'a>>,
    /// Clients that are not over yet.
    busy: AtomicUsize,
    over: AtomicBool,
}

impl Scene<'_> {
    /// Lets so much time pass, less if a thread fails.
    pub(super) fn sleep(&self, time: Duration) {
        let end = SystemInstant::now() + time;
        while !self.is_over() {
            let left = end.saturating_duration_since(SystemInstant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(INTERVAL));
        }
    }

    /// Waits until all clients are over, at most so long; whether they are.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let end = SystemInstant::now() + patience;
        while self.busy.load(Ordering::Acquire) > 0 && !self.is_over() {
            if SystemInstant::now() > end {
                return false;
            }
            thread::sleep(INTERVAL);
        }
        true
    }

    /// Cuts a link at the far host's side, or restores it.
    pub(super) fn set_link(&self, link: Link, up: bool) -> Result<(), BenchError> {
        if let Some(linux) = self.linux {
            return Ok(linux.set_link(link, up)?);
        }
        if let Some(gate) = self.gates.get(usize::from(link.0) - 1) {
            gate.set(up);
        }
        Ok(())
    }

    /// Whether it is to end.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Ends threads however what they serve ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs a client on each of our workers against the far host's `service`, until `supervise` returns;
/// gives the clients back, and what it returned.
pub(super) fn drive<C: Client, R>(
    hosts: Hosts,
    service: Service,
    clients: Vec<C>,
    supervise: impl FnOnce(&Scene<'_>) -> Result<R, BenchError>,
) -> Result<(Vec<C>, R), BenchError> {
    let Hosts { near, far } = hosts;
    let (far, linux) = match far {
        Far::Engine(workers) => (workers, None),
        Far::Linux(host) => (Vec::new(), Some(host)),
    };
    let linux = linux
        .as_ref()
        .map(|host| LinuxServer::listen(host.namespace(), PeerProtocol::Multipath, service))
        .transpose()?;
    let links = near
        .first()
        .map_or(0, |worker| worker.ports().ids().count());
    let links = u8::try_from(links).unwrap_or(u8::MAX);
    let scene = Scene {
        arrivals: Arrivals::new(),
        gates: Link::all(links).map(Gate::of).collect(),
        linux: linux.as_ref(),
        busy: AtomicUsize::new(near.len()),
        over: AtomicBool::new(false),
    };
    let mut far = far.into_iter();
    let mut threads = Vec::new();
    for (near, client) in near.into_iter().zip(clients) {
        let far = far.next().map(|mut worker| {
            let server = Server::listen(service, worker.engine_mut())?;
            Ok::<_, BenchError>(FarWorker {
                worker,
                server,
                open: vec![true; usize::from(links)],
            })
        });
        threads.push(Thread {
            near,
            client,
            far: far.transpose()?,
        });
    }
    let cores = allowed_cores();
    let enough = cores.len() >= threads.len() + usize::from(linux.is_some());
    // Linux's sockets outlive our threads: closing them resets connections, which a thread that has yet to
    // notice the end would take for a failure.
    let deserted = AtomicBool::new(false);
    thread::scope(|scope| {
        let serving = linux
            .as_ref()
            .map(|linux| scope.spawn(|| linux.serve(&scene.arrivals, &deserted)));
        let deserted = Over(&deserted);
        let mut running = Vec::new();
        for (index, thread) in threads.into_iter().enumerate() {
            let core = cores.get(index).copied().filter(|_| enough);
            let scene = &scene;
            running.push(scope.spawn(move || {
                // Where it may not be kept there, it runs all the same.
                let _ = core.map(pin);
                // One that fails ends the others.
                let result = thread.run(scene);
                if result.is_err() {
                    scene.over.store(true, Ordering::Release);
                }
                result
            }));
        }
        let supervised = {
            let _over = Over(&scene.over);
            supervise(&scene)
        };
        let ended: Vec<_> = running.into_iter().map(|thread| thread.join()).collect();
        drop(deserted);
        let mut clients = Vec::new();
        for client in ended {
            match client {
                Ok(client) => clients.push(client?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        if let Some(Err(panic)) = serving.map(thread::ScopedJoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        Ok((clients, supervised?))
    })
}

/// A worker of the far host.
#[derive(Debug)]
struct FarWorker {
    worker: Worker<Stack>,
    server: Server,
    /// What the stack believes of its links.
    open: Vec<bool>,
}

impl FarWorker {
    fn turn(&mut self, scene: &Scene<'_>) -> Result<(), BenchError> {
        for (number, (gate, open)) in (0..).zip(scene.gates.iter().zip(&mut self.open)) {
            if gate.is_open() != *open {
                *open = !*open;
                let now = self.worker.now();
                self.worker
                    .engine_mut()
                    .set_link(now, PortId(number), *open);
            }
        }
        let now = step(&mut self.worker)?;
        self.server
            .turn(now, self.worker.engine_mut(), &scene.arrivals);
        Ok(())
    }
}

struct Thread<C> {
    near: Worker<Stack>,
    client: C,
    far: Option<FarWorker>,
}

impl<C: Client> Thread<C> {
    fn run(mut self, scene: &Scene<'_>) -> Result<C, BenchError> {
        let mut busy = true;
        while !scene.is_over() {
            let work = self.near.step();
            let now = work.now;
            failure(&mut self.near)?;
            let stack = self.near.engine_mut();
            while let Some(event) = stack.poll_event() {
                self.client.on_event(&event, now, stack)?;
            }
            self.client.turn(now, stack, &scene.arrivals)?;
            if busy && self.client.is_over() {
                busy = false;
                scene.busy.fetch_sub(1, Ordering::AcqRel);
            }
            match &mut self.far {
                Some(far) => far.turn(scene)?,
                None => self.near.rest(work, Some(now + LONGEST_SLEEP)),
            }
        }
        Ok(self.client)
    }
}

fn step(worker: &mut Worker<Stack>) -> Result<Instant, BenchError> {
    let work = worker.step();
    failure(worker)?;
    Ok(work.now)
}

fn failure(worker: &mut Worker<Stack>) -> Result<(), BenchError> {
    match worker.take_failure() {
        None => Ok(()),
        Some((_, error)) => Err(DemoError::Port(error).into()),
    }
}

/// How many bytes went; none where a call would have blocked.
pub(super) fn some(
    result: Result<usize, SocketError>,
    what: &'static str,
) -> Result<usize, BenchError> {
    match result {
        Ok(count) => Ok(count),
        Err(SocketError::WouldBlock | SocketError::NotConnected) => Ok(0),
        Err(source) => Err(BenchError::Engine { what, source }),
    }
}
