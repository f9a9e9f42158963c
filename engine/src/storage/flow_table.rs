//! From the addresses and ports of a segment to its subflow (RFC 9293 section 3.3.1).

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use std::collections::HashMap;
use thiserror::Error;

/// Both ends of a subflow, as seen from this host.
///
/// IPv6 flow labels and scopes are no part of a TCP connection's name: build the addresses with
/// [`SocketAddr::new`], which leaves both at zero.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FourTuple {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
}

impl FourTuple {
    /// The same subflow as the peer sees it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            local: self.remote,
            remote: self.local,
        }
    }
}

/// A four-tuple as the table keeps it, in half of the memory.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Packed {
    local: [u32; 4],
    remote: [u32; 4],
    ports: u32,
}

impl Packed {
    /// An IPv4 address stands behind what no address of a host begins with: it would be a multicast address.
    fn address(address: IpAddr) -> [u32; 4] {
        match address {
            IpAddr::V4(v4) => [u32::MAX, u32::MAX, u32::MAX, v4.to_bits()],
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
            }
        }
    }
}

impl From<&FourTuple> for Packed {
    fn from(flow: &FourTuple) -> Self {
        Self {
            local: Self::address(flow.local.ip()),
            remote: Self::address(flow.remote.ip()),
            ports: u32::from(flow.local.port()) << 16 | u32::from(flow.remote.port()),
        }
    }
}

impl Hash for Packed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d] = self.local;
        let [e, f, g, h] = self.remote;
        for (high, low) in [(a, b), (c, d), (e, f), (g, h)] {
            state.write_u64(u64::from(high) << 32 | u64::from(low));
        }
        state.write_u32(self.ports);
    }
}

/// The table holds as many flows as it may; nothing was added.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
#[error("the flow table is full: close connections or raise the limit on flows")]
pub struct FlowTableFull;

/// A bounded map from four-tuples to `V`.
///
/// Its hash is keyed, so a peer cannot choose ports that collide. It cannot be iterated: the
/// order would depend on the key and with it the trace of a run.
#[derive(Debug)]
pub struct FlowTable<V> {
    flows: HashMap<Packed, V, ahash::RandomState>,
    max: usize,
}

impl<V> FlowTable<V> {
    /// An empty table for at most `max` flows, its hash keyed with `seeds`.
    pub fn new(seeds: [u64; 4], max: usize) -> Self {
        let [first, second, third, fourth] = seeds;
        let hasher = ahash::RandomState::with_seeds(first, second, third, fourth);
        Self {
            flows: HashMap::with_hasher(hasher),
            max,
        }
    }

    /// Adds a flow, or replaces its value and returns the former one.
    ///
    /// # Errors
    ///
    /// [`FlowTableFull`] when the flow is new and the bound is reached.
    pub fn insert(&mut self, flow: FourTuple, value: V) -> Result<Option<V>, FlowTableFull> {
        if self.flows.len() >= self.max && !self.contains(&flow) {
            return Err(FlowTableFull);
        }
        Ok(self.flows.insert((&flow).into(), value))
    }

    /// The value of `flow`.
    pub fn get(&self, flow: &FourTuple) -> Option<&V> {
        self.flows.get(&flow.into())
    }

    /// The value of `flow`, to be changed.
    pub fn get_mut(&mut self, flow: &FourTuple) -> Option<&mut V> {
        self.flows.get_mut(&flow.into())
    }

    /// Takes `flow` out.
    pub fn remove(&mut self, flow: &FourTuple) -> Option<V> {
        self.flows.remove(&flow.into())
    }

    /// True when `flow` is in the table.
    pub fn contains(&self, flow: &FourTuple) -> bool {
        self.flows.contains_key(&flow.into())
    }

    /// How many flows there are.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(remote_port: u16) -> FourTuple {
        FourTuple {
            local: SocketAddr::new([10, 0, 0, 1].into(), 80),
            remote: SocketAddr::new([10, 0, 0, 2].into(), remote_port),
        }
    }

    #[test]
    fn all_four_parts_count() {
        let mut table = FlowTable::new([1, 2, 3, 4], 8);
        table.insert(flow(1), "one").unwrap();
        assert_eq!(table.get(&flow(2)), None);
        assert_eq!(table.get(&flow(1).reversed()), None);
        assert_eq!(table.get(&flow(1).reversed().reversed()), Some(&"one"));
        let mapped = SocketAddr::new("::ffff:10.0.0.2".parse().unwrap(), 1);
        assert_eq!(
            table.get(&FourTuple {
                remote: mapped,
                ..flow(1)
            }),
            None
        );
    }

    #[test]
    fn a_full_table_takes_no_new_flow_but_still_replaces() {
        let mut table = FlowTable::new([0; 4], 2);
        assert_eq!(table.insert(flow(1), 1), Ok(None));
        assert_eq!(table.insert(flow(2), 2), Ok(None));
        assert_eq!(table.insert(flow(3), 3), Err(FlowTableFull));
        assert_eq!(table.insert(flow(2), 4), Ok(Some(2)));
        assert_eq!(table.remove(&flow(1)), Some(1));
        assert_eq!(table.insert(flow(3), 3), Ok(None));
        assert_eq!(table.len(), 2);
    }
}
