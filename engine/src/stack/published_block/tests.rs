//! What is stored is what is read.

use super::{Marking, PublishedBlock};
use crate::congestion::Coupling;
use crate::mptcp::message::Published;
use crate::sequence::DataSequenceNumber;

#[test]
fn what_is_stored_is_what_is_read() {
    let block = PublishedBlock::default();
    let published = Published {
        data_ack: DataSequenceNumber(u64::MAX - 1),
        window_edge: DataSequenceNumber(70_000),
        long_data_ack: true,
        multipath: true,
        coupling: Coupling {
            alpha: 0.25,
            total_window: 123_456,
            total_rate: 1e9,
            best_rate: 7e8,
            coupled: true,
        },
        share: 8_192,
        prompt_probe: true,
    };
    for marking in [
        Marking::default(),
        Marking {
            hop_limit: Some(255),
            traffic_class: 0xfc,
        },
    ] {
        block.store(&published, marking);
        let (read, read_marking) = block.load();
        assert_eq!((read, read_marking), (published, marking));
    }
    assert_eq!(size_of::<PublishedBlock>(), 128);
}
