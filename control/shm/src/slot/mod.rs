//! One socket in a region: its words, and the protocols on them.
//!
//! | Words | Protocol |
//! |---|---|
//! | `interest`, `token`, `owed` | `readiness`: when the descriptor is readable |
//! | `blocked` | `writability`: when it is writable |
//! | `stalled` | `stall`: when the engine waits for room |
//! | locks and indices | `application` and `engine`: the two sides of the two rings |

pub(crate) mod application;
pub mod ends;
pub(crate) mod engine;
pub(crate) mod readiness;
pub(crate) mod stall;
mod state;
pub(crate) mod unsent;
pub(crate) mod words;
pub(crate) mod writability;

pub use state::{Linger, ReadEnd, SlotFlags, SlotState};
pub use unsent::{Splitting, Unsent};
pub(crate) use words::SocketSlot;
