//! `braid engine` end to end: programs of the shared memory on one side, this kernel's sockets on
//! the other, two links in between. The programs here speak to the shared memory directly; what
//! they see is what any library on top of it can show.

mod connecting;
mod data;
mod death;
#[cfg(feature = "dpdk")]
mod dpdk;
mod hostile;
mod library;
mod links;
mod listening;
mod policy;
mod soak;
mod standby;
mod support;
mod whole_engine;
mod workers;
