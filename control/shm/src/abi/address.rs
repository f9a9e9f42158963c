//! Addresses as the socket API lays them out.

use super::{AF_MULTIPATH, Plain, plain};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

const AF_INET: u16 = libc::AF_INET as u16;
const AF_INET6: u16 = libc::AF_INET6 as u16;
const STORAGE_BYTES: usize = 128;

/// `struct sockaddr_storage`: a `sockaddr_in`, a `sockaddr_in6`, or nothing (family 0).
///
/// ```
/// use braid_shm::abi::SocketAddressStorage;
/// let address = "[fe80::1%7]:80".parse().unwrap();
/// assert_eq!(SocketAddressStorage::new(address).address(), Some(address));
/// assert_eq!(SocketAddressStorage::default().address(), None);
/// ```
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketAddressStorage(pub [u8; STORAGE_BYTES]);

impl Default for SocketAddressStorage {
    fn default() -> Self {
        Self([0; STORAGE_BYTES])
    }
}

impl Plain for SocketAddressStorage {
    const BYTES: usize = STORAGE_BYTES;

    fn write(&self, into: &mut [u8]) {
        self.0.write(into);
    }

    fn read(from: &[u8]) -> Self {
        Self(Plain::read(from))
    }
}

impl SocketAddressStorage {
    /// An address and port.
    pub fn new(address: SocketAddr) -> Self {
        let mut storage = Self::default();
        let (family, rest) = storage.0.split_at_mut(2);
        let (port, rest) = rest.split_at_mut(2);
        port.copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                family.copy_from_slice(&AF_INET.to_ne_bytes());
                v4.ip().octets().write(rest);
            }
            SocketAddr::V6(v6) => {
                family.copy_from_slice(&AF_INET6.to_ne_bytes());
                let (flow, rest) = rest.split_at_mut(4);
                v6.flowinfo().write(flow);
                let (octets, scope) = rest.split_at_mut(16);
                octets.copy_from_slice(&v6.ip().octets());
                v6.scope_id().write(scope);
            }
        }
        storage
    }

    /// The address and port, if the family is AF_INET or AF_INET6.
    pub fn address(&self) -> Option<SocketAddr> {
        let at = |offset: usize| self.0.get(offset..).unwrap_or_default();
        let port = u16::from_be_bytes(Plain::read(at(2)));
        match u16::read(&self.0) {
            AF_INET => Some(SocketAddr::new(IpAddr::from(<[u8; 4]>::read(at(4))), port)),
            AF_INET6 => Some(SocketAddr::V6(SocketAddrV6::new(
                <[u8; 16]>::read(at(8)).into(),
                port,
                u32::read(at(4)),
                u32::read(at(24)),
            ))),
            _ => None,
        }
    }

    /// Bytes of the sockaddr in it: 16, 28, or 0.
    pub fn length(&self) -> usize {
        match u16::read(&self.0) {
            AF_INET => 16,
            AF_INET6 => 28,
            _ => 0,
        }
    }

    /// The address in what a program passed as `struct sockaddr`, if it is long enough for its family.
    pub fn from_sockaddr(bytes: &[u8]) -> Option<Self> {
        let storage = Self(Plain::read(bytes));
        let length = storage.length();
        (length > 0 && bytes.len() >= length).then_some(storage)
    }
}

/// Most addresses of a [`sockaddr_multipath`].
pub const MAX_ADDRESSES: usize = 8;

plain! {
    /// The draft's `sockaddr_multipath` (section 5.3): up to eight addresses, v4 and v6 mixed.
    pub struct sockaddr_multipath {
        /// [`AF_MULTIPATH`].
        pub family: u16,
        /// Addresses that follow, 1 to 8.
        pub count: u16,
        /// Zero.
        pub reserved: u32,
        /// The addresses.
        pub addresses: [SocketAddressStorage; MAX_ADDRESSES],
    }
}

impl sockaddr_multipath {
    /// Bytes before the addresses.
    pub const HEADER_BYTES: usize = 8;

    /// One with the first eight of `addresses`.
    pub fn new(addresses: &[SocketAddr]) -> Self {
        let mut multipath = Self {
            family: AF_MULTIPATH,
            count: addresses.len().min(MAX_ADDRESSES) as u16,
            reserved: 0,
            addresses: [SocketAddressStorage::default(); MAX_ADDRESSES],
        };
        for (to, address) in multipath.addresses.iter_mut().zip(addresses) {
            *to = SocketAddressStorage::new(*address);
        }
        multipath
    }

    /// The addresses in `bytes`, which hold the header and as many addresses as it counts. `None`:
    /// another family, a count of 0 or above 8, too few bytes, or an address that is neither v4 nor v6.
    pub fn parse(bytes: &[u8]) -> Option<Vec<SocketAddr>> {
        let multipath: Self = Plain::read(bytes);
        let count = usize::from(multipath.count);
        let needed = Self::HEADER_BYTES + count * STORAGE_BYTES;
        if multipath.family != AF_MULTIPATH
            || !(1..=MAX_ADDRESSES).contains(&count)
            || bytes.len() < needed
        {
            return None;
        }
        multipath
            .addresses
            .iter()
            .take(count)
            .map(SocketAddressStorage::address)
            .collect()
    }
}
