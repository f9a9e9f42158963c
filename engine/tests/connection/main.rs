//! The home side of a connection, driven by hand-made messages: no segment, no TCP, no wire.

mod closing;
mod copies;
mod falling_back;
mod harness;
mod paths;
mod receiving;
mod sending;
mod tables;
