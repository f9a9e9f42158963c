//! Packets in and out of the machine: ports, frames and the poll loop that drives an engine.
