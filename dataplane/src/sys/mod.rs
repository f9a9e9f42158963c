//! The system calls of the data plane: the modules here hold what cannot be written without
//! `unsafe`, each behind an interface that can.

pub(crate) mod epoll;
pub(crate) mod eventfd;
pub(crate) mod filter;
pub(crate) mod interface;
pub(crate) mod packet;
pub(crate) mod poll;
pub(crate) mod ring;
pub(crate) mod tun;
