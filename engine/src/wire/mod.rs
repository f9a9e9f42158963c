//! Bytes to typed headers and back. Every parser is total: any input gives a header or an error.

pub mod mptcp_option;
pub mod tcp;
pub mod tcp_option;
