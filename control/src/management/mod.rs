//! What the command line and a running engine say to each other: JSON values in the packets of the
//! control connection (`braid_shm::abi::CliChunk`).
//!
//! [`Request`] goes one way and an [`Answer`] comes back; after [`Request::Monitor`] a stream of
//! [`EventRecord`]s follows it. [`Client`] is the side of the command line.

mod client;
mod event;
mod names;
mod reply;
mod request;

pub use client::{Client, ClientError, Monitor};
pub use event::{EventKind, EventRecord, SubflowTotals};
pub use names::{state_name, subflow_end_name};
pub use reply::{
    Answer, ConnectionRow, EndpointRow, LimitsRow, ListenerRow, PortRow, SettingsRow, Statistics,
    SubflowRow,
};
pub use request::{EndpointFlag, NewEndpoint, Request, Settings};

/// Most bytes of a request: more is not one of ours.
pub const MAX_REQUEST_BYTES: usize = 64 << 10;
