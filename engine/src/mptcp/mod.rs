//! One MPTCP connection (RFC 8684): its data sequence space, its subflows, their paths.

pub mod connection;
pub mod counters;
pub mod crypto;
pub mod info;
pub mod message;
pub mod path_manager;
pub mod scheduler;
pub mod subflow;
