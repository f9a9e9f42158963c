//! Programs that many machines have, unmodified under `braid exec`, with Linux's Multipath TCP as
//! their peer over two links: what is transferred is exact, both links are used, and nothing is wrong
//! in what the programs log.
//!
//! A test whose programs are not installed is skipped by name; with `CI=true` it fails instead.

#[expect(dead_code, reason = "the tests of the engine's sockets use more of it")]
#[path = "../sockets/support/engine.rs"]
mod engine;
#[expect(dead_code, reason = "the tests of the engine's sockets use more of it")]
#[path = "../sockets/support/namespaces.rs"]
mod namespaces;
#[path = "../sockets/support/preload.rs"]
mod preload;
mod rig;

mod curl;
mod iperf3;
mod nginx;
mod python;
mod redis;
mod wrk;
