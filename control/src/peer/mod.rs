//! The far end of a demonstration: a plain sockets program on the kernel's Multipath TCP
//! (or, to see the engine with a plain peer, TCP).
//!
//! It runs in a thread inside the peer's namespace and knows nothing of the engine: it listens or
//! connects, sends or receives a [`crate::stream::Stream`], and tells what it saw.

mod kernel_info;
mod program;
mod socket;

pub use kernel_info::KernelSubflow;
pub use program::{Activity, Outcome, Progress, Role, Watch, run};
pub use socket::{Listener, PeerProtocol, Socket, probe};
