//! What of the host's endpoints one connection makes use of: its path management and its local
//! addresses applied to the host's configuration.

use super::endpoint::{Endpoint, EndpointFlags, Endpoints};
use super::local_addresses::LocalAddresses;
use super::management::PathManagement;
use core::net::{IpAddr, SocketAddr};

/// The endpoints of the host as one connection sees them.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Selection<'a> {
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) management: PathManagement,
    pub(crate) local: &'a LocalAddresses,
}

/// A local address that subflows are opened from.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Source {
    pub(super) address: IpAddr,
    pub(super) id: u8,
    pub(super) backup: bool,
    /// To every address of the peer, and not to its first alone.
    pub(super) meshed: bool,
}

impl Source {
    /// A subflow is of one family, though others of its connection may be of the other.
    pub(super) const fn reaches(&self, remote: SocketAddr) -> bool {
        self.address.is_ipv4() == remote.is_ipv4()
    }
}

impl<'a> Selection<'a> {
    /// The endpoints to announce.
    pub(super) fn announced(self) -> impl Iterator<Item = &'a Endpoint> + 'a {
        self.endpoints
            .with(EndpointFlags::SIGNAL)
            .filter(move |endpoint| {
                self.management.announces() && self.local.allow(endpoint.address)
            })
    }

    /// The endpoints that subflows are opened from.
    pub(super) fn sources(self) -> impl Iterator<Item = Source> + 'a {
        let mesh = self.management == PathManagement::Fullmesh;
        self.endpoints
            .with(EndpointFlags::SUBFLOW)
            .filter(move |endpoint| self.management.opens() && self.local.allow(endpoint.address))
            .map(move |endpoint| Source {
                address: endpoint.address,
                id: endpoint.id,
                backup: endpoint.flags.contains(EndpointFlags::BACKUP),
                meshed: mesh || endpoint.flags.contains(EndpointFlags::FULLMESH),
            })
    }

    /// Addresses that the application named and that are no endpoint: it wants them used.
    pub(super) fn named(self) -> impl Iterator<Item = IpAddr> + 'a {
        self.local
            .as_slice()
            .iter()
            .copied()
            .filter(move |address| {
                self.management.opens() && self.endpoints.by_address(*address).is_none()
            })
    }
}
