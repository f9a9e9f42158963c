//! What the tests share: namespaces, an engine, and a small program of the shared memory.

pub(crate) mod client;
pub(crate) mod engine;
pub(crate) mod garbage;
pub(crate) mod linux;
pub(crate) mod namespaces;
