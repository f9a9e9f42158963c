//! What to send next (RFC 9293 sections 3.8.4 to 3.8.6): a pure function of the state.

use super::scoreboard::Fate;
use super::segment::{Plan, PlanKind};
use super::space::offset_of;
use super::state::State;
use super::tcb::Tcb;
use crate::time::Instant;

impl Tcb {
    /// What to send next, or `None` when nothing is due at `now`. Changes nothing.
    pub fn plan(&self, now: Instant) -> Option<Plan> {
        if self.due.reset || self.due.stray_reset.is_some() {
            return Some(self.without_data(PlanKind::Reset));
        }
        match self.state {
            State::Closed => None,
            State::SynSent | State::SynReceived => self.plan_handshake(now),
            _ => self
                .plan_retransmission()
                .or_else(|| self.plan_tail_probe())
                .or_else(|| self.plan_new_data())
                .or_else(|| self.plan_fin())
                .or_else(|| self.plan_probe())
                .or_else(|| self.plan_acknowledgment(now)),
        }
    }

    fn without_data(&self, kind: PlanKind) -> Plan {
        Plan {
            kind,
            offset: self.send.sent_offset(),
            available: 0,
        }
    }

    fn plan_handshake(&self, now: Instant) -> Option<Plan> {
        if self.handshake.due {
            let kind = if self.state == State::SynSent {
                PlanKind::Syn {
                    attempt: self.handshake.attempts,
                }
            } else {
                PlanKind::SynAck
            };
            return Some(self.without_data(kind));
        }
        if self.state == State::SynReceived {
            return self.plan_acknowledgment(now);
        }
        None
    }

    /// The first run of lost data, as far as the congestion window admits.
    fn plan_retransmission(&self) -> Option<Plan> {
        let (start, end) = self.scoreboard.first_lost()?;
        let segment = u64::from(self.segment_payload());
        let room = u64::from(self.congestion_window()).saturating_sub(self.pipe());
        let allowed = if self.due.past_window || self.pipe() == 0 {
            room.max(segment)
        } else {
            room
        };
        let length = end - start;
        if allowed < length.min(segment) {
            return None;
        }
        // A retransmission does not pass the peer's window, even one that has shrunk, unless it
        // is the head, which is then a probe.
        let usable_end = self
            .send
            .una
            .saturating_add(u64::from(self.send.window.bytes()).max(segment));
        if start >= usable_end {
            return None;
        }
        Some(self.repeat(start, end.min(usable_end).min(start + allowed)))
    }

    /// A plan that repeats `start..end`, which may be or end with the FIN.
    fn repeat(&self, start: u64, end: u64) -> Plan {
        let data_end = end.min(self.send.data_end());
        if start >= data_end {
            return self.without_data(PlanKind::Fin);
        }
        Plan {
            kind: PlanKind::Data {
                retransmission: true,
            },
            offset: offset_of(start),
            available: u32::try_from(data_end - start).unwrap_or(u32::MAX),
        }
    }

    /// RFC 8985 section 7.3: a segment of new data, else the last one again. It stays inside
    /// one emission, for a mapping of MPTCP may end where that does.
    fn plan_tail_probe(&self) -> Option<Plan> {
        if !self.due.tail_probe {
            return None;
        }
        let segment = u64::from(self.segment_payload());
        let fresh = self.send.unsent().min(self.send.usable()).min(segment);
        if fresh > 0 && !self.scoreboard.is_full() {
            return Some(self.fresh(fresh));
        }
        let tail = self.scoreboard.tail()?;
        if tail.fate != Fate::InFlight {
            return None;
        }
        let with_fin = tail.end > self.send.data_end();
        let data_end = tail.end - u64::from(with_fin);
        let start = tail.start.max(data_end.saturating_sub(segment));
        Some(self.repeat(start, tail.end))
    }

    fn fresh(&self, length: u64) -> Plan {
        Plan {
            kind: PlanKind::Data {
                retransmission: false,
            },
            offset: offset_of(self.send.nxt),
            available: u32::try_from(length).unwrap_or(u32::MAX),
        }
    }

    fn plan_new_data(&self) -> Option<Plan> {
        let unsent = self.send.unsent();
        if unsent == 0 || !self.state.may_send() || self.scoreboard.is_full() {
            return None;
        }
        let segment = u64::from(self.segment_payload());
        let sendable = unsent.min(self.send.usable());
        if sendable == 0 {
            return None;
        }
        let pipe = self.pipe();
        let room = u64::from(self.congestion_window()).saturating_sub(pipe);
        if room < sendable.min(segment) && pipe > 0 {
            return None;
        }
        if room < sendable {
            // The congestion window is no reason to send small segments.
            let whole = (room / segment * segment).max(segment);
            return Some(self.fresh(whole.min(sendable)));
        }
        let tail = sendable % segment;
        let whole = sendable - tail;
        if tail == 0 || self.tail_may_go(tail, sendable == unsent) {
            return Some(self.fresh(sendable));
        }
        (whole > 0).then(|| self.fresh(whole))
    }

    /// Silly window avoidance of the sender (RFC 9293 section 3.8.6.2.1) and the Nagle
    /// algorithm (section 3.7.4), which waits only while another small segment is outstanding.
    fn tail_may_go(&self, tail: u64, ends_queue: bool) -> bool {
        if self.due.small {
            return true;
        }
        if !ends_queue {
            return tail >= u64::from(self.send.window.largest() / 2).max(1);
        }
        if self.send.is_closing() {
            return true;
        }
        if self.config.cork {
            return false;
        }
        self.config.nodelay || self.send.una >= self.send.small_end
    }

    /// FIN once all data was sent. It takes no room in the peer's window.
    fn plan_fin(&self) -> Option<Plan> {
        let due = self.send.is_closing()
            && self.state.may_send()
            && self.send.nxt == self.send.data_end()
            && !self.scoreboard.is_full();
        due.then(|| self.without_data(PlanKind::Fin))
    }

    fn plan_probe(&self) -> Option<Plan> {
        self.due.probe.then(|| self.without_data(PlanKind::Probe))
    }

    fn plan_acknowledgment(&self, now: Instant) -> Option<Plan> {
        self.acknowledgment
            .is_due(now)
            .then(|| self.without_data(PlanKind::Ack))
    }

    /// Data waits, nothing is in flight, and neither window nor size lets it go: the persist
    /// timer must run (RFC 9293 section 3.8.6.1).
    pub(super) fn must_persist(&self) -> bool {
        self.state.may_send()
            && self.send.unsent() > 0
            && self.send.outstanding() == 0
            && !self.due.probe
            && self.plan_new_data().is_none()
    }
}
