//! Linux as the peer: its namespace, its links, and one transfer with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::DemoError;
use crate::lab::LabError;
use crate::lab::link::{Family, Link, Side};
use crate::lab::namespace::Namespace;
use crate::lab::netlink::{Endpoint, EndpointFlags};
use crate::peer::{Listener, PeerProtocol};

/// What a host does about further paths.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum PathRole {
    /// As a server: announces its addresses on every link but the first, where connections begin.
    Announce,
    /// As a client: opens a subflow to every address that the server announces.
    Follow,
}

/// Prepares a namespace's kernel, before it has links.
pub(super) fn tune(namespace: &Namespace, checksum: bool) -> Result<(), LabError> {
    namespace.set(
        "net.mptcp.checksum_enabled",
        if checksum { "1" } else { "0" },
    )?;
    // Without it a link that goes down loses its IPv6 addresses for good.
    namespace.set("net.ipv6.conf.all.keep_addr_on_down", "1")
}

/// Sets the path manager's endpoints and limits for connections over `links` links.
pub(super) fn manage_paths(
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
