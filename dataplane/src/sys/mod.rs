//! The system calls of the data plane: the modules here hold what cannot be written without
//! `unsafe`, each behind an interface that can.

#[cfg(feature = "dpdk")]
pub(crate) mod dpdk;
pub(crate) mod epoll;
pub(crate) mod eventfd;
pub(crate) mod filter;
pub(crate) mod interface;
pub(crate) mod packet;
pub(crate) mod poll;
pub(crate) mod prefetch;
pub(crate) mod ring;
#[cfg(feature = "dpdk")]
pub(crate) mod signal;
pub(crate) mod tun;
