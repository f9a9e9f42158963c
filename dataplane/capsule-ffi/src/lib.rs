//! Bindings to the libdpdk of this host, by the names of [capsule] 0.1.5, which was written for
//! DPDK 19.11. The workspace puts this crate in place of the published `capsule-ffi`
//! (`[patch.crates-io]`); it is no member of the workspace, so that nothing of DPDK is compiled or
//! looked for unless a feature asks for it.
//!
//! What differs from the headers of DPDK:
//!
//! - inline functions are linked to as `_rte_*` (`shim.c`);
//! - constants that lost their names have them again (`ETH_RSS_*`, `DEV_TX_OFFLOAD_MBUF_FAST_FREE`,
//!   `rte_eth_rx_mq_mode::ETH_MQ_RX_RSS`);
//! - [`rte_mbuf`] is written by hand, and proved;
//! - [`rte_eal_init`] takes the options of DPDK 19.11;
//! - the kernel NIC interface is not supported.
//!
//! # Versions of DPDK
//!
//! Built and tested against 22.11. 21.11 is the first with the names used here. 23.11 removed KNI
//! and 24.03 moved fields of `rte_mbuf`, neither of which is taken from the headers. The features
//! `metrics` and `pcap-dump` of capsule are not served.
//!
//! [capsule]: https://crates.io/crates/capsule

#[allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    rustdoc::all,
    unnecessary_transmutes,
    unsafe_op_in_unsafe_fn
)]
mod bindings {
    use crate::rte_mbuf;

    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
mod eal;
mod kni;
mod mbuf;

pub use bindings::*;
pub use eal::rte_eal_init;
pub use kni::*;
pub use mbuf::{rte_mbuf, tx_offload};

impl rte_eth_rx_mq_mode {
    /// Receive side scaling, by the name of DPDK 19.11.
    pub const ETH_MQ_RX_RSS: Self = Self::RTE_ETH_MQ_RX_RSS;
}
