//! Everything that has to be there before the engine runs: signals, socket, ports, stack. What was
//! opened is closed again when a later step fails.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use braid_dataplane::application::{Applications, Reports};
use braid_dataplane::port::af_packet::{AfPacketOptions, AfPacketPort};
use braid_dataplane::port::tap::TapPort;
use braid_dataplane::port::{AnyPort, Port, PortError, interface};
use braid_dataplane::worker::{Clock, Seat, Worker};
use braid_engine::mptcp::path_manager::EndpointError;
use braid_engine::stack::{ConfigError, PortId, Stack, StackConfig, WorkerId};
use braid_engine::wire::ethernet::MacAddress;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::links::{self, Links};
use super::listener::Listener;
use crate::config::{Config, PortConfig, PortKind, exclusive_protocols_in_use};

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
    pub(super) worker: Worker<Stack>,
    pub(super) applications: Applications,
    pub(super) reports: Arc<Reports>,
    pub(super) links: Links,
}

/// The ports of the configuration, opened.
#[derive(Debug)]
pub struct OpenPorts {
    /// In the order of the configuration, each with the link address that it has where the
    /// configuration names none.
    pub ports: Vec<(AnyPort, MacAddress)>,
    /// Which of them have an interface of the network namespace that the engine is started in, and
    /// its index: their links are watched.
    pub interfaces: Vec<(PortId, u32)>,
    /// The clock of the engine and of links that go wrong.
    pub clock: Clock,
}

pub(super) fn open_ports(config: &Config) -> Result<OpenPorts, StartError> {
    let open = |port: &PortConfig| {
        open(port).map_err(|source| StartError::Port {
            name: port.name.clone(),
            source,
        })
    };
    let ports = config.ports.iter().map(open).collect::<Result<_, _>>()?;
    let index = |(number, port): (u16, &PortConfig)| {
        let index = interface::index(port.kind.interface());
        let index = index.map_err(|source| StartError::Port {
            name: port.name.clone(),
            source,
        })?;
        Ok((PortId(number), index))
    };
    Ok(OpenPorts {
        ports,
        interfaces: (0..)
            .zip(&config.ports)
            .map(index)
            .collect::<Result<_, StartError>>()?,
        clock: Clock::start(),
    })
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
        interfaces,
        clock,
    } = open()?;
    let (ports, macs): (Vec<AnyPort>, Vec<MacAddress>) = ports.into_iter().unzip();
    let seed = random_seed().map_err(system("cannot read /dev/urandom"))?;
    let stack_config = StackConfig {
        multipath: !told_to_keep_clear(config),
        ..config.stack.clone()
    };
    let mut stack = Stack::new(stack_config, seed);
    for ((number, port), mac) in (0..).zip(&ports).zip(macs) {
        if let Some(interface) = config.interface(PortId(number), mac, port.capabilities()) {
            stack.add_interface(interface)?;
        }
    }
    for route in &config.routes {
        stack.add_route(route.port, route.to, route.gateway)?;
    }
    stack.set_limits(clock.now(), config.limits);
    for &endpoint in &config.endpoints {
        stack.add_endpoint(clock.now(), endpoint)?;
    }
    let system_links = system("cannot watch the links of the ports over netlink (AF_NETLINK)");
    let mut links = Links::watch(interfaces).map_err(&system_links)?;
    for change in links.changes().map_err(&system_links)? {
        stack.set_link(clock.now(), change.port, change.is_up());
        if let Some(port) = config.ports.get(usize::from(change.port.0)) {
            eprintln!("braid: {}", links::line(&port.name, change.state));
        }
    }
    let seats = ports.into_iter().map(Seat::from).collect();
    let worker = Worker::new(stack, seats, clock, config.idle).map_err(StartError::Worker)?;
    // One report for each listener and region, two for each socket, and room for watchers.
    let needed = config
        .stack
        .max_listeners
        .saturating_add(super::most_sockets(config).saturating_mul(2))
        .saturating_add(config.applications.applications);
    let reports = Arc::new(Reports::new(needed, WATCHED).map_err(system("cannot make a bell"))?);
    let applications = Applications::new(
        WorkerId::FIRST,
        super::most_sockets(config),
        Arc::clone(&reports),
    )
    .map_err(system("cannot serve applications"))?;
    raise_open_files();
    let signals = take_signals().map_err(system("cannot take over signals"))?;
    Ok(Started {
        listener,
        signals,
        worker,
        applications,
        reports,
        links,
    })
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

/// The port, and the link address that it has where the configuration names none.
fn open(port: &PortConfig) -> Result<(AnyPort, MacAddress), PortError> {
    match &port.kind {
        PortKind::AfPacket(name) => {
            let options = AfPacketOptions {
                offload: port.offload,
                ..AfPacketOptions::default()
            };
            let opened = AfPacketPort::open(name, options)?;
            Ok((opened.into(), interface::ethernet_address(name)?))
        }
        PortKind::Tap(name) => {
            let opened = TapPort::open(name, port.offload)?;
            let drawn = random_seed().unwrap_or_default();
            let [a, b, c, d, e, ..] = drawn;
            // Locally administered, so that no manufacturer's address is taken.
            Ok((opened.into(), MacAddress([2, a, b, c, d, e])))
        }
    }
}

fn random_seed() -> io::Result<[u8; 32]> {
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
