//! Packets in and out of the machine: ports, and the poll loop that drives an engine.

pub mod port;
mod sys;
pub mod worker;
