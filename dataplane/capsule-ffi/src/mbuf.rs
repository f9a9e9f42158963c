//! `rte_mbuf` by hand.
//!
//! Its layout is part of DPDK's ABI and the same from 21.11 on, and `shim.c` proves it against the
//! headers of the build. Its fields are not: later headers put some of them into unnamed unions,
//! whose members bindgen would rename, and capsule asks for them by their plain names.

use std::ffi::c_void;

use crate::rte_mempool;

/// One buffer of a packet and what is known of it. Most fields are those of the first cache line,
/// which a driver fills on receive.
#[repr(C, align(64))]
#[allow(non_camel_case_types)]
#[derive(Copy, Clone)]
pub struct rte_mbuf {
    /// Where the buffer begins, headroom included.
    pub buf_addr: *mut c_void,
    _buf_iova_or_next: u64,
    /// Where in the buffer the data begins.
    pub data_off: u16,
    /// How many hold the buffer.
    pub refcnt: u16,
    /// Of how many buffers the packet is made.
    pub nb_segs: u16,
    /// The device that the packet came in by.
    pub port: u16,
    /// `RTE_MBUF_F_*`.
    pub ol_flags: u64,
    /// What the device says the packet is.
    pub packet_type: u32,
    /// Bytes of the packet in all of its buffers.
    pub pkt_len: u32,
    /// Bytes of the packet in this buffer.
    pub data_len: u16,
    /// The VLAN tag that the device took off.
    pub vlan_tci: u16,
    /// The hash that the device computed; further eight bytes of other uses follow in DPDK.
    pub hash: [u32; 2],
    /// The outer VLAN tag.
    pub vlan_tci_outer: u16,
    /// Bytes of the buffer, headroom included.
    pub buf_len: u16,
    /// Where the buffer goes back to.
    pub pool: *mut rte_mempool,
    _next_or_dynamic: u64,
    /// Lengths of the headers and size of the segments: [`tx_offload`].
    pub tx_offload: u64,
    _rest: [u64; 6],
}

const _: () = assert!(size_of::<rte_mbuf>() == 128);
const _: () = assert!(std::mem::offset_of!(rte_mbuf, pool) == 56);
const _: () = assert!(std::mem::offset_of!(rte_mbuf, tx_offload) == 72);

/// The field `tx_offload` of an [`rte_mbuf`] without tunnels: the lengths of the headers in bytes
/// (less than 128, 512 and 256), and the payload of each segment.
pub const fn tx_offload(ethernet: u8, ip: u16, tcp: u8, segment_size: u16) -> u64 {
    (ethernet as u64 & 0x7f)
        | (ip as u64 & 0x1ff) << 7
        | (tcp as u64) << 16
        | (segment_size as u64) << 24
}
