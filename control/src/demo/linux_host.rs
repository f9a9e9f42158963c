//! Linux as a host: its namespace, and our ports to its links.

use std::num::NonZeroU8;

use super::DemoError;
#[cfg(feature = "dpdk")]
use super::dpdk;
use super::plan::PortKind;
use super::ports::{Queues, add_veths, open_packet_sockets, open_taps};
use crate::lab::LabError;
use crate::lab::link::{Link, Side};
use crate::lab::namespace::Namespace;

/// The links between Linux and us.
#[derive(Clone, Debug)]
pub(crate) struct LinuxLinks {
    /// How we reach them.
    pub(crate) kind: PortKind,
    /// How many.
    pub(crate) count: u8,
    /// The largest IP packet in bytes.
    pub(crate) mtu: u16,
    /// What we send may be segments that are yet to be split.
    pub(crate) offload: bool,
    /// Queues of each of our ports.
    pub(crate) queues: NonZeroU8,
}

/// A namespace with the kernel's end of all links.
#[derive(Debug)]
pub(crate) struct LinuxHost {
    namespace: Namespace,
    /// Our end of veth links is kept in here. With TAP devices we need no namespace.
    _engine: Option<Namespace>,
}

impl LinuxHost {
    /// Makes the namespace and its links, and opens our port to each.
    pub(crate) fn create(links: &LinuxLinks) -> Result<(Self, Vec<Queues>), DemoError> {
        let namespace = Namespace::create()?;
        let (engine, ports) = match &links.kind {
            PortKind::Tap => {
                let ports = open_taps(&namespace, links.count, links.offload, links.queues)?;
                (None, ports)
            }
            PortKind::AfPacket => {
                let engine = Namespace::create()?;
                add_veths(&engine, &namespace, links.count)?;
                let ports = open_packet_sockets(&engine, links.count, links.offload, links.queues)?;
                (Some(engine), ports)
            }
            #[cfg(feature = "dpdk")]
            PortKind::Dpdk(devices) => dpdk::open(devices, &namespace, links.count, links.queues)?,
        };
        for host in engine.iter().chain([&namespace]) {
            links.set_mtu(host)?;
        }
        for link in Link::all(links.count) {
            link.configure(&namespace, Side::Peer)?;
        }
        let host = Self {
            namespace,
            _engine: engine,
        };
        Ok((host, ports))
    }

    /// The namespace of the kernel.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

impl LinuxLinks {
    fn set_mtu(&self, host: &Namespace) -> Result<(), LabError> {
        let mut routes = host.routes()?;
        Link::all(self.count)
            .try_for_each(|link| routes.set_mtu(&link.interface(), self.mtu.into()))
    }
}
