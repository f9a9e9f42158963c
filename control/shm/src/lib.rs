//! The shared memory between Braid's engine and its applications.
//!
//! `layout` says where things are, `memory` maps them, `abi` holds what is said outside the rings,
//! `region::engine` and `region::application` are the two sides' ways in.

pub mod abi;
pub mod descriptor;
mod doorbell;
pub mod layout;
pub mod lock;
pub mod memory;
pub mod region;
mod ring;
pub mod slot;
mod sync;
mod sys;
pub mod thread_block;
pub mod violation;

pub use descriptor::Bell;
pub use layout::RegionLayout;
pub use lock::ThreadId;
pub use region::application::{ApplicationRegion, ApplicationSlot, CallError, ClaimedBlock, Watch};
pub use region::engine::{CommandServer, EngineRegion, EngineSlot, SlotHandle};
pub use slot::ends::{ApplicationEnd, EngineEnd};
pub use slot::{Linger, ReadEnd, SlotFlags, SlotState};
pub use violation::Violation;
