//! Containers of the protocol: bounded, deterministic, and ignorant of TCP.

pub mod frame;
