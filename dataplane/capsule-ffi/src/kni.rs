//! The kernel NIC interface, which DPDK no longer has (it was removed in 23.11): each function
//! reports that it is not supported. capsule calls none of them unless a port asks for it.

#![allow(non_camel_case_types, missing_docs, clippy::missing_safety_doc)]

use std::ffi::{c_char, c_int, c_uint};
use std::ptr;

use crate::{rte_mbuf, rte_mempool};

/// An interface; there is none.
#[repr(C)]
pub struct rte_kni {
    _none: [u8; 0],
}

/// What capsule would ask of an interface.
#[repr(C)]
#[derive(Default)]
pub struct rte_kni_conf {
    pub name: [c_char; 32],
    pub group_id: u16,
    pub mbuf_size: c_uint,
    pub mac_addr: [u8; 6],
}

/// What the kernel would ask of capsule.
#[repr(C)]
#[derive(Default)]
pub struct rte_kni_ops {
    pub port_id: u16,
    pub change_mtu: Option<unsafe extern "C" fn(u16, c_uint) -> c_int>,
    pub config_network_if: Option<unsafe extern "C" fn(u16, u8) -> c_int>,
    pub config_mac_address: Option<unsafe extern "C" fn(u16, *mut u8) -> c_int>,
    pub config_promiscusity: Option<unsafe extern "C" fn(u16, u8) -> c_int>,
}

pub unsafe fn rte_kni_init(_max: c_uint) -> c_int {
    -libc::ENOTSUP
}

pub unsafe fn rte_kni_alloc(
    _pool: *mut rte_mempool,
    _conf: *const rte_kni_conf,
    _ops: *mut rte_kni_ops,
) -> *mut rte_kni {
    ptr::null_mut()
}

pub unsafe fn rte_kni_release(_kni: *mut rte_kni) -> c_int {
    -libc::ENOTSUP
}

pub unsafe fn rte_kni_close() {}

pub unsafe fn rte_kni_handle_request(_kni: *mut rte_kni) -> c_int {
    -libc::ENOTSUP
}

pub unsafe fn rte_kni_get_name(_kni: *const rte_kni) -> *const c_char {
    c"none".as_ptr()
}

pub unsafe fn rte_kni_rx_burst(
    _kni: *mut rte_kni,
    _mbufs: *mut *mut rte_mbuf,
    _count: c_uint,
) -> c_uint {
    0
}

pub unsafe fn rte_kni_tx_burst(
    _kni: *mut rte_kni,
    _mbufs: *mut *mut rte_mbuf,
    _count: c_uint,
) -> c_uint {
    0
}
