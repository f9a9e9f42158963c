//! The timers of a connection: which run, when they end, and what they do.
//!
//! Deadlines are a pure function of the state, so no event can forget to arm or disarm one.

use super::delivered::Delivered;
use super::keepalive::Silence;
use super::recovery::{Phase, ProbeAnswer};
use super::segment::Advanced;
use super::state::{End, State};
use super::tcb::Tcb;
use crate::time::{Duration, Instant};

/// What RFC 8985 section 7.2 adds for a peer that delays the acknowledgment of a single segment.
const PEER_ACK_DELAY: Duration = Duration::from_millis(200);
/// The tail loss probe while no round trip is known (RFC 8985 section 7.2).
const PROBE_WITHOUT_RTT: Duration = Duration::from_secs(1);

/// A prompt probe goes no sooner: a peer may take that long to answer for other reasons than loss.
const LEAST_PROMPT_WAIT: Duration = Duration::from_millis(10);

/// A timer that runs.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Timer {
    /// SYN or SYN/ACK again.
    Handshake,
    /// The retransmission timeout (RFC 6298).
    Retransmission,
    /// The tail loss probe (RFC 8985 section 7).
    TailLoss,
    /// The answer to the tail loss probe is overdue.
    ProbeAnswer,
    /// What is out of order for too long is lost (RFC 8985 section 6.2).
    Reordering,
    /// Zero-window probe, and the override of the Nagle algorithm.
    Persist,
    /// The user timeout (RFC 5482).
    User,
    /// Keepalive.
    Keepalive,
    /// FIN-WAIT-2 lasts too long.
    FinWait,
    /// The full segment size is tried again.
    PathMtu,
}

/// Every timer, in the order in which those due at the same time fire.
const TIMERS: [Timer; 10] = [
    Timer::User,
    Timer::FinWait,
    Timer::Handshake,
    Timer::Reordering,
    Timer::ProbeAnswer,
    Timer::TailLoss,
    Timer::Retransmission,
    Timer::Persist,
    Timer::Keepalive,
    Timer::PathMtu,
];

impl Tcb {
    /// When to call [`Self::advance`] next, or to ask [`Self::plan`] for a delayed
    /// acknowledgment.
    pub fn next_timeout(&self) -> Option<Instant> {
        TIMERS
            .iter()
            .filter_map(|timer| self.deadline(*timer))
            .chain(self.delayed_acknowledgment())
            .min()
    }

    fn delayed_acknowledgment(&self) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        self.acknowledgment.deadline()
    }

    /// Fires the timers that are due.
    pub fn advance(&mut self, now: Instant) -> Advanced {
        self.clock = now;
        let was_closed = self.state == State::Closed;
        let mut advanced = Advanced::default();
        if self.delayed_acknowledgment().is_some_and(|at| at <= now) {
            self.acknowledgment.at_once();
        }
        for timer in TIMERS {
            if self.deadline(timer).is_some_and(|deadline| deadline <= now) {
                advanced.stalled |= matches!(timer, Timer::Retransmission | Timer::ProbeAnswer);
                self.fire(timer, now);
            }
        }
        advanced.closed = self.state == State::Closed && !was_closed;
        advanced
    }

    fn deadline(&self, timer: Timer) -> Option<Instant> {
        let send = &self.send;
        let handshake = matches!(self.state, State::SynSent | State::SynReceived);
        let outstanding = self.state.is_synchronized() && send.outstanding() > 0;
        match timer {
            Timer::Handshake => {
                (handshake && !self.handshake.due).then(|| send.timeout_from + self.rtt.timeout())
            }
            Timer::Retransmission => (outstanding && self.probe_timeout().is_none())
                .then(|| send.timeout_from + self.rtt.timeout()),
            Timer::TailLoss => self.probe_timeout(),
            Timer::ProbeAnswer => self.answer_timeout().filter(|_| outstanding),
            Timer::Reordering => self.rack.deadline().filter(|_| outstanding),
            Timer::Persist => self
                .must_persist()
                .then(|| self.persist_from() + self.rtt.backed_off(self.persist.probes)),
            Timer::User => self.user_deadline(),
            Timer::Keepalive => self
                .config
                .keepalive
                .filter(|_| {
                    self.state.is_synchronized()
                        && self.state != State::TimeWait
                        && !outstanding
                        && !self.due.probe
                        && !self.must_persist()
                })
                .map(|settings| self.keepalive.deadline(&settings)),
            Timer::FinWait => self
                .config
                .fin_wait_timeout
                .filter(|_| self.state == State::FinWait2)
                .map(|timeout| self.keepalive.heard_at() + timeout),
            Timer::PathMtu => self
                .path_mtu
                .deadline()
                .filter(|_| self.state.is_synchronized()),
        }
    }

    /// When the tail loss probe is due; `None` when the retransmission timeout is next.
    fn probe_timeout(&self) -> Option<Instant> {
        let send = &self.send;
        let allowed = self.sack
            && self.state.is_synchronized()
            && send.outstanding() > 0
            && self.recovery.is_open()
            && self.recovery.timeouts == 0
            && self.recovery.probe.is_none()
            && !self.due.tail_probe
            && self.scoreboard.sacked() == 0
            && self.scoreboard.lost() == 0;
        if !allowed {
            return None;
        }
        let timeout = send.timeout_from + self.rtt.timeout();
        if self.config.prompt_probe {
            // Sending on does not put it off: an acknowledgment is overdue all the same.
            return Some((send.timeout_from + self.prompt_wait()).min(timeout));
        }
        let mut wait = self.rtt.smoothed().map_or(PROBE_WITHOUT_RTT, |rtt| rtt * 2);
        if send.outstanding() <= self.segment_payload().into() {
            wait += PEER_ACK_DELAY;
        }
        Some((send.activity_at + wait).min(timeout))
    }

    /// How long the answer of a peer that does not delay it takes at most. Twice the round trip is
    /// the probe timeout of RFC 8985 section 7.2, the variation is heeded as in RFC 6298 section 2.
    fn prompt_wait(&self) -> Duration {
        let Some(smoothed) = self.rtt.smoothed() else {
            return PROBE_WITHOUT_RTT;
        };
        let varied = smoothed + self.rtt.variation() * 4;
        varied.max(smoothed * 2).max(LEAST_PROMPT_WAIT)
    }

    /// When the tail loss probe that is out should have been answered: it repeats what was sent or
    /// follows it, so the peer does not delay the acknowledgment. `None` where nobody cares.
    fn answer_timeout(&self) -> Option<Instant> {
        let probe = self.recovery.probe?;
        let awaited = self.config.prompt_probe && probe.answer == ProbeAnswer::Awaited;
        awaited.then(|| probe.sent_at + self.prompt_wait())
    }

    fn persist_from(&self) -> Instant {
        self.persist
            .from
            .max(self.send.activity_at)
            .max(self.send.progress_at)
    }

    /// When unacknowledged data, or an unanswered peer, has had its time.
    fn user_deadline(&self) -> Option<Instant> {
        let timeout = self.config.user_timeout?;
        let waiting = match self.state {
            State::Closed | State::TimeWait => false,
            State::SynSent | State::SynReceived => self.handshake.attempts > 0,
            _ => self.send.outstanding() > 0,
        };
        if waiting {
            return Some(self.send.progress_at + timeout);
        }
        let probing = self.persist.unanswered > 0 && self.must_persist();
        probing.then(|| self.keepalive.heard_at() + timeout)
    }

    fn fire(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Handshake => self.handshake_timed_out(now),
            Timer::Retransmission => self.retransmission_timed_out(now),
            Timer::TailLoss => {
                self.due.tail_probe = true;
                // The probe has its own time to be answered, even where it is due when the
                // retransmission timeout is.
                self.send.timeout_from = now;
            }
            Timer::ProbeAnswer => {
                if let Some(probe) = &mut self.recovery.probe {
                    probe.answer = ProbeAnswer::Overdue;
                }
            }
            Timer::Reordering => self.reordering_timed_out(now),
            Timer::Persist => self.persist_timed_out(now),
            Timer::User | Timer::FinWait => self.reset_with(End::TimedOut),
            Timer::Keepalive => self.keepalive_timed_out(now),
            Timer::PathMtu => {
                self.path_mtu.try_larger();
                self.controller.set_mss(self.segment_payload());
            }
        }
    }

    fn handshake_timed_out(&mut self, now: Instant) {
        if self.handshake.attempts > self.config.syn_retries {
            self.finish(End::TimedOut);
            return;
        }
        self.rtt.back_off();
        self.send.timeout_from = now;
        self.handshake.due = true;
    }

    /// RFC 6298 section 5, with RACK's choice of what is lost.
    fn retransmission_timed_out(&mut self, now: Instant) {
        if self.window_is_shut() {
            self.recovery.timeouts = 0;
        }
        self.recovery.timeouts = self.recovery.timeouts.saturating_add(1);
        let given_up = self.config.user_timeout.is_none()
            && self.recovery.timeouts > self.config.retransmissions.into();
        if given_up {
            self.reset_with(End::TimedOut);
            return;
        }
        let head = self.scoreboard.head().map_or(0, |head| head.length());
        let size = u32::try_from(head).unwrap_or(u32::MAX);
        let size = size.min(self.maximum_segment());
        if self.path_mtu.timed_out(self.recovery.timeouts, size) {
            self.controller.set_mss(self.segment_payload());
        }
        let patience = self.rack.timeout_patience(&self.rtt);
        if self.sack {
            self.scoreboard.mark_timed_out(patience, now);
        } else {
            self.scoreboard.mark_timed_out(Duration::ZERO, now);
        }
        self.rack.disarm();
        self.controller.on_timeout(now, self.flight());
        self.ecn.window_reduced(self.send.nxt);
        let phase = Phase::Loss {
            point: self.send.nxt,
        };
        self.recovery.enter(phase, self.send.una);
        self.recovery.duplicate_acks = 0;
        self.rtt.back_off();
        self.send.timeout_from = now;
        self.due.past_window = true;
        self.due.tail_probe = false;
    }

    /// The peer took back its window while data was in flight, and answers what is repeated: that is
    /// a probe of its window, which may stay closed for ever (RFC 9293 section 3.8.6.1).
    fn window_is_shut(&self) -> bool {
        self.send.window.bytes() == 0 && self.keepalive.heard_at() >= self.send.timeout_from
    }

    fn reordering_timed_out(&mut self, now: Instant) {
        let lost = self.find_losses(now, false);
        let nothing = Delivered::new(now, self.rtt.minimum(), self.rack.highest_delivered());
        self.update_phase(now, lost, &nothing, false);
    }

    fn persist_timed_out(&mut self, now: Instant) {
        if self.persist.unanswered > self.config.retransmissions.into() {
            self.reset_with(End::TimedOut);
            return;
        }
        self.persist.from = now;
        if self.send.usable() > 0 {
            self.due.small = true;
        } else {
            self.persist.probes = self.persist.probes.saturating_add(1);
            self.persist.unanswered = self.persist.unanswered.saturating_add(1);
            self.due.probe = true;
        }
    }

    fn keepalive_timed_out(&mut self, now: Instant) {
        let Some(settings) = self.config.keepalive else {
            return;
        };
        let out_of_time = self.keepalive.unanswered() > 0
            && self
                .config
                .user_timeout
                .is_some_and(|timeout| now.saturating_since(self.keepalive.heard_at()) >= timeout);
        match self.keepalive.expired(now, &settings) {
            Silence::Probe if !out_of_time => self.due.probe = true,
            Silence::Probe | Silence::GiveUp => self.reset_with(End::TimedOut),
        }
    }
}
