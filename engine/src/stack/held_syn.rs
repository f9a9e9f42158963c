//! SYNs with MP_JOIN whose token names a connection of another worker: kept until its home has said
//! what to answer. Their number is bounded; one for which there is no room is dropped, and the peer
//! repeats it.

use super::receive::ReceivedSegment;
use super::steering::WorkerId;
use crate::mptcp::subflow::JoinRequest;
use crate::sequence::SequenceNumber;
use crate::storage::slab::Key;

/// Names a held SYN; one that was answered finds nothing.
pub(super) type HeldKey = Key<HeldSyn>;

/// How many SYNs are held at a time: as many as a home answers in a few turns.
pub(super) const MAX_HELD: usize = 1_024;

/// A SYN that waits for an answer.
#[derive(Debug)]
pub(super) struct HeldSyn {
    /// The segment, without its frame.
    pub(super) segment: ReceivedSegment,
    /// The worker that was asked.
    pub(super) home: WorkerId,
    /// The peer's end of the join.
    pub(super) peer: JoinRequest,
    /// The initial sequence number of this side is to be at or after this.
    pub(super) floor: Option<SequenceNumber>,
}
