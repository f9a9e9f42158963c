//! What ICMP reports about a connection's segments (RFC 5927, RFC 1191, RFC 8201).
//!
//! A report counts only when it quotes a sequence number in flight: who cannot see the segments
//! has to guess it.

use super::recovery::Phase;
use super::state::{End, State};
use super::tcb::Tcb;
use crate::sequence::SequenceNumber;
use crate::time::Instant;

impl Tcb {
    /// ICMP said that a segment was too big: the path takes segments whose size and
    /// fixed headers fit, `maximum_segment_size` bytes as in the MSS option. `quoted` is the
    /// sequence number of the segment that ICMP quotes; one that is not in flight is ignored.
    pub fn on_packet_too_big(
        &mut self,
        now: Instant,
        maximum_segment_size: u16,
        quoted: SequenceNumber,
    ) {
        self.clock = now;
        if !self.state.is_synchronized() || !self.is_in_flight(quoted) {
            return;
        }
        if !self.path_mtu.too_big(now, maximum_segment_size) {
            return;
        }
        let payload = self.segment_payload();
        self.controller.set_mss(payload);
        // What was too big did not arrive, and that is no sign of congestion.
        self.scoreboard.mark_larger_lost(payload.into());
        self.due.past_window = true;
        self.send.timeout_from = now;
    }

    /// ICMP said that the destination is unreachable; `hard` as RFC 5927 section 5 divides them.
    ///
    /// During the handshake the connection ends. Later it does not, be the error hard or soft
    /// (RFC 5927 section 5.2): routes come back, and what stays away is found by timers.
    pub fn on_unreachable(&mut self, hard: bool, quoted: SequenceNumber) {
        let handshake = match self.state {
            State::SynSent => true,
            State::SynReceived => hard,
            _ => false,
        };
        if handshake && self.is_in_flight(quoted) {
            self.finish(End::Unreachable);
        }
    }

    fn is_in_flight(&self, quoted: SequenceNumber) -> bool {
        self.send
            .space
            .position(self.send.una, quoted)
            .is_some_and(|position| (self.send.una..self.send.nxt).contains(&position))
    }

    /// True while a retransmission timeout is being recovered from.
    pub fn is_stalled(&self) -> bool {
        matches!(self.recovery.phase, Phase::Loss { .. })
    }
}
