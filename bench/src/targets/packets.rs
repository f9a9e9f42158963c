//! Packets as they are, beside dpdk-testpmd (T3, T8).

use super::{Bound, Target};
use crate::packets;

pub(super) const SHARED_MEMORY: Target = Target {
    number: 3,
    part: "",
    what: "two processes over net_memif, 1,448-byte segments: Gbit/s",
    peer: "dpdk-testpmd, frames of 1,514 bytes",
    bound: Bound::ratio_at_least(0.2).in_the_far_mode(0.6),
    measure: packets::over_shared_memory,
};

pub(super) const NULL: Target = Target {
    number: 8,
    part: "",
    what: "a worker that passes 64-byte packets on, net_null: million each second",
    peer: "dpdk-testpmd, io mode",
    bound: Bound::ratio_at_least(0.85),
    measure: |rounds| packets::over_device("net_null0", rounds),
};

pub(super) const RING: Target = Target {
    part: "b",
    what: "the same over net_ring, where testpmd never looks at a packet: million each second",
    measure: |rounds| packets::over_device("net_ring0", rounds),
    ..NULL
};

pub(super) const MEMORY: Target = Target {
    part: "c",
    what: "the same over a memory port, beside net_ring: million each second",
    measure: packets::over_memory_port,
    ..NULL
};
