//! The configuration of `braid engine`, read from TOML and checked whole before anything starts.
//!
//! A [`Config`] that exists is consistent: what may be wrong with one is a [`ConfigError`], one
//! sentence with the line and what mends it. What can change while the engine runs is told by
//! [`Config::changes_needing_restart`]. `deploy/examples` has files with every key explained.

mod check;
mod document;
mod dpdk;
mod engine;
mod error;
mod exclusive;
mod policy;
mod reload;
mod value;

use std::fs;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::Duration;

use braid_dataplane::worker::IdlePolicy;
use braid_engine::mptcp::path_manager::{Endpoint, Limits};
use braid_engine::stack::{Defaults, InterfaceConfig, PortId, Prefix, StackConfig};
use braid_engine::wire::ethernet::MacAddress;

pub use dpdk::{DpdkConfig, DpdkDevice};
pub use error::ConfigError;
pub use exclusive::in_use as exclusive_protocols_in_use;
pub use policy::{ExclusiveProtocol, Policy, ProgramRule, is_host_identity_tag};

/// Where the engine listens if nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/braid/engine.sock";

/// Everything that `braid engine` is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The path of the Unix socket for applications and the command line.
    pub socket: PathBuf,
    /// Users besides root and the engine's own that may attach.
    pub allow_users: Vec<u32>,
    /// How long the connections may take to close after SIGTERM.
    pub shutdown_timeout: Duration,
    /// What a worker does with time it has nothing to do in.
    pub idle: IdlePolicy,
    /// How many workers share the connections.
    pub workers: NonZeroU8,
    /// The core that each of them is kept on, in their order. `None` leaves a single worker to the
    /// system, and keeps each of several on one of the first cores, if there are enough.
    pub cores: Option<Vec<usize>>,
    /// How DPDK is started, if a port is one of its devices.
    pub dpdk: DpdkConfig,
    /// The ports, the first of which is `PortId(0)`.
    pub ports: Vec<PortConfig>,
    /// Routes besides those that follow from the ports.
    pub routes: Vec<RouteConfig>,
    /// The addresses for further subflows.
    pub endpoints: Vec<Endpoint>,
    /// How many subflows each connection takes.
    pub limits: Limits,
    /// What the engine holds of applications.
    pub applications: ApplicationLimits,
    /// The bounds of the stack, and what connections get that ask for nothing else.
    pub stack: StackConfig,
    /// What is left to local policy.
    pub policy: Policy,
    /// What single programs get instead.
    pub programs: Vec<ProgramRule>,
}

/// A port and the interface of the stack on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Its name in messages, routes and tables.
    pub name: String,
    /// What it is made of.
    pub kind: PortKind,
    /// The link address; `None` takes that of the interface (AF_PACKET) or the device (DPDK), or
    /// draws one (TAP).
    pub mac: Option<MacAddress>,
    /// The largest IP packet in bytes.
    pub mtu: u16,
    /// Its addresses with the lengths of their prefixes.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Routers to everywhere else.
    pub gateways: Vec<IpAddr>,
    /// Large segments and checksums are left to the kernel, or to the device.
    pub offload: bool,
}

/// What a port is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// A packet socket on this interface.
    AfPacket(String),
    /// The TAP device of this name, made if it does not exist.
    Tap(String),
    /// A device that DPDK drives.
    #[cfg(feature = "dpdk")]
    Dpdk(DpdkDevice),
}

impl PortKind {
    /// The name of the kernel's interface, or of the device.
    pub fn interface(&self) -> &str {
        match self {
            Self::AfPacket(interface) | Self::Tap(interface) => interface,
            #[cfg(feature = "dpdk")]
            Self::Dpdk(device) => &device.device,
        }
    }

    /// The kernel's interface whose link is the port's, if there is one.
    pub fn kernel_interface(&self) -> Option<&str> {
        match self {
            Self::AfPacket(interface) | Self::Tap(interface) => Some(interface),
            #[cfg(feature = "dpdk")]
            Self::Dpdk(device) => device.interface(),
        }
    }
}

/// A route besides those that follow from the ports.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// Where it leads.
    pub to: Prefix,
    /// The port it leaves by.
    pub port: PortId,
    /// The router; `None` for what is on the link.
    pub gateway: Option<IpAddr>,
}

/// What the engine holds of applications at most.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ApplicationLimits {
    /// Applications attached at a time.
    pub applications: usize,
    /// Sockets of each.
    pub sockets: u32,
    /// Threads of each that call at the same time.
    pub threads: u32,
    /// Bytes of the shared ring of a socket in each direction; a power of two.
    pub ring_bytes: u64,
    /// Bytes that count of what a program asks for by SO_SNDBUF and SO_RCVBUF at most, as
    /// `net.core.wmem_max` and `rmem_max`: its connection has up to twice that in each direction.
    pub buffer: u32,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line and what mends it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.into(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Checks `text` as the contents of the file at `path`.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let located = |fault: error::Fault| fault.locate(path, text);
        let document: document::Document =
            toml::from_str(text).map_err(|error| located(error.into()))?;
        check::check(document).map_err(located)
    }

    /// Whether users other than root and the engine's own may attach.
    pub fn admits_others(&self) -> bool {
        !self.allow_users.is_empty()
    }

    /// What connections to come are set up with.
    pub fn defaults(&self) -> Defaults {
        let stack = &self.stack;
        Defaults {
            multipath: stack.multipath,
            checksum: stack.checksum,
            congestion: stack.congestion,
            profile: stack.profile,
            scheduler: stack.scheduler,
            path_management: stack.path_management,
            send_buffer: stack.send_buffer,
            receive_buffer: stack.receive_buffer,
            fate_sharing: stack.fate_sharing,
            nodelay_selects_latency: stack.nodelay_selects_latency,
            small_buffer: stack.small_buffer,
        }
    }

    /// The interface that the stack has on a port which offers `capabilities`, with `mac` where
    /// the configuration names none.
    pub fn interface(
        &self,
        port: PortId,
        mac: MacAddress,
        capabilities: braid_engine::stack::Capabilities,
    ) -> Option<InterfaceConfig> {
        let config = self.ports.get(usize::from(port.0))?;
        Some(config.interface(port, mac, capabilities))
    }
}

impl PortConfig {
    fn interface(
        &self,
        port: PortId,
        mac: MacAddress,
        capabilities: braid_engine::stack::Capabilities,
    ) -> InterfaceConfig {
        InterfaceConfig {
            port,
            name: self.name.clone(),
            mac: self.mac.unwrap_or(mac),
            mtu: self.mtu,
            addresses: self.addresses.clone(),
            gateways: self.gateways.clone(),
            capabilities,
        }
    }
}
