//! One subflow's TCP (RFC 9293). Knows subflow sequence numbers only, never a DSN.

mod config;
mod progress;
mod segment;
mod state;
mod tcb;
pub mod time_wait;

pub use config::{Keepalive, Negotiated, TcbConfig};
pub use progress::Progress;
pub use segment::{Advanced, Content, Emission, InOrder, Payload, Plan, PlanKind, Received};
pub use state::{End, State};
pub use tcb::Tcb;
pub use time_wait::TimeWaitRecord;
