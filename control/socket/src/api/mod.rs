//! The Rust API: sockets as values that close themselves.

mod listener;
mod socket;
#[cfg(feature = "mio")]
mod source;
mod stream;

pub use listener::BraidListener;
pub use socket::{Domain, Socket};
pub use stream::BraidStream;
