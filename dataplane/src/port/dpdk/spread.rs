//! Which queue a device puts a flow on (receive side scaling).
//!
//! The hash is Microsoft's Toeplitz hash of (source address, destination address, source port,
//! destination port) of the packet as it comes in, by the key that the engine gives. Its low seven
//! bits select one of 128 entries, which name the queues in turn. A device with a larger table gets
//! the same choice repeated; one with a smaller table cannot make it.

use capsule_ffi as ffi;

use crate::sys::dpdk::device::Abilities;

/// Entries by which the engine computes with.
const ENTRIES: u16 = 128;

/// How a device spreads flows over its queues.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Spread {
    /// There is one queue.
    Single,
    /// By the hash with the engine's key and the 128 entries: the engine knows each flow's queue.
    Toeplitz,
    /// In a way of its own.
    Unknown,
}

/// What to ask of a device so that it spreads flows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    pub(super) spread: Spread,
    /// What is hashed (`RTE_ETH_RSS_*`), and the key as long as the device has it; an empty key
    /// leaves it to the driver.
    pub(super) hash: Option<(u64, Vec<u8>)>,
    /// Entries of the device's table, if it has one.
    pub(super) table: u16,
}

impl Plan {
    pub(super) fn new(abilities: &Abilities, queues: u16, key: &[u8; 40]) -> Self {
        const FLOWS: u64 = ffi::RTE_ETH_RSS_NONFRAG_IPV4_TCP | ffi::RTE_ETH_RSS_NONFRAG_IPV6_TCP;
        if queues <= 1 {
            return Self {
                spread: Spread::Single,
                hash: None,
                table: 0,
            };
        }
        let hashes = abilities.hashes & FLOWS;
        if hashes == 0 {
            return Self {
                spread: Spread::Unknown,
                hash: None,
                table: 0,
            };
        }
        let key_size = usize::from(abilities.key_size);
        let mut device_key = Vec::new();
        if key_size >= key.len() {
            // A longer key reads further input only, of which a flow has none.
            device_key.extend_from_slice(key);
            device_key.resize(key_size, 0);
        }
        let table = abilities.table_size;
        let known =
            hashes == FLOWS && !device_key.is_empty() && table.is_multiple_of(ENTRIES) && table > 0;
        Self {
            spread: if known {
                Spread::Toeplitz
            } else {
                Spread::Unknown
            },
            hash: Some((hashes, device_key)),
            table,
        }
    }
}

/// The queue of an entry of the table, of so many queues.
pub(super) fn queue_of_entry(entry: u16, queues: u16) -> u16 {
    entry % ENTRIES % queues.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abilities(table_size: u16, key_size: u8, hashes: u64) -> Abilities {
        Abilities {
            driver: "net_test".into(),
            max_mtu: 9_000,
            max_receive_queues: 16,
            max_transmit_queues: 16,
            receive_offloads: 0,
            transmit_offloads: 0,
            table_size,
            key_size,
            hashes,
        }
    }

    const BOTH: u64 = ffi::RTE_ETH_RSS_NONFRAG_IPV4_TCP | ffi::RTE_ETH_RSS_NONFRAG_IPV6_TCP;

    #[test]
    fn a_device_whose_table_and_key_suffice_is_known() {
        for (table, key) in [(128, 40), (512, 52)] {
            let plan = Plan::new(&abilities(table, key, BOTH | 1), 4, &[7; 40]);
            assert_eq!((plan.spread, plan.table), (Spread::Toeplitz, table));
            let (hashes, bytes) = plan.hash.unwrap();
            assert_eq!((hashes, bytes.len()), (BOTH, usize::from(key)));
            assert_eq!(bytes[..40], [7; 40]);
        }
    }

    #[test]
    fn a_device_that_hashes_otherwise_is_not_known() {
        for (table, key, hashes) in [
            (64, 40, BOTH),
            (0, 40, BOTH),
            (128, 0, BOTH),
            (128, 40, ffi::RTE_ETH_RSS_NONFRAG_IPV4_TCP),
            (128, 40, 0),
        ] {
            let plan = Plan::new(&abilities(table, key, hashes), 2, &[7; 40]);
            assert_eq!(plan.spread, Spread::Unknown, "{table} {key} {hashes:x}");
        }
        assert_eq!(
            Plan::new(&abilities(0, 0, 0), 1, &[7; 40]).spread,
            Spread::Single
        );
    }

    #[test]
    fn a_larger_table_makes_the_same_choice() {
        for entry in 0..512 {
            assert_eq!(queue_of_entry(entry, 3), (entry & 127) % 3);
        }
    }
}
