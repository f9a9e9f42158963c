//! One subflow's TCP (RFC 9293). Knows subflow sequence numbers only, never a DSN.
//!
//! [`Tcb`] is driven from outside: segments go in by [`Tcb::receive`], time by
//! [`Tcb::advance`]; [`Tcb::plan`] says what is due and [`Tcb::commit`] sends it. What it holds is
//! split by idea, and so is what it does:
//!
//! | What it holds | |
//! |---|---|
//! | `space`, `send_sequence`, `window` | sequence variables as 64-bit positions, windows |
//! | `receive_queue` | payloads in order and out of order, SACK blocks |
//! | `scoreboard`, `delivered`, `rack`, `recovery` | what is in flight and what was lost |
//! | `rtt`, `timestamp`, `ecn`, `path_mtu` | what is known of the path |
//! | `acknowledgment`, `challenge`, `keepalive` | when to answer and to ask |
//!
//! | What it does | |
//! |---|---|
//! | `receive`, `acknowledge`, `icmp` | what comes in |
//! | `send`, `emit` | what goes out |
//! | `timers` | what time does |
//! | `info` | what it tells of itself |
//! | `rest` | what is left while nothing happens |
//! | [`time_wait`] | what is left at the end |

mod acknowledge;
mod acknowledgment;
mod challenge;
mod config;
mod delivered;
mod ecn;
mod emit;
mod icmp;
mod info;
mod keepalive;
mod path_mtu;
mod progress;
mod rack;
mod receive;
mod receive_queue;
mod recovery;
mod rest;
mod rtt;
mod scoreboard;
mod segment;
mod send;
mod send_sequence;
mod space;
mod state;
mod tcb;
pub mod time_wait;
mod timers;
mod timestamp;
mod window;

pub use config::{Keepalive, Negotiated, TcbConfig};
pub use info::{CongestionState, TcpInfo};
pub use progress::{Doubt, Progress};
pub use rest::RestingTcb;
pub use segment::{Advanced, Content, Emission, InOrder, Payload, Plan, PlanKind, Received};
pub use state::{End, State};
pub use tcb::Tcb;
pub use time_wait::TimeWaitRecord;
