//! Everything that has to be there before the engine runs: signals, socket, ports, stack. What was
//! opened is closed again when a later step fails.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use braid_dataplane::application::{Applications, Reporting, Reports};
use braid_dataplane::port::PortError;
use braid_dataplane::worker::{self, LETTER_CAPACITY, Worker};
use braid_engine::mptcp::path_manager::EndpointError;
use braid_engine::stack::{ConfigError, FlowHash, Place, PortId, Stack, StackConfig, Steering};
use braid_engine::time::Instant;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::cores::{Pipelines, cores};
use super::host::NewHost;
use super::links::{self, Links};
use super::listener::Listener;
use super::ports::{self, OpenPort, OpenPorts};
use crate::config::{Config, exclusive_protocols_in_use};

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be opened.
    #[error("port \"{name}\": {source}")]
    Port {
        /// The port's name.
        name: String,
        /// Why.
        source: PortError,
    },
    /// DPDK cannot be started for its ports.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Dpdk(#[from] braid_dataplane::port::dpdk::DpdkError),
    /// The ports cannot be driven together.
    #[error(transparent)]
    Worker(PortError),
    /// The stack refuses an interface or a route.
    #[error(transparent)]
    Stack(#[from] ConfigError),
    /// The stack refuses an endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The Unix socket cannot be made.
    #[error(
        "cannot listen at {}: {source}; write another `socket` in the table [engine], or make its \
         folder writable",
        path.display()
    )]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another file is in the way.
    #[error("{} exists and is no socket: move it away, or write another `socket` in the table [engine]", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Another engine is in the way.
    #[error("an engine runs at {} already: stop it, or write another `socket` in the table [engine]", path.display())]
    AlreadyRunning {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses something that every engine needs.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Events for watchers that wait for the control thread at most.
const WATCHED: usize = 4_096;

/// What the control thread takes over.
pub(super) struct Started {
    pub(super) listener: Listener,
    pub(super) signals: SignalFd,
    /// In the order of their numbers.
    pub(super) workers: Vec<NewHost>,
    /// What runs them, if not threads of their own.
    pub(super) pipelines: Option<Pipelines>,
    pub(super) reports: Arc<Reports>,
    pub(super) links: Links,
}

/// Starts with what `open` opens, once no other engine is in the way.
pub(super) fn start(
    config: &Config,
    open: impl FnOnce() -> Result<OpenPorts, StartError>,
) -> Result<Started, StartError> {
    let system = |what| move |source: io::Error| StartError::System { what, source };
    let listener = Listener::bind(&config.socket, config.admits_others())?;
    let OpenPorts {
        ports,
        hash,
        interfaces,
        probes,
        pipelines,
        clock,
    } = open()?;
    let system_links = system("cannot watch the links of the ports over netlink (AF_NETLINK)");
    let mut links = Links::watch(interfaces, probes).map_err(&system_links)?;
    let changes = links.changes().map_err(&system_links)?;
    for change in &changes {
        if let Some(port) = config.ports.get(usize::from(change.port.0)) {
            eprintln!("braid: {}", links::line(&port.name, change.state));
        }
    }
    let mut stacks = Vec::new();
    let multipath = !told_to_keep_clear(config);
    for place in places(config, hash) {
        let stack_config = StackConfig {
            multipath,
            place,
            ..config.stack.clone()
        };
        // Not one seed for all: they would draw the same keys.
        let seed = random_seed().map_err(system("cannot read /dev/urandom"))?;
        let mut stack = Stack::new(stack_config, seed);
        equip(&mut stack, config, &ports, clock.now())?;
        for change in &changes {
            stack.set_link(clock.now(), change.port, change.is_up());
        }
        stacks.push(stack);
    }
    let seats = ports::hand_out(ports, &mut stacks);
    let mut workers = Vec::new();
    for (stack, seats) in stacks.into_iter().zip(seats) {
        let worker = Worker::new(stack, seats, clock, config.idle);
        workers.push(worker.map_err(StartError::Worker)?);
    }
    worker::connect(&mut workers, LETTER_CAPACITY);
    let reporting = Reporting {
        workers: workers.len(),
        listeners: config.stack.max_listeners,
        regions: config.applications.applications,
        sockets: super::most_sockets(config),
    };
    let reports = Reports::new(reporting, WATCHED).map_err(system("cannot make a bell"))?;
    let reports = Arc::new(reports);
    let mut hosts = Vec::new();
    for (worker, core) in workers.into_iter().zip(cores(config)) {
        let number = worker.engine().place().worker();
        let most = super::most_sockets(config);
        hosts.push(NewHost {
            worker,
            applications: Applications::new(number, most, Arc::clone(&reports))
                .map_err(system("cannot serve applications"))?,
            core,
        });
    }
    raise_open_files();
    let signals = take_signals().map_err(system("cannot take over signals"))?;
    Ok(Started {
        listener,
        signals,
        workers: hosts,
        pipelines,
        reports,
        links,
    })
}

/// The place of each worker.
fn places(config: &Config, hash: FlowHash) -> impl Iterator<Item = Place> {
    let steering = Steering::new(config.workers.get(), hash);
    // The configuration names no more workers than there may be.
    let steering = steering.unwrap_or(Steering::ALONE);
    steering
        .all()
        .filter_map(move |worker| Place::new(worker, steering))
}

/// Gives a stack what all workers' have.
fn equip(
    stack: &mut Stack,
    config: &Config,
    ports: &[OpenPort],
    now: Instant,
) -> Result<(), StartError> {
    for (number, port) in (0..).map(PortId).zip(ports) {
        let capabilities = port.capabilities();
        let interface = capabilities.and_then(|it| config.interface(number, port.mac, it));
        if let Some(interface) = interface {
            stack.add_interface(interface)?;
        }
    }
    for route in &config.routes {
        stack.add_route(route.port, route.to, route.gateway)?;
    }
    stack.set_limits(now, config.limits);
    for &endpoint in &config.endpoints {
        stack.add_endpoint(now, endpoint)?;
    }
    Ok(())
}

/// Whether SHIM6 or HIP is in use here, so that nothing may use Multipath TCP.
fn told_to_keep_clear(config: &Config) -> bool {
    let exclusive = exclusive_protocols_in_use(&config.policy.exclusive_with);
    for (protocol, sign) in &exclusive {
        eprintln!(
            "braid: {protocol:?} is in use ({sign}), so connections are regular TCP; leave it out \
             of `exclusive_with` to use Multipath TCP all the same"
        );
    }
    !exclusive.is_empty()
}

pub(super) fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

/// Each socket of an application is a descriptor here: as many as this user may have.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without it sockets are refused sooner, by name of the limit.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// From here on these signals are read from a descriptor, in every thread that is started later.
fn take_signals() -> io::Result<SignalFd> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    Ok(SignalFd::with_flags(&signals, flags)?)
}
