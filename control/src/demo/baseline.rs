//! The yardstick: Linux to Linux Multipath TCP over links of the same kind, with the same program
//! at both ends.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use super::DemoError;
use super::supervision::{Cut, supervise};
use crate::lab::link::{Family, Link, Side};
use crate::lab::namespace::Namespace;
use crate::lab::netlink::{Endpoint, EndpointFlags};
use crate::peer::{self, Activity, Listener, Outcome, Progress, Role, Watch};
use crate::stream::Stream;

/// The server's port.
const PORT: u16 = 5001;

/// Two namespaces joined by veth links, with the kernel's Multipath TCP at both ends.
#[derive(Debug)]
pub struct Baseline {
    client: Namespace,
    server: Namespace,
}

impl Baseline {
    /// Makes the namespaces and `links` links between them.
    pub fn create(links: u8) -> Result<Self, DemoError> {
        let baseline = Self {
            client: Namespace::create()?,
            server: Namespace::create()?,
        };
        for link in Link::all(links) {
            link.add_veth(&baseline.client, &baseline.server)?;
            link.configure(&baseline.client, Side::Engine)?;
            link.configure(&baseline.server, Side::Peer)?;
        }
        announce(&baseline.server, links)?;
        accept_announcements(&baseline.client, links)?;
        Ok(baseline)
    }

    /// The namespace of the server.
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// Sends a stream from the client to the server; returns what the server received.
    pub fn upload(
        &self,
        stream: Stream,
        progress: &Progress,
        patience: Duration,
        cut: Option<Cut>,
    ) -> Result<Outcome, DemoError> {
        let watch = Watch { progress, patience };
        let address = (Link(1).address(Family::V4, Side::Peer), PORT).into();
        // Linux takes joins only where something listens, so the listener is at every address.
        let anywhere = (Ipv4Addr::UNSPECIFIED, PORT).into();
        let listener = self
            .server
            .run(|| Listener::bind(anywhere))?
            .map_err(|source| DemoError::Transfer {
                what: "cannot listen".into(),
                source,
            })?;
        let transfer = || {
            thread::scope(|scope| {
                let server = scope.spawn(move || {
                    self.server
                        .run(|| peer::run(Role::Server(listener), Activity::Receive, watch))
                });
                let sent = self
                    .client
                    .run(|| peer::run(Role::Client(address), Activity::Send(stream), watch))?;
                let received = match server.join() {
                    Ok(received) => received?,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                sent.map_err(|source| DemoError::Transfer {
                    what: "the sending side of Linux to Linux failed".into(),
                    source,
                })?;
                received.map_err(|source| DemoError::Transfer {
                    what: "the receiving side of Linux to Linux failed".into(),
                    source,
                })
            })
        };
        supervise(progress, None, cut, transfer)?.0
    }
}

/// Makes a kernel tell its peers of its address on every link but the first, where connections
/// begin.
pub fn announce(namespace: &Namespace, links: u8) -> Result<(), DemoError> {
    let mut path_manager = namespace.path_manager()?;
    path_manager.set_limits(u32::from(links.saturating_sub(1)), 0)?;
    for link in Link::all(links).skip(1) {
        path_manager.add_endpoint(&Endpoint {
            address: link.address(Family::V4, Side::Peer),
            flags: EndpointFlags::SIGNAL,
            id: Some(link.0),
            interface: None,
        })?;
    }
    Ok(())
}

/// Makes a kernel open a subflow to every address that its peers announce.
pub fn accept_announcements(namespace: &Namespace, links: u8) -> Result<(), DemoError> {
    let others = u32::from(links.saturating_sub(1));
    namespace.path_manager()?.set_limits(others, others)?;
    Ok(())
}
