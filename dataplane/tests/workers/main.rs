//! Hosts of several workers on links in memory: what an application reads is what the other wrote,
//! whichever workers the subflows are on, and whatever runs short.

#[path = "../../../engine/tests/counting_allocator/mod.rs"]
mod counting_allocator;

mod host;
mod lab;
mod load;

mod allocation;
mod shortage;
mod system_calls;
mod transfer;
