//! Multipath TCP (RFC 8684) over TCP (RFC 9293) as a pure state machine.
//!
//! The engine has no I/O, no clock and no threads. Frames, messages and the time come in as
//! arguments; frames, messages and events go out through polling. See [`stack::Stack`].
#![forbid(unsafe_code)]

pub mod congestion;
pub mod mptcp;
pub mod random;
pub mod sequence;
pub mod socket;
pub mod stack;
pub mod storage;
pub mod tcp;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod wire;
