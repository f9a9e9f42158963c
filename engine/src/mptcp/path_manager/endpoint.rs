//! Endpoints: the addresses a host uses for further subflows, as `ip mptcp endpoint` users know
//! them (RFC 8684 section 3.4 for what is announced of them).

use super::limits::Limits;
use arrayvec::ArrayVec;
use core::net::IpAddr;
use thiserror::Error;

/// At most this many endpoints are configured on one host.
pub const MAX_ENDPOINTS: usize = 32;

bitflags::bitflags! {
    /// What an endpoint is for.
    #[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
    pub struct EndpointFlags: u8 {
        /// Announced to the peer by ADD_ADDR.
        const SIGNAL = 0x01;
        /// Subflows are opened from it.
        const SUBFLOW = 0x02;
        /// Its subflows are backups.
        const BACKUP = 0x04;
        /// Subflows are opened from it to every address the peer announced.
        const FULLMESH = 0x08;
    }
}

/// A local address for further subflows.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The address identifier on the wire; never zero, which is the address of the first subflow.
    pub id: u8,
    /// The address.
    pub address: IpAddr,
    /// The port announced with it; `None` for that of the connection.
    pub port: Option<u16>,
    /// What it is for.
    pub flags: EndpointFlags,
}

/// Why an endpoint cannot be added.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
pub enum EndpointError {
    /// Identifier zero belongs to the address of the first subflow.
    #[error("endpoint id 0 is reserved for a connection's first address: use 1 to 255")]
    ReservedId,
    /// Another endpoint has the identifier.
    #[error("endpoint id {0} is in use: remove that endpoint first or choose another id")]
    DuplicateId(u8),
    /// Another endpoint has the address and port.
    #[error("{0} is an endpoint already: remove that one first")]
    DuplicateAddress(IpAddr),
    /// A port can only be announced.
    #[error("an endpoint with a port must have the flag signal")]
    PortWithoutSignal,
    /// A full mesh is made of subflows.
    #[error("fullmesh goes with the flag subflow, not with signal alone")]
    FullmeshWithoutSubflow,
    /// [`MAX_ENDPOINTS`] are configured.
    #[error("there are {MAX_ENDPOINTS} endpoints already: remove one first")]
    Full,
}

/// The endpoints and limits of a host.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    list: ArrayVec<Endpoint, MAX_ENDPOINTS>,
    /// How many subflows and announced addresses a connection takes.
    pub limits: Limits,
}

impl Endpoints {
    /// No endpoints yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            list: ArrayVec::new(),
            limits,
        }
    }

    /// Adds an endpoint. An IPv4 address mapped to IPv6 stands for itself.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] when it contradicts itself or one that is there.
    pub fn add(&mut self, mut endpoint: Endpoint) -> Result<(), EndpointError> {
        endpoint.address = endpoint.address.to_canonical();
        if endpoint.id == 0 {
            return Err(EndpointError::ReservedId);
        }
        if self.by_id(endpoint.id).is_some() {
            return Err(EndpointError::DuplicateId(endpoint.id));
        }
        let same =
            |other: &Endpoint| other.address == endpoint.address && other.port == endpoint.port;
        if self.list.iter().any(same) {
            return Err(EndpointError::DuplicateAddress(endpoint.address));
        }
        let flags = endpoint.flags;
        if endpoint.port.is_some() && !flags.contains(EndpointFlags::SIGNAL) {
            return Err(EndpointError::PortWithoutSignal);
        }
        if flags.contains(EndpointFlags::FULLMESH) && !flags.contains(EndpointFlags::SUBFLOW) {
            return Err(EndpointError::FullmeshWithoutSubflow);
        }
        self.list
            .try_push(endpoint)
            .map_err(|_| EndpointError::Full)
    }

    /// Removes and returns the endpoint with this identifier.
    pub fn remove(&mut self, id: u8) -> Option<Endpoint> {
        let index = self.list.iter().position(|endpoint| endpoint.id == id)?;
        Some(self.list.remove(index))
    }

    /// Makes the endpoint with this identifier a backup or a regular one; returns its address.
    pub fn set_backup(&mut self, id: u8, backup: bool) -> Option<IpAddr> {
        let endpoint = self.list.iter_mut().find(|endpoint| endpoint.id == id)?;
        endpoint.flags.set(EndpointFlags::BACKUP, backup);
        Some(endpoint.address)
    }

    /// The endpoint with this identifier.
    pub fn by_id(&self, id: u8) -> Option<&Endpoint> {
        self.list.iter().find(|endpoint| endpoint.id == id)
    }

    /// The endpoint with this address.
    pub fn by_address(&self, address: IpAddr) -> Option<&Endpoint> {
        self.list
            .iter()
            .find(|endpoint| endpoint.address == address)
    }

    /// All endpoints in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> + '_ {
        self.list.iter()
    }

    /// The endpoints with all of these flags.
    pub fn with(&self, flags: EndpointFlags) -> impl Iterator<Item = &Endpoint> + '_ {
        self.list
            .iter()
            .filter(move |endpoint| endpoint.flags.contains(flags))
    }
}
