//! The rings that hand letters from worker to worker, both ends in one thread: the instructions of a
//! letter. What it costs between two cores is in `braid-dataplane`'s bench of this name. An element is one
//! letter.

use std::hint::black_box;

use braid_dataplane::reassembly_ring::{Bell, mailbox};
use braid_dataplane::worker::LETTER_CAPACITY;
use braid_engine::stack::Letter;
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::instructions::Marked;

/// Workers that send.
const PRODUCERS: [usize; 2] = [1, 3];

/// Letters that each shows at once.
const BATCHES: [u64; 2] = [1, 32];

/// As large as a letter.
struct Item([u64; size_of::<Letter>() / 8]);

/// Nobody sleeps.
struct Mute;

impl Bell for Mute {
    fn ring(&self) {}
}

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "reassembly_ring");
    for producers in PRODUCERS {
        for batch in BATCHES {
            group.time(
                format_args!("batches of {batch}, of {producers}"),
                Throughput::Elements(batch * producers as u64),
                || mailbox(Mute, producers, LETTER_CAPACITY),
                |(inbox, outboxes)| {
                    for outbox in outboxes.iter_mut() {
                        for number in 0..batch {
                            let sent = outbox.send(Item([black_box(number); _]));
                            assert!(sent.is_ok(), "all were taken before");
                        }
                        outbox.flush();
                    }
                    let taken =
                        std::iter::from_fn(|| inbox.receive()).map(|item| black_box(item).0[0]);
                    assert_eq!(taken.count() as u64, batch * producers as u64);
                },
            );
        }
    }
}
