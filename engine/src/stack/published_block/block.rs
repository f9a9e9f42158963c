//! The words of the block, and the order in which they are written and read.

use super::atomics::{AtomicU64, Ordering};
use crate::congestion::Coupling;
use crate::mptcp::message::Published;
use crate::sequence::DataSequenceNumber;

/// How the packets of a connection are marked.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Marking {
    /// Time to live and hop limit; `None` takes the stack's.
    pub(crate) hop_limit: Option<u8>,
    /// Type of service and traffic class.
    pub(crate) traffic_class: u8,
}

/// Bits of the word that holds everything small.
const LONG_DATA_ACK: u64 = 1;
const MULTIPATH: u64 = 1 << 1;
const COUPLED: u64 = 1 << 2;
const HAS_HOP_LIMIT: u64 = 1 << 3;
const PROMPT_PROBE: u64 = 1 << 4;
const HOP_LIMIT_SHIFT: u32 = 8;
const TRAFFIC_CLASS_SHIFT: u32 = 16;

/// The block: one cache line of words, and none beside it that others write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct PublishedBlock {
    window_edge: AtomicU64,
    data_ack: AtomicU64,
    small: AtomicU64,
    share: AtomicU64,
    alpha: AtomicU64,
    total_window: AtomicU64,
    total_rate: AtomicU64,
    best_rate: AtomicU64,
}

/// Writes a word only when it changes, so that readers keep their copy of the line otherwise.
fn publish(word: &AtomicU64, value: u64) {
    if word.load(Ordering::Relaxed) != value {
        word.store(value, Ordering::Release);
    }
}

fn flag(set: bool, bit: u64) -> u64 {
    if set { bit } else { 0 }
}

impl PublishedBlock {
    /// Home: makes this what the subflows see.
    pub(crate) fn store(&self, published: &Published, marking: Marking) {
        let Published {
            data_ack,
            window_edge,
            long_data_ack,
            multipath,
            coupling,
            share,
            prompt_probe,
        } = *published;
        // The edge first, see above.
        publish(&self.window_edge, window_edge.0);
        publish(&self.data_ack, data_ack.0);
        publish(&self.share, share);
        publish(&self.alpha, coupling.alpha.to_bits());
        publish(&self.total_window, coupling.total_window);
        publish(&self.total_rate, coupling.total_rate.to_bits());
        publish(&self.best_rate, coupling.best_rate.to_bits());
        let small = flag(long_data_ack, LONG_DATA_ACK)
            | flag(multipath, MULTIPATH)
            | flag(coupling.coupled, COUPLED)
            | flag(prompt_probe, PROMPT_PROBE)
            | flag(marking.hop_limit.is_some(), HAS_HOP_LIMIT)
            | u64::from(marking.hop_limit.unwrap_or_default()) << HOP_LIMIT_SHIFT
            | u64::from(marking.traffic_class) << TRAFFIC_CLASS_SHIFT;
        publish(&self.small, small);
    }

    /// A subflow: what home last made of it.
    pub(crate) fn load(&self) -> (Published, Marking) {
        let data_ack = self.data_ack.load(Ordering::Acquire);
        // It is at least the one beside that number, and never less than before.
        let window_edge = self.window_edge.load(Ordering::Relaxed);
        let small = self.small.load(Ordering::Acquire);
        let real = |word: &AtomicU64| f64::from_bits(word.load(Ordering::Relaxed));
        let published = Published {
            data_ack: DataSequenceNumber(data_ack),
            window_edge: DataSequenceNumber(window_edge),
            long_data_ack: small & LONG_DATA_ACK != 0,
            multipath: small & MULTIPATH != 0,
            coupling: Coupling {
                alpha: real(&self.alpha),
                total_window: self.total_window.load(Ordering::Relaxed),
                total_rate: real(&self.total_rate),
                best_rate: real(&self.best_rate),
                coupled: small & COUPLED != 0,
            },
            share: self.share.load(Ordering::Relaxed),
            prompt_probe: small & PROMPT_PROBE != 0,
        };
        let marking = Marking {
            hop_limit: (small & HAS_HOP_LIMIT != 0).then_some((small >> HOP_LIMIT_SHIFT) as u8),
            traffic_class: (small >> TRAFFIC_CLASS_SHIFT) as u8,
        };
        (published, marking)
    }
}
