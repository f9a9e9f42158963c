//! TCP_MP_ADDRESSES (REQ2 of the draft), and RFC 6897's TCP_MULTIPATH_ADD and TCP_MULTIPATH_REMOVE:
//! the local addresses that a connection may use.

use std::net::{IpAddr, SocketAddr};

use braid_shm::abi::SocketAddressStorage;

use super::Outcome;
use super::change::Change;
use super::parse::{self, Place};
use crate::server::control::Control;
use crate::server::host::WorkerGone;
use crate::server::table::Key;

/// What becomes of the addresses that there are.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::server::options) enum AddressChange {
    /// TCP_MP_ADDRESSES: these, and no others. None at all stands for all that the host has.
    Replace,
    /// TCP_MULTIPATH_ADD: these too.
    Add,
    /// TCP_MULTIPATH_REMOVE: these no more.
    Remove,
}

impl AddressChange {
    /// The addresses afterwards, or an errno.
    fn apply(self, mut old: Vec<IpAddr>, named: Vec<IpAddr>) -> Result<Vec<IpAddr>, i32> {
        match self {
            Self::Replace => return Ok(named),
            _ if named.is_empty() => return Err(libc::EINVAL),
            Self::Add => {
                for address in named {
                    if !old.contains(&address) {
                        old.push(address);
                    }
                }
            }
            Self::Remove => {
                if !named.iter().all(|address| old.contains(address)) {
                    return Err(libc::EADDRNOTAVAIL);
                }
                old.retain(|address| !named.contains(address));
                // As sctp_bindx() has it: the last one stays.
                if old.is_empty() {
                    return Err(libc::EINVAL);
                }
            }
        }
        Ok(old)
    }
}

impl Control {
    pub(super) fn set_addresses(
        &mut self,
        key: Key,
        change: AddressChange,
        bytes: &[u8],
    ) -> Result<Outcome, WorkerGone> {
        let named = match parse::places(bytes).and_then(|places| self.addresses_of(&places)) {
            Ok(named) => named,
            Err(errno) => return Ok(Err(errno)),
        };
        let old = match change {
            AddressChange::Replace => Vec::new(),
            AddressChange::Add | AddressChange::Remove => self.usable_addresses(key)?,
        };
        match change.apply(old, named) {
            Ok(new) => self.apply(key, Change::Addresses(new)),
            Err(errno) => Ok(Err(errno)),
        }
    }

    /// The addresses in places; ENODEV for an interface that is no port.
    fn addresses_of(&self, places: &[Place]) -> Result<Vec<IpAddr>, i32> {
        let mut addresses = Vec::new();
        for place in places {
            match place {
                Place::Address(address) => addresses.push(*address),
                Place::Interface(name) => {
                    let port = self
                        .config
                        .ports
                        .iter()
                        .find(|port| port.name == *name || port.kind.interface() == name)
                        .ok_or(libc::ENODEV)?;
                    addresses.extend(port.addresses.iter().map(|(address, _)| *address));
                }
            }
        }
        Ok(addresses)
    }

    /// The addresses that a socket may use, by name where none was named yet: before there is a
    /// connection none; afterwards those in use and those of the endpoints.
    fn usable_addresses(&self, key: Key) -> Result<Vec<IpAddr>, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Vec::new());
        };
        let Some(connection) = socket.connection() else {
            return Ok(socket.options.local_addresses.clone());
        };
        self.hosts.call_home(connection, |turn, connection| {
            let named = turn.stack.local_addresses(connection);
            if !named.is_empty() {
                return named;
            }
            let in_use = turn.stack.subflows(connection);
            let mut addresses: Vec<IpAddr> = Vec::new();
            let in_use = in_use.iter().map(|subflow| subflow.path.local.ip());
            let endpoints = turn.stack.endpoints().iter();
            for address in in_use.chain(endpoints.map(|endpoint| endpoint.address)) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            addresses
        })
    }

    /// An array of `sockaddr_storage`; empty while the connection may use all.
    pub(super) fn get_addresses(&self, key: Key, capacity: usize) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let addresses = match socket.connection() {
            None => socket.options.local_addresses.clone(),
            Some(connection) => self
                .hosts
                .call_home(connection, |turn, id| turn.stack.local_addresses(id))?,
        };
        let bytes: Vec<u8> = addresses
            .iter()
            .take(capacity / SocketAddressStorage::default().0.len())
            .flat_map(|&address| SocketAddressStorage::new(SocketAddr::new(address, 0)).0)
            .collect();
        Ok(if bytes.is_empty() && !addresses.is_empty() {
            Err(libc::EINVAL)
        } else {
            Ok((0, bytes))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn addresses_come_and_go_but_the_last() {
        let add = AddressChange::Add.apply(vec![ip(1)], vec![ip(2), ip(1)]);
        assert_eq!(add, Ok(vec![ip(1), ip(2)]));
        let remove = AddressChange::Remove;
        assert_eq!(
            remove.apply(vec![ip(1), ip(2)], vec![ip(1)]),
            Ok(vec![ip(2)])
        );
        assert_eq!(remove.apply(vec![ip(1)], vec![ip(1)]), Err(libc::EINVAL));
        assert_eq!(
            remove.apply(vec![ip(1)], vec![ip(3)]),
            Err(libc::EADDRNOTAVAIL)
        );
        assert_eq!(
            AddressChange::Add.apply(vec![ip(1)], vec![]),
            Err(libc::EINVAL)
        );
        assert_eq!(
            AddressChange::Replace.apply(vec![ip(1)], vec![]),
            Ok(vec![])
        );
    }
}
