//! What an application sees of the engine: options, errors, statistics (RFC 9293 section 3.9,
//! RFC 6897 for the MPTCP part).

mod error;
mod options;
mod profile;

pub use crate::mptcp::info::SubflowPriority;
pub use crate::mptcp::info::{ConnectionInfo, SubflowInfo};
pub use crate::mptcp::path_manager::PathManagement;
pub use crate::tcp::TcpInfo;
pub use error::SocketError;
pub use options::{ConnectOptions, ListenOptions, Shutdown, SocketOptions};
pub use profile::Profile;
