//! Packets in and out of the machine: ports, the poll loop that drives an engine, and the bytes
//! between that engine and the applications' shared memory.

pub mod application;
pub mod port;
pub mod reassembly_ring;
mod sys;
pub mod worker;
