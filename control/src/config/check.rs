//! From a document to a configuration: what its tables have to do with one another.

use std::collections::HashSet;
use std::ops::Range;
use std::str::FromStr;

use braid_dataplane::port::POOL_FRAME_CAPACITY;
use braid_dataplane::worker::MAX_PORTS;
use braid_engine::congestion::ControllerKind;
use braid_engine::mptcp::path_manager::{
    Endpoint, EndpointFlags, Endpoints, Limits, MAX_SUBFLOWS, PathManagement,
};
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::Profile;
use braid_engine::stack::{Capabilities, MAX_BUFFER, PortId, SmallBuffer, Stack, StackConfig};
use braid_engine::wire::ethernet::MacAddress;
use toml::Spanned;

use super::document::{
    DefaultsTable, Document, EndpointFlagName, EndpointTable, LimitsTable, PolicyTable,
    PortKindName, PortTable, ProgramTable, RouteTable,
};
use super::error::Fault;
use super::policy::{Policy, ProgramRule, SmallBufferAction};
use super::value::Bytes;
use super::{ApplicationLimits, Config, PortConfig, PortKind, RouteConfig, dpdk, engine};

/// Free frames that the stack keeps for reception, 64 KiB each.
const FRAMES: usize = 512;

/// Rings hold this much at least: a page.
const SMALLEST_RING: u64 = 4 << 10;

/// Rings hold this much at most.
const LARGEST_RING: u64 = 64 << 20;

/// What programs may ask for as a buffer if nothing else is said.
const LARGEST_ASKED_BUFFER: u32 = 16 << 20;

pub(super) fn check(document: Document) -> Result<Config, Fault> {
    let engine = engine::engine(document.engine)?;
    let limits = subflow_limits(&document.limits)?;
    let stack = stack(&document.limits, &document.defaults, &document.policy)?;
    let mut addressed = Addressed::new(&document.ports)?;
    dpdk::refuse_idle(document.dpdk.as_ref(), &addressed.ports)?;
    let routes = addressed.routes(document.routes)?;
    let endpoints = addressed.endpoints(document.endpoints, limits)?;
    Ok(Config {
        socket: engine.socket,
        allow_users: engine.allow_users,
        shutdown_timeout: engine.shutdown_timeout,
        idle: engine.idle,
        workers: engine.workers,
        cores: engine.cores,
        dpdk: dpdk::environment(document.dpdk.map(Spanned::into_inner)),
        ports: addressed.ports,
        routes,
        endpoints,
        limits,
        applications: application_limits(&document.limits, &document.defaults)?,
        stack,
        policy: policy(document.policy),
        programs: programs(document.programs)?,
    })
}

fn at_most<T: Copy + PartialOrd + std::fmt::Display>(
    name: &str,
    written: Option<&Spanned<T>>,
    default: T,
    bounds: std::ops::RangeInclusive<T>,
) -> Result<T, Fault> {
    let Some(written) = written else {
        return Ok(default);
    };
    let value = *written.get_ref();
    if bounds.contains(&value) {
        return Ok(value);
    }
    Err(Fault::new(
        written.span(),
        format!(
            "{name} is {value}: choose from {} to {}",
            bounds.start(),
            bounds.end()
        ),
    ))
}

fn subflow_limits(table: &LimitsTable) -> Result<Limits, Fault> {
    let most = u8::try_from(MAX_SUBFLOWS - 1).unwrap_or(u8::MAX);
    Ok(Limits {
        subflows: at_most("subflows", table.subflows.as_ref(), 8, 0..=most)?,
        add_addr_accepted: at_most(
            "add_addr_accepted",
            table.add_addr_accepted.as_ref(),
            8,
            0..=most,
        )?,
    })
}

fn application_limits(
    table: &LimitsTable,
    defaults: &DefaultsTable,
) -> Result<ApplicationLimits, Fault> {
    let ring_bytes = match &defaults.shared_ring {
        None => 256 << 10,
        Some(written) => {
            let bytes = written.get_ref().0;
            if !bytes.is_power_of_two() || !(SMALLEST_RING..=LARGEST_RING).contains(&bytes) {
                return Err(Fault::new(
                    written.span(),
                    format!(
                        "shared_ring is {bytes} bytes: choose a power of two from 4KiB to 64MiB"
                    ),
                ));
            }
            bytes
        }
    };
    Ok(ApplicationLimits {
        applications: at_most("applications", table.applications.as_ref(), 256, 1..=4096)?,
        sockets: at_most(
            "sockets_per_application",
            table.sockets_per_application.as_ref(),
            4096,
            1..=65_536,
        )?,
        threads: at_most(
            "threads_per_application",
            table.threads_per_application.as_ref(),
            64,
            1..=64,
        )?,
        ring_bytes,
        buffer: buffer("buffer", table.buffer.as_ref(), LARGEST_ASKED_BUFFER)?,
    })
}

fn buffer(name: &str, written: Option<&Spanned<Bytes>>, default: u32) -> Result<u32, Fault> {
    let Some(written) = written else {
        return Ok(default);
    };
    let bytes = written.get_ref().0;
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| (8 << 10..=MAX_BUFFER).contains(bytes))
        .ok_or_else(|| {
            Fault::new(
                written.span(),
                format!("{name} is {bytes} bytes: choose from 8KiB to 1GiB"),
            )
        })
}

fn stack(
    limits: &LimitsTable,
    defaults: &DefaultsTable,
    policy: &PolicyTable,
) -> Result<StackConfig, Fault> {
    let standard = StackConfig::default();
    let connections = at_most(
        "connections",
        limits.connections.as_ref(),
        standard.max_connections,
        1..=1 << 20,
    )?;
    let ephemeral_ports = match &defaults.ephemeral_ports {
        None => standard.ephemeral_ports.clone(),
        Some(written) => {
            let [first, last] = *written.get_ref();
            if first == 0 || first > last {
                return Err(Fault::new(
                    written.span(),
                    format!(
                        "ephemeral_ports is {first} to {last}: write the first and the last port, \
                         such as [32768, 60999]"
                    ),
                ));
            }
            first..=last
        }
    };
    Ok(StackConfig {
        checksum: defaults.checksum.unwrap_or(standard.checksum),
        max_connections: connections,
        max_subflows: connections.saturating_mul(4),
        max_listeners: at_most(
            "listeners",
            limits.listeners.as_ref(),
            standard.max_listeners,
            1..=65_536,
        )?,
        send_buffer: buffer(
            "send_buffer",
            defaults.send_buffer.as_ref(),
            standard.send_buffer,
        )?,
        receive_buffer: buffer(
            "receive_buffer",
            defaults.receive_buffer.as_ref(),
            standard.receive_buffer,
        )?,
        congestion: congestion(defaults.congestion.as_ref())?.unwrap_or_default(),
        scheduler: scheduler(defaults.scheduler.as_ref())?,
        profile: profile(defaults.profile.as_ref())?.unwrap_or_default(),
        path_management: path_management(defaults)?,
        fate_sharing: policy.fate_sharing.unwrap_or(standard.fate_sharing),
        nodelay_selects_latency: policy
            .nodelay_selects_latency
            .unwrap_or(standard.nodelay_selects_latency),
        small_buffer: small_buffer(policy)?.unwrap_or(standard.small_buffer),
        frame_capacity: POOL_FRAME_CAPACITY,
        frame_pool: FRAMES,
        ephemeral_ports,
        ..standard
    })
}

fn congestion(written: Option<&Spanned<String>>) -> Result<Option<ControllerKind>, Fault> {
    written
        .map(|written| {
            ControllerKind::from_str(written.get_ref())
                .map_err(|error| Fault::new(written.span(), error))
        })
        .transpose()
}

fn scheduler(written: Option<&Spanned<String>>) -> Result<Option<Scheduler>, Fault> {
    written
        .map(|written| {
            Scheduler::by_name(written.get_ref()).ok_or_else(|| {
                let names: Vec<&str> = Scheduler::ALL.iter().map(|one| one.name()).collect();
                Fault::new(
                    written.span(),
                    format!(
                        "unknown scheduler \"{}\": use one of {}",
                        written.get_ref(),
                        names.join(", ")
                    ),
                )
            })
        })
        .transpose()
}

fn profile(written: Option<&Spanned<String>>) -> Result<Option<Profile>, Fault> {
    written
        .map(|written| {
            Profile::by_name(written.get_ref()).ok_or_else(|| {
                let names: Vec<&str> = Profile::ALL.iter().map(|one| one.name()).collect();
                Fault::new(
                    written.span(),
                    format!(
                        "unknown profile \"{}\": use one of {}",
                        written.get_ref(),
                        names.join(", ")
                    ),
                )
            })
        })
        .transpose()
}

fn path_management(table: &DefaultsTable) -> Result<PathManagement, Fault> {
    let Some(written) = &table.path_manager else {
        return Ok(PathManagement::default());
    };
    let after = table.ondemand_after.map_or(1 << 20, |Bytes(bytes)| bytes);
    PathManagement::by_name(written.get_ref(), after).ok_or_else(|| {
        Fault::new(
            written.span(),
            format!(
                "unknown path manager \"{}\": use one of {}",
                written.get_ref(),
                PathManagement::NAMES.join(", ")
            ),
        )
    })
}

fn small_buffer(table: &PolicyTable) -> Result<Option<SmallBuffer>, Fault> {
    table
        .small_buffer
        .as_ref()
        .map(|small| {
            let bound = buffer("bound", Some(&small.bound), 0)?;
            Ok(match small.action {
                SmallBufferAction::Raise => SmallBuffer::Raise(bound),
                SmallBufferAction::Disable => SmallBuffer::DisableMultipath(bound),
            })
        })
        .transpose()
}

fn policy(table: PolicyTable) -> Policy {
    let standard = Policy::default();
    Policy {
        default_enable: table.default_enable.unwrap_or(standard.default_enable),
        exclusive_with: table.exclusive_with.unwrap_or(standard.exclusive_with),
        take_unspecified: table.take_unspecified.unwrap_or(standard.take_unspecified),
    }
}

fn programs(tables: Vec<Spanned<ProgramTable>>) -> Result<Vec<ProgramRule>, Fault> {
    let mut names = HashSet::new();
    tables
        .into_iter()
        .map(|table| {
            let place = table.span();
            let table = table.into_inner();
            if table.name.is_empty() || table.name.contains('/') {
                return Err(Fault::new(
                    place,
                    format!(
                        "program \"{}\": write the name of the executable file without its \
                         folder, such as \"curl\"",
                        table.name
                    ),
                ));
            }
            if !names.insert(table.name.clone()) {
                return Err(Fault::new(
                    place,
                    format!(
                        "program \"{}\" has rules already: write them in one table",
                        table.name
                    ),
                ));
            }
            Ok(ProgramRule {
                enable: table.enable,
                congestion: congestion(table.congestion.as_ref())?,
                scheduler: scheduler(table.scheduler.as_ref())?,
                profile: profile(table.profile.as_ref())?,
                name: table.name,
            })
        })
        .collect()
}

/// The ports, and a stack that has them, which knows what contradicts itself.
struct Addressed {
    ports: Vec<PortConfig>,
    stack: Stack,
}

impl Addressed {
    fn new(tables: &[Spanned<PortTable>]) -> Result<Self, Fault> {
        if tables.is_empty() {
            return Err(Fault::new(
                0..0,
                "there is no port: add a table [[port]] with kind, interface and addresses",
            ));
        }
        let mut this = Self {
            ports: Vec::new(),
            stack: Stack::new(smallest_stack(), [0; 32]),
        };
        for (number, table) in tables.iter().enumerate() {
            if number >= MAX_PORTS {
                return Err(Fault::new(
                    table.span(),
                    format!("there are more than {MAX_PORTS} ports: leave some out"),
                ));
            }
            this.add_port(number, table)?;
        }
        Ok(this)
    }

    fn add_port(&mut self, number: usize, table: &Spanned<PortTable>) -> Result<(), Fault> {
        let place = table.span();
        let port = port(table.get_ref(), &place)?;
        let same_name = |other: &PortConfig| other.name == port.name;
        let of_kernel = port.kind.kernel_interface();
        let same_interface = |other: &PortConfig| {
            other.kind.interface() == port.kind.interface()
                || of_kernel.is_some() && other.kind.kernel_interface() == of_kernel
        };
        if self.ports.iter().any(same_interface) {
            let sentence = format!(
                "interface \"{}\" has a port already: give each port an interface of its own",
                of_kernel.unwrap_or_else(|| port.kind.interface())
            );
            return Err(Fault::new(place, sentence));
        }
        if self.ports.iter().any(same_name) {
            let sentence = format!(
                "there is a port \"{}\" already: choose another name",
                port.name
            );
            return Err(Fault::new(place, sentence));
        }
        let id = PortId(u16::try_from(number).unwrap_or(u16::MAX));
        self.stack
            .add_interface(port.interface(id, ANY_MAC, CAPABILITIES))
            .map_err(|error| Fault::new(place, error))?;
        self.ports.push(port);
        Ok(())
    }

    fn routes(&mut self, tables: Vec<Spanned<RouteTable>>) -> Result<Vec<RouteConfig>, Fault> {
        tables
            .into_iter()
            .map(|table| {
                let place = table.span();
                let table = table.into_inner();
                let port = self
                    .ports
                    .iter()
                    .position(|port| port.name == table.port)
                    .and_then(|index| u16::try_from(index).ok())
                    .map(PortId)
                    .ok_or_else(|| {
                        let sentence = format!(
                            "there is no port \"{}\": a route names one by its name, or by its \
                             interface where it has none",
                            table.port
                        );
                        Fault::new(place.clone(), sentence)
                    })?;
                let to = table.to.prefix().ok_or_else(|| {
                    Fault::new(place.clone(), "the prefix is longer than its address")
                })?;
                self.stack
                    .add_route(port, to, table.gateway)
                    .map_err(|error| Fault::new(place, error))?;
                Ok(RouteConfig {
                    to,
                    port,
                    gateway: table.gateway,
                })
            })
            .collect()
    }

    fn endpoints(
        &self,
        tables: Vec<Spanned<EndpointTable>>,
        limits: Limits,
    ) -> Result<Vec<Endpoint>, Fault> {
        let mut known = Endpoints::new(limits);
        for table in tables {
            let place = table.span();
            let endpoint = endpoint(table.get_ref());
            let owned = self
                .ports
                .iter()
                .flat_map(|port| &port.addresses)
                .any(|(own, _)| *own == endpoint.address);
            if !owned {
                let sentence = format!(
                    "endpoint {}: {} is the address of no port; add it to the addresses of one",
                    endpoint.id, endpoint.address
                );
                return Err(Fault::new(place, sentence));
            }
            known
                .add(endpoint)
                .map_err(|error| Fault::new(place, error))?;
        }
        Ok(known.iter().copied().collect())
    }
}

/// Stands for the link address that is known only once the port is open.
const ANY_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);

/// Those of a port that takes any MTU; a port may turn out to take less.
const CAPABILITIES: Capabilities = Capabilities {
    checksum: true,
    segmentation: true,
    attach: false,
    max_frame: braid_dataplane::port::LARGEST_FRAME,
};

/// For a stack that only judges addresses.
fn smallest_stack() -> StackConfig {
    StackConfig {
        max_connections: 1,
        max_subflows: 1,
        max_listeners: 1,
        syn_queue: 1,
        time_wait: 1,
        event_queue: 1,
        frame_pool: 0,
        ..StackConfig::default()
    }
}

/// The kernel's interface of a port.
fn interface(table: &PortTable, place: &Range<usize>) -> Result<String, Fault> {
    dpdk::refuse_keys(table, place)?;
    let Some(interface) = table.interface.clone() else {
        let sentence = "the port has no interface: write interface = \"NAME\" as `ip link` has it";
        return Err(Fault::new(place.clone(), sentence));
    };
    let valid = !interface.is_empty()
        && interface.len() <= 15
        && !interface.contains(|c: char| c.is_whitespace() || c == '/' || c == ':' || c == '%');
    if !valid {
        let sentence = format!(
            "\"{interface}\" cannot name an interface: use 1 to 15 bytes without spaces, `/`, \
             `:` or `%`"
        );
        return Err(Fault::new(place.clone(), sentence));
    }
    Ok(interface)
}

fn port(table: &PortTable, place: &Range<usize>) -> Result<PortConfig, Fault> {
    let kind = match table.kind {
        PortKindName::AfPacket => PortKind::AfPacket(interface(table, place)?),
        PortKindName::Tap => PortKind::Tap(interface(table, place)?),
        PortKindName::Dpdk => dpdk::device(table, place)?,
    };
    let interface = kind.interface();
    if table.addresses.is_empty() {
        let sentence = format!(
            "port \"{interface}\" has no address: write addresses = [\"10.0.0.2/24\"] with those \
             that the engine speaks for"
        );
        return Err(Fault::new(place.clone(), sentence));
    }
    Ok(PortConfig {
        name: table.name.clone().unwrap_or_else(|| interface.into()),
        kind,
        mac: table.mac.map(|mac| mac.0),
        mtu: table.mtu.unwrap_or(1_500),
        addresses: table
            .addresses
            .iter()
            .map(|network| (network.address, network.length))
            .collect(),
        gateways: table.gateways.clone(),
        offload: table.offload.unwrap_or(true),
    })
}

fn endpoint(table: &EndpointTable) -> Endpoint {
    let flags = table
        .flags
        .iter()
        .map(|name| match name {
            EndpointFlagName::Signal => EndpointFlags::SIGNAL,
            EndpointFlagName::Subflow => EndpointFlags::SUBFLOW,
            EndpointFlagName::Backup => EndpointFlags::BACKUP,
            EndpointFlagName::Fullmesh => EndpointFlags::FULLMESH,
        })
        .collect();
    Endpoint {
        id: table.id,
        address: table.address,
        port: table.port,
        flags,
    }
}
