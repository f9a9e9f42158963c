//! Rings in shared memory: of bytes (`byte`) and of entries of 64 bytes (`entry`).
//!
//! Indices count from the start of the socket and never wrap: 64 bits last for centuries. An index
//! has one writer. The writer stores it with release after it has touched what the index covers, the
//! other side loads it with acquire before it does.

pub(crate) mod byte;
pub(crate) mod entry;
