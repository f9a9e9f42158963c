//! What the two sides of a run saw, put together.

use std::time::Duration;

use super::report::{Measured, SubflowRow};
use crate::stream::{Digest, Stream};

/// What one side saw of a transfer.
#[derive(Copy, Clone, Debug)]
pub(super) struct Seen {
    /// Bytes received.
    pub(super) received: u64,
    /// The digest of the bytes received.
    pub(super) digest: Digest,
    /// From the connection's establishment to the end of the other side's stream.
    pub(super) elapsed: Duration,
    /// Whether the connection went on as plain TCP.
    pub(super) fallback: bool,
}

/// What the engine's side saw.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The transfer.
    pub(super) seen: Seen,
    /// All subflows there were.
    pub(super) subflows: Vec<SubflowRow>,
}

/// Takes bytes, digest and time from the side that received.
pub(super) fn measured(
    stream: Stream,
    engine_sends: bool,
    engine: Outcome,
    peer: &Seen,
    link_cut: bool,
) -> Measured {
    let receiver = if engine_sends { peer } else { &engine.seen };
    Measured {
        bytes: receiver.received,
        elapsed: receiver.elapsed,
        sha256_match: receiver.digest == stream.digest(),
        fallback: engine.seen.fallback || peer.fallback,
        link_cut,
        subflows: engine.subflows,
    }
}
