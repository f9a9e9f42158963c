//! Numbers that look random to everybody else but that this stack can compute again from the
//! packet: initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 section 5.4), ports
//! (RFC 6056 section 3.3.4) and SYN cookies (RFC 4987 section 3.6).

use crate::random::{KeyedHash, Random};
use crate::sequence::SequenceNumber;
use crate::storage::flow_table::FourTuple;
use crate::time::Instant;

/// One secret function for each use, so that what one gives away tells nothing about another.
#[derive(Debug)]
pub(super) struct Secrets {
    sequence: KeyedHash,
    timestamp: KeyedHash,
    /// Where the search for an ephemeral port starts.
    pub(super) port_offset: KeyedHash,
    /// Which counter that search uses.
    pub(super) port_counter: KeyedHash,
    /// The bits of a SYN cookie.
    pub(super) cookie: KeyedHash,
    /// The MPTCP key that goes with a SYN cookie.
    pub(super) cookie_key: KeyedHash,
}

impl Secrets {
    pub(super) fn new(random: &Random) -> Self {
        let secret = |label| KeyedHash::new(random.fork(label).bytes());
        Self {
            sequence: secret("initial sequence number"),
            timestamp: secret("timestamp offset"),
            port_offset: secret("ephemeral port offset"),
            port_counter: secret("ephemeral port counter"),
            cookie: secret("SYN cookie"),
            cookie_key: secret("SYN cookie key"),
        }
    }

    /// The initial sequence number of a flow that begins now.
    pub(super) fn initial_sequence(&self, flow: &FourTuple, now: Instant) -> SequenceNumber {
        self.sequence.initial_sequence_number(flow, now)
    }

    /// How far the flow's timestamp clock is ahead of the engine's. It hides the engine's age, and
    /// is the same for the next incarnation of the flow, so that PAWS works across them.
    pub(super) fn timestamp_offset(&self, flow: &FourTuple) -> u32 {
        self.timestamp.hash_flow(flow, 0) as u32
    }
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
        let first = secrets.initial_sequence(&flow(1), Instant::ZERO);
        let second = secrets.initial_sequence(&flow(1), Instant::ZERO + Duration::from_secs(1));
        assert_eq!(second - first, 250_000);
    }

    #[test]
    fn flows_and_stacks_have_unrelated_numbers() {
        let secrets = Secrets::new(&Random::from_u64(1));
        let other = Secrets::new(&Random::from_u64(2));
        let number = secrets.initial_sequence(&flow(1), Instant::ZERO);
        assert_ne!(number, secrets.initial_sequence(&flow(2), Instant::ZERO));
        assert_ne!(number, other.initial_sequence(&flow(1), Instant::ZERO));
        assert_ne!(number.0, secrets.timestamp_offset(&flow(1)));
    }
}
