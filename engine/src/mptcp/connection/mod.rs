//! The home side of one connection (RFC 8684).

mod close;
mod config;
mod context;
mod error;

pub use close::{CloseEvent, DataState, IllegalTransition};
pub use config::{ConnectionConfig, FastcloseForm, Role};
pub use context::{
    ConnectionEvent, Context, OpenSubflow, Outbox, Request, SubflowHandle, SubflowPath,
};
pub use error::{ConnectionError, IoError, JoinRefusal};
