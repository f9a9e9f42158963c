//! Every interleaving of the protocols, by loom.
//!
//! The protocol modules are compiled a second time here, against `sync.rs` beside this file, which
//! has loom's atomics. The kernel's descriptors are counters. A thread that "sleeps" ends; whether
//! it would be woken is then read off the counters once all threads have ended.
#![expect(dead_code, reason = "the modules are not used whole")]
#![expect(unreachable_pub, reason = "they are made for a library")]

mod sync;

#[path = "../../src/doorbell.rs"]
mod doorbell;
#[path = "../../src/lock.rs"]
mod lock;
#[path = "../../src/ring"]
mod ring {
    pub(crate) mod byte;
    pub(crate) mod entry;
}
#[path = "../../src/slot"]
mod slot {
    pub(crate) mod application;
    pub(crate) mod ends;
    pub(crate) mod engine;
    pub(crate) mod readiness;
    pub(crate) mod stall;
    pub(crate) mod state;
    pub(crate) mod unsent;
    pub(crate) mod words;
    pub(crate) mod writability;
}
#[path = "../../src/violation.rs"]
mod violation;

mod doorbells;
mod locks;
mod models;
mod readable;
mod rings;
mod writable;
