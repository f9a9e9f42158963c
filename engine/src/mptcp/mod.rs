//! One MPTCP connection (RFC 8684): its data sequence space, its subflows, their paths.

pub mod crypto;
pub mod message;
