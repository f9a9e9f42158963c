//! The local addresses that a connection may use.

use super::endpoint::MAX_ENDPOINTS;
use core::net::IpAddr;

/// The local addresses that a connection may use; none stands for all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LocalAddresses {
    list: Box<[IpAddr]>,
}

impl LocalAddresses {
    /// These addresses, each counted once; an IPv4 address mapped to IPv6 stands for itself. `None` when they are more than [`MAX_ENDPOINTS`].
    pub fn new(addresses: &[IpAddr]) -> Option<Self> {
        let mut list = Vec::new();
        for address in addresses {
            let address = address.to_canonical();
            if !list.contains(&address) {
                list.push(address);
            }
            if list.len() > MAX_ENDPOINTS {
                return None;
            }
        }
        let list = list.into_boxed_slice();
        Some(Self { list })
    }

    /// True when `address` may be used.
    pub fn allow(&self, address: IpAddr) -> bool {
        self.list.is_empty() || self.list.contains(&address)
    }

    /// The addresses that were named; empty when all may be used.
    pub fn as_slice(&self) -> &[IpAddr] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_stands_for_all_and_each_counts_once() {
        let one = IpAddr::from([10, 0, 0, 1]);
        let other = IpAddr::from([10, 0, 0, 2]);
        assert!(LocalAddresses::default().allow(one));
        let addresses = LocalAddresses::new(&[one, one]).expect("there is room");
        assert_eq!(addresses.as_slice(), [one]);
        assert!(addresses.allow(one) && !addresses.allow(other));
        let many: Vec<IpAddr> = (0..=MAX_ENDPOINTS as u8)
            .map(|last| [10, 0, 0, last].into())
            .collect();
        assert_eq!(LocalAddresses::new(&many), None);
    }
}
