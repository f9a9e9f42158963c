//! What reaches the receiving applications, for who watches from another thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes that were received, and the longest time between two arrivals.
#[derive(Debug)]
pub(super) struct Arrivals {
    origin: Instant,
    bytes: AtomicU64,
    /// Nanoseconds since the origin.
    last: AtomicU64,
    longest_gap: AtomicU64,
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self {
            origin: Instant::now(),
            bytes: AtomicU64::new(0),
            last: AtomicU64::new(0),
            longest_gap: AtomicU64::new(0),
        }
    }

    /// Notes that so many bytes have come.
    pub(super) fn note(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let now = self.now();
        let gap = now.saturating_sub(self.last.swap(now, Ordering::Relaxed));
        self.longest_gap.fetch_max(gap, Ordering::Relaxed);
    }

    /// All bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// From here on, the longest gap is looked for anew.
    pub(super) fn forget_gaps(&self) {
        self.longest_gap.store(0, Ordering::Relaxed);
    }

    /// The longest time without an arrival since gaps were forgotten, one that goes on included.
    pub(super) fn longest_gap(&self) -> Duration {
        let open = self.now().saturating_sub(self.last.load(Ordering::Relaxed));
        Duration::from_nanos(self.longest_gap.load(Ordering::Relaxed).max(open))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
