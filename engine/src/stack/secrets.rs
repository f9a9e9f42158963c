//! Numbers that look random to everybody else but that this stack can compute again from the
//! packet: initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 section 5.4), ports
//! (RFC 6056 section 3.3.4) and SYN cookies (RFC 4987 section 3.6).

use crate::random::{KeyedHash, Random, initial_sequence_number};
use crate::sequence::SequenceNumber;
use crate::storage::flow_table::FourTuple;
use crate::time::Instant;

/// One secret function for each use, so that what one gives away tells nothing about another.
#[derive(Debug)]
pub(super) struct Secrets {
    /// In one half the initial sequence number, in the other the offset of timestamps.
    flow: KeyedHash,
    /// Where the search for an ephemeral port starts, and which counter it uses.
    ports: KeyedHash,
    /// The bits of a SYN cookie.
    pub(super) cookie: KeyedHash,
    /// The MPTCP key that goes with a SYN cookie.
    pub(super) cookie_key: KeyedHash,
}

impl Secrets {
    pub(super) fn new(random: &Random) -> Self {
        let secret = |label| KeyedHash::new(random.fork(label).bytes());
        Self {
            flow: secret("initial sequence number and timestamp offset"),
            ports: secret("ephemeral port offset"),
            cookie: secret("SYN cookie"),
            cookie_key: secret("SYN cookie key"),
        }
    }

    /// The initial sequence number of a flow that begins now, and its [`Self::timestamp_offset`].
    pub(super) fn numbers(&self, flow: &FourTuple, now: Instant) -> (SequenceNumber, u32) {
        let hash = self.flow.hash_flow(flow, 0);
        (initial_sequence_number(hash as u32, now), upper(hash))
    }

    /// How far the flow's timestamp clock is ahead of the engine's. It hides the engine's age, and
    /// is the same for the next incarnation of the flow, so that PAWS works across them.
    pub(super) fn timestamp_offset(&self, flow: &FourTuple) -> u32 {
        upper(self.flow.hash_flow(flow, 0))
    }

    /// Two numbers for the search for a port of a flow without one: where it starts, and which counter
    /// it uses (RFC 6056 section 3.3.4).
    pub(super) fn port_search(&self, flow: &FourTuple) -> (u32, u32) {
        let hash = self.ports.hash_flow(flow, 0);
        (hash as u32, upper(hash))
    }
}

/// The half that says nothing of the other.
const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn flow(port: u16) -> FourTuple {
        FourTuple {
            local: ([10, 0, 0, 1], port).into(),
            remote: ([10, 0, 0, 2], 80).into(),
        }
    }

    #[test]
    fn a_later_incarnation_starts_past_the_earlier_one() {
        let secrets = Secrets::new(&Random::from_u64(1));
        let first = secrets.numbers(&flow(1), Instant::ZERO).0;
        let second = secrets
            .numbers(&flow(1), Instant::ZERO + Duration::from_secs(1))
            .0;
        assert_eq!(second - first, 250_000);
    }

    #[test]
    fn flows_and_stacks_have_unrelated_numbers() {
        let secrets = Secrets::new(&Random::from_u64(1));
        let other = Secrets::new(&Random::from_u64(2));
        let (number, offset) = secrets.numbers(&flow(1), Instant::ZERO);
        assert_ne!(number, secrets.numbers(&flow(2), Instant::ZERO).0);
        assert_ne!(number, other.numbers(&flow(1), Instant::ZERO).0);
        assert_ne!(number.0, offset);
        assert_eq!(offset, secrets.timestamp_offset(&flow(1)));
    }
}
