//! Selection of ephemeral ports: the double-hash algorithm of RFC 6056 section 3.3.4.
//!
//! The ports towards one peer are tried one after the other from a secret starting point, so
//! that they are hard to guess from outside and a port comes back as late as possible.

use super::secrets::Secrets;
use crate::storage::flow_table::FourTuple;
use core::net::SocketAddr;
use core::ops::RangeInclusive;

/// How many counters the peers share (the RFC's TABLE_LENGTH).
const COUNTERS: usize = 64;

/// Chooses ephemeral ports.
#[derive(Debug)]
pub(super) struct EphemeralPorts {
    first: u16,
    /// Ports in the range; not zero.
    count: u32,
    counters: [u32; COUNTERS],
}

impl EphemeralPorts {
    pub(super) fn new(range: &RangeInclusive<u16>) -> Self {
        let (first, last) = (*range.start(), *range.end());
        let count = u32::from(last.saturating_sub(first)) + 1;
        Self {
            first,
            count,
            counters: [0; COUNTERS],
        }
    }

    /// A local port for a flow between the two addresses that `is_free` accepts (it is asked
    /// about the whole flow). `None` when the whole range is taken.
    pub(super) fn choose(
        &mut self,
        secrets: &Secrets,
        local: SocketAddr,
        remote: SocketAddr,
        is_free: impl Fn(&FourTuple) -> bool,
    ) -> Option<u16> {
        let flow = FourTuple {
            local: SocketAddr::new(local.ip(), 0),
            remote,
        };
        let (offset, index) = secrets.port_search(&flow);
        let offset = offset % self.count;
        let index = index as usize % COUNTERS;
        let counter = self.counters.get_mut(index)?;
        for _ in 0..self.count {
            let distance = offset.wrapping_add(*counter) % self.count;
            *counter = counter.wrapping_add(1);
            let port = self.first.wrapping_add(distance as u16);
            let candidate = FourTuple {
                local: SocketAddr::new(local.ip(), port),
                remote,
            };
            if is_free(&candidate) {
                return Some(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use std::collections::BTreeSet;

    fn endpoints() -> (SocketAddr, SocketAddr) {
        (([10, 0, 0, 1], 0).into(), ([10, 0, 0, 2], 80).into())
    }

    #[test]
    fn every_port_of_the_range_is_used_before_one_comes_back() {
        let secrets = Secrets::new(&Random::from_u64(1));
        let mut ports = EphemeralPorts::new(&(50_000..=50_099));
        let (local, remote) = endpoints();
        let chosen: BTreeSet<u16> = (0..100)
            .filter_map(|_| ports.choose(&secrets, local, remote, |_| true))
            .collect();
        assert_eq!(chosen.len(), 100);
        assert!(chosen.iter().all(|port| (50_000..=50_099).contains(port)));
    }

    #[test]
    fn taken_ports_are_skipped_and_a_full_range_says_so() {
        let secrets = Secrets::new(&Random::from_u64(2));
        let mut ports = EphemeralPorts::new(&(65_534..=65_535));
        let (local, remote) = endpoints();
        let odd = |flow: &FourTuple| flow.local.port() == 65_535;
        assert_eq!(ports.choose(&secrets, local, remote, odd), Some(65_535));
        assert_eq!(ports.choose(&secrets, local, remote, odd), Some(65_535));
        assert_eq!(ports.choose(&secrets, local, remote, |_| false), None);
    }
}
