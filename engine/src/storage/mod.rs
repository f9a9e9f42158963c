//! Containers of the protocol: bounded, deterministic, and ignorant of TCP.

pub mod assembler;
pub mod copy;
pub mod flow_table;
pub mod frame;
pub mod interned;
pub mod landing;
pub mod pieces;
pub mod prefetch;
pub mod range_set;
pub mod receive_buffer;
pub mod ring;
pub mod send_block;
pub mod send_buffer;
pub mod slab;
pub mod timer_wheel;
