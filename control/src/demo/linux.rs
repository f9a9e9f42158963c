//! Linux as the peer: its namespace, its links, and one transfer with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::thread;

use super::DemoError;
use super::engine_host::MTU;
use super::linux_host::{LinuxHost, LinuxLinks};
use super::plan::{LinuxPlan, PATIENCE, Plan};
use super::ports::{Queues, usable_kind};
use super::report::{self, Task};
use crate::lab::LabError;
use crate::lab::link::{Family, Link, Side};
use crate::lab::namespace::Namespace;
use crate::lab::netlink::{Endpoint, EndpointFlags};
use crate::peer::{self, Activity, Listener, Outcome, PeerProtocol, Progress, Role, Watch};

/// What a host does about further paths.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathRole {
    /// As a server: announces its addresses on every link but the first, where connections begin.
    Announce,
    /// As a client: opens a subflow to every address that the server announces.
    Follow,
}

/// What Linux is to do in one run.
#[derive(Copy, Clone, Debug)]
pub(super) struct PeerTransfer<'a> {
    /// The demonstration that the run is part of.
    pub(super) plan: &'a Plan,
    /// What the kernel's sockets speak.
    pub(super) protocol: PeerProtocol,
    /// The run, as the engine's part.
    pub(super) task: Task,
    /// The server's port.
    pub(super) port: u16,
    /// What the kernel's side does with the connection.
    pub(super) activity: Activity,
    /// Where it tells how far it has come.
    pub(super) progress: &'a Progress,
}

/// Linux as the peer.
#[derive(Debug)]
pub(super) struct LinuxPeer(LinuxHost);

impl LinuxPeer {
    /// Makes the namespace and its links, and opens the engine's port to each.
    pub(super) fn create(plan: &Plan, linux: &LinuxPlan) -> Result<(Self, Vec<Queues>), DemoError> {
        let (host, ports) = LinuxHost::create(&LinuxLinks {
            kind: linux.port.clone().unwrap_or_else(usable_kind),
            count: plan.links,
            mtu: MTU,
            offload: true,
            queues: plan.workers,
        })?;
        tune(host.namespace(), plan.family, plan.checksum)?;
        let peer = Self(host);
        if let Some(command) = &linux.setup {
            peer.set_up(command)?;
        }
        Ok((peer, ports))
    }

    /// The namespace of the kernel that is the peer.
    pub(super) fn namespace(&self) -> &Namespace {
        self.0.namespace()
    }

    /// Makes the kernel ready to be the other end of `task`, and runs its program in a thread of
    /// `scope`.
    pub(super) fn spawn<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        transfer: PeerTransfer<'scope>,
    ) -> Result<thread::ScopedJoinHandle<'scope, Result<Outcome, DemoError>>, DemoError> {
        let PeerTransfer {
            plan,
            protocol,
            task,
            port,
            activity,
            progress,
        } = transfer;
        let paths = match task.role {
            report::Role::Server => PathRole::Follow,
            report::Role::Client => PathRole::Announce,
        };
        manage_paths(self.namespace(), paths, plan.links, plan.family)?;
        let role = match task.role {
            report::Role::Server => {
                let server = Link(1).address(plan.family, Side::Engine);
                Role::Client(protocol, SocketAddr::new(server, port))
            }
            report::Role::Client => {
                Role::Server(listen(self.namespace(), protocol, plan.family, port)?)
            }
        };
        let watch = Watch {
            progress,
            patience: PATIENCE,
        };
        Ok(scope.spawn(move || {
            progress.of_side(|| {
                self.namespace()
                    .run(|| peer::run(role, activity, watch))?
                    .map_err(DemoError::transfer("Linux's side of the transfer failed"))
            })
        }))
    }

    fn set_up(&self, command: &str) -> Result<(), DemoError> {
        let what = "the command of --peer-setup cannot be run";
        let status = self
            .namespace()
            .run(|| {
                Command::new("sh")
                    .args(["-c", command])
                    .stdin(Stdio::null())
                    // What is printed as a result is ours alone.
                    .stdout(std::io::stderr())
                    .status()
            })?
            .map_err(|error| DemoError::Refused(format!("{what}: {error}")))?;
        if status.success() {
            return Ok(());
        }
        Err(DemoError::Refused(format!(
            "the command of --peer-setup ended with {status}"
        )))
    }
}

/// Prepares a namespace's kernel.
pub(crate) fn tune(namespace: &Namespace, family: Family, checksum: bool) -> Result<(), LabError> {
    namespace.set(
        "net.mptcp.checksum_enabled",
        if checksum { "1" } else { "0" },
    )?;
    match family {
        Family::V4 => Ok(()),
        // Without it a link that goes down loses its IPv6 addresses for good.
        Family::V6 => namespace.set("net.ipv6.conf.all.keep_addr_on_down", "1"),
    }
}

/// Sets the path manager's endpoints and limits for connections over `links` links.
pub(crate) fn manage_paths(
    namespace: &Namespace,
    role: PathRole,
    links: u8,
    family: Family,
) -> Result<(), LabError> {
    let others = u32::from(links.saturating_sub(1));
    let mut path_manager = namespace.path_manager()?;
    path_manager.flush_endpoints()?;
    match role {
        PathRole::Follow => path_manager.set_limits(others, others),
        PathRole::Announce => {
            path_manager.set_limits(others, 0)?;
            Link::all(links).skip(1).try_for_each(|link| {
                path_manager.add_endpoint(&Endpoint {
                    address: link.address(family, Side::Peer),
                    flags: EndpointFlags::SIGNAL,
                    id: Some(link.0),
                    interface: None,
                })
            })
        }
    }
}

/// Listens at every address of the namespace: Linux takes a join only where something listens.
pub(super) fn listen(
    namespace: &Namespace,
    protocol: PeerProtocol,
    family: Family,
    port: u16,
) -> Result<Listener, DemoError> {
    let anywhere: IpAddr = match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    namespace
        .run(|| Listener::bind(protocol, SocketAddr::new(anywhere, port)))?
        .map_err(DemoError::transfer("Linux cannot listen"))
}
