//! What an application sees of the engine: options, errors, statistics (RFC 9293 section 3.9,
//! RFC 6897 for the MPTCP part).

mod error;
mod options;

pub use crate::mptcp::info::{ConnectionInfo, SubflowInfo};
pub use error::SocketError;
pub use options::{ConnectOptions, ListenOptions, Shutdown, SocketOptions};
