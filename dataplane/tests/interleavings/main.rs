//! Every interleaving of the rings between workers, by loom.
//!
//! The modules of the ring are compiled a second time here, against `sync.rs` beside this file, which
//! has loom's atomics, and cells whose every access loom checks for races. The indices start two items
//! before they wrap. A consumer that "sleeps" ends; whether it would be woken is read off its bell.
#![expect(unreachable_pub, reason = "they are made for a library")]

mod sync;

#[path = "../../src/reassembly_ring/mailbox.rs"]
mod mailbox;
#[path = "../../src/reassembly_ring/prefetch.rs"]
mod prefetch;
#[path = "../../src/reassembly_ring/ring.rs"]
mod ring;

mod items;
mod sleep;

/// Tries all interleavings with at most `preemptions` switches that no thread asked for.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
