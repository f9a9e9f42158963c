//! Every interleaving of home, which publishes, and a subflow on another worker, which reads, by loom.
//!
//! The block is compiled a second time here, against loom's atomics.

mod atomics;

#[path = "../../src/stack/published_block/block.rs"]
mod block;

use braid_engine::{congestion, mptcp, sequence};

use block::{Marking, PublishedBlock};
use congestion::Coupling;
use loom::sync::Arc;
use loom::thread;
use mptcp::message::Published;
use sequence::DataSequenceNumber;

/// Bytes that the peer may send beyond what is acknowledged; never less.
const WINDOW: u64 = 10;

/// Switches that no thread asked for, of which all are tried.
const PREEMPTIONS: usize = 2;

/// What home publishes after `bytes` arrived and were read.
fn after(bytes: u64) -> Published {
    // Near the wrap, where a difference is still a difference.
    let start = u64::MAX - 4;
    Published {
        data_ack: DataSequenceNumber(start.wrapping_add(bytes)),
        window_edge: DataSequenceNumber(start.wrapping_add(bytes).wrapping_add(WINDOW)),
        long_data_ack: bytes > 0,
        multipath: true,
        coupling: Coupling::default(),
        share: bytes,
        prompt_probe: false,
    }
}

#[test]
fn the_window_that_a_subflow_sees_never_shrinks_nor_moves_left() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(|| {
        let block = Arc::new(PublishedBlock::default());
        block.store(&after(0), Marking::default());
        let home = thread::spawn({
            let block = Arc::clone(&block);
            move || {
                for bytes in [3, 9] {
                    block.store(&after(bytes), Marking::default());
                }
            }
        });
        let before = block.load().0;
        let seen = block.load().0;
        let window = seen.window_edge - seen.data_ack;
        assert!(window >= WINDOW as i64, "{seen:?}");
        assert!(
            seen.window_edge - before.window_edge >= 0,
            "{before:?}, {seen:?}"
        );
        assert!(seen.data_ack - before.data_ack >= 0, "{before:?}, {seen:?}");
        // What is small is written last, so all else is there that it says something about.
        assert!(!seen.long_data_ack || seen.share > 0, "{seen:?}");
        home.join().unwrap();
        assert_eq!(block.load().0, after(9));
    });
}
