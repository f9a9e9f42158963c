//! What engine and applications say to each other outside the rings: constants, the messages of the
//! control connection, commands, and the structs of socket options.

pub mod address;
mod command;
pub mod constants;
mod control;
pub mod options;
mod plain;

pub use address::{SocketAddressStorage, sockaddr_multipath};
pub(crate) use command::Completion;
pub use command::{Command, CommandEntry, CompletionEntry, Operation};
pub use constants::*;
pub use control::{
    AcceptedMessage, Adopted, Attach, Attached, CLI_CHUNK_BYTES, CliChunk, MAX_MESSAGE_BYTES,
    MAX_MESSAGE_DESCRIPTORS, MessageError, MessageHeader, OpenSocket, Opened, Refused, Reply,
    Request,
};
pub use plain::Plain;
pub(crate) use plain::plain;

/// The version of all that this crate lays down. Engine and library must have the same.
pub const ABI_VERSION: u32 = 3;
/// The first eight bytes of a region: "braidshm".
pub const REGION_MAGIC: u64 = u64::from_le_bytes(*b"braidshm");
