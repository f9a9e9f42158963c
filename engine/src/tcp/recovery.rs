//! The phases of loss recovery, proportional rate reduction (RFC 6937) and undo (RFC 3522).

use super::progress::Doubt;
use crate::time::Instant;

/// Where loss recovery stands.
#[derive(Copy, Clone, Debug)]
pub(super) enum Phase {
    /// No loss is known.
    Open,
    /// Fast recovery until `point` is acknowledged.
    Recovery {
        /// SND.NXT when the loss was found.
        point: u64,
        /// What may be sent meanwhile.
        reduction: RateReduction,
    },
    /// Slow start after a retransmission timeout, until `point` is acknowledged.
    Loss {
        /// SND.NXT when the timer fired.
        point: u64,
    },
}

/// Proportional rate reduction: sends in proportion to what is delivered.
#[derive(Copy, Clone, Debug)]
pub(super) struct RateReduction {
    threshold: u64,
    flight_at_start: u64,
    delivered: u64,
    sent: u64,
    window: u64,
}

impl RateReduction {
    /// Recovery begins with `flight` bytes outstanding; the window is to become `threshold`.
    pub(super) fn new(threshold: u32, flight: u64) -> Self {
        Self {
            threshold: threshold.into(),
            flight_at_start: flight.max(1),
            delivered: 0,
            sent: 0,
            window: 0,
        }
    }

    pub(super) fn window(&self) -> u32 {
        u32::try_from(self.window).unwrap_or(u32::MAX)
    }

    pub(super) const fn sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// `delivered` bytes left the network and `pipe` bytes are in it. `progress`: SND.UNA
    /// advanced and nothing more was lost, so slow start is safe.
    pub(super) fn acknowledged(&mut self, delivered: u64, pipe: u64, segment: u64, progress: bool) {
        self.delivered = self.delivered.saturating_add(delivered);
        let mut allowance = if pipe > self.threshold {
            (self.delivered.saturating_mul(self.threshold))
                .div_ceil(self.flight_at_start)
                .saturating_sub(self.sent)
        } else {
            let conservative = self.delivered.saturating_sub(self.sent).max(delivered);
            let limit = conservative + if progress { segment } else { 0 };
            limit.min(self.threshold - pipe)
        };
        if self.sent == 0 {
            // The fast retransmission itself.
            allowance = allowance.max(segment);
        }
        self.window = pipe + allowance;
    }
}

/// The tail loss probe in flight (RFC 8985 section 7.4).
#[derive(Copy, Clone, Debug)]
pub(super) struct TailLossProbe {
    /// SND.NXT when it was sent.
    pub(super) end: u64,
    /// It repeated sent data.
    pub(super) retransmission: bool,
    pub(super) sent_at: Instant,
    pub(super) answer: ProbeAnswer,
}

/// What has come back since a tail loss probe went.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum ProbeAnswer {
    /// Nothing so far.
    Awaited,
    /// Nothing in the time that an answer takes.
    Overdue,
    /// The peer has received something.
    Heard,
}

/// What it takes to find that a recovery was for nothing.
#[derive(Copy, Clone, Debug, Default)]
struct Undo {
    active: bool,
    /// Positions the recovery is about: SND.UNA at its start.
    from: u64,
    /// TSval of its first retransmission.
    first_retransmission: Option<u32>,
    /// Retransmitted bytes that no DSACK has yet called needless.
    unproven: u64,
    retransmitted: bool,
}

/// Loss recovery of one connection.
#[derive(Copy, Clone, Debug)]
pub(super) struct Recovery {
    pub(super) phase: Phase,
    pub(super) probe: Option<TailLossProbe>,
    /// Acknowledgments in a row that repeat SND.UNA, for peers without SACK.
    pub(super) duplicate_acks: u32,
    /// Retransmission timeouts in a row.
    pub(super) timeouts: u32,
    /// Segments sent again so far.
    pub(super) retransmissions: u64,
    undo: Undo,
}

impl Recovery {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Open,
            probe: None,
            duplicate_acks: 0,
            timeouts: 0,
            retransmissions: 0,
            undo: Undo::default(),
        }
    }

    /// Nothing is being recovered, after so many segments were sent again.
    pub(super) fn after(retransmissions: u64) -> Self {
        Self {
            retransmissions,
            ..Self::new()
        }
    }

    /// What the peer's silence says of the path.
    pub(super) fn doubt(&self) -> Doubt {
        if self.timeouts > 0 {
            return Doubt::Silent;
        }
        match self.probe.map(|probe| probe.answer) {
            Some(ProbeAnswer::Awaited) => Doubt::Probed,
            Some(ProbeAnswer::Overdue) => Doubt::Silent,
            Some(ProbeAnswer::Heard) | None => Doubt::None,
        }
    }

    /// The peer was heard to have received something.
    pub(super) fn heard(&mut self) {
        if let Some(probe) = &mut self.probe {
            probe.answer = ProbeAnswer::Heard;
        }
    }

    /// Nothing is being recovered. A tail loss probe that repeated what was lost waits for a DSACK, or for
    /// later data, although all is acknowledged.
    pub(super) const fn is_at_rest(&self) -> bool {
        self.is_open() && self.timeouts == 0
    }

    pub(super) const fn in_fast_recovery(&self) -> bool {
        matches!(self.phase, Phase::Recovery { .. })
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Enters a phase in which sent data is repeated.
    pub(super) fn enter(&mut self, phase: Phase, una: u64) {
        if self.is_open() {
            self.undo = Undo {
                active: true,
                from: una,
                ..Undo::default()
            };
        }
        self.phase = phase;
        self.probe = None;
    }

    /// True when the phase ends with everything before `una` acknowledged.
    pub(super) const fn is_over(&self, una: u64) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Recovery { point, .. } | Phase::Loss { point } => una >= point,
        }
    }

    /// Data went out, with this TSval where timestamps are in use.
    pub(super) fn sent(&mut self, bytes: u64, retransmission: bool, stamp: Option<u32>) {
        if let Phase::Recovery { reduction, .. } = &mut self.phase {
            reduction.sent(bytes);
        }
        if retransmission && self.undo.active && !self.is_open() {
            if !self.undo.retransmitted {
                self.undo.first_retransmission = stamp;
            }
            self.undo.retransmitted = true;
            self.undo.unproven = self.undo.unproven.saturating_add(bytes);
        }
    }

    /// A DSACK reported `start..end` as received twice. Returns true when with it every
    /// retransmission of the recovery is known to have been needless.
    pub(super) fn duplicate_delivered(&mut self, start: u64, end: u64) -> bool {
        if !self.undo.active || !self.undo.retransmitted || start < self.undo.from {
            return false;
        }
        self.undo.unproven = self.undo.unproven.saturating_sub(end.saturating_sub(start));
        self.undo.unproven == 0
    }

    /// SND.UNA advanced by an acknowledgment that echoes `echo`. Returns true when the echo is of
    /// before the first retransmission: the original had arrived (Eifel detection).
    pub(super) fn echo_predates_retransmission(&self, echo: u32) -> bool {
        self.undo.active
            && !self.is_open()
            && self
                .undo
                .first_retransmission
                .is_some_and(|stamp| (echo.wrapping_sub(stamp) as i32) < 0)
    }

    /// The first acknowledgment that advances has told: a later one can tell nothing by its echo.
    pub(super) const fn echo_judged(&mut self) {
        self.undo.first_retransmission = None;
    }

    /// Back to normal; a late DSACK may still undo.
    pub(super) const fn leave(&mut self) {
        self.phase = Phase::Open;
        self.undo.first_retransmission = None;
    }

    /// The reduction was taken back.
    pub(super) fn undone(&mut self) {
        self.phase = Phase::Open;
        self.undo = Undo::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_reduction_halves_without_a_pause() {
        let mut reduction = RateReduction::new(10_000, 20_000);
        let mut pipe = 19_000_u64;
        reduction.acknowledged(1_000, pipe, 1_000, false);
        let mut sent = 0;
        for _ in 0..20 {
            let allowed = u64::from(reduction.window()).saturating_sub(pipe) / 1_000 * 1_000;
            reduction.sent(allowed);
            sent += allowed;
            pipe += allowed;
            pipe = pipe.saturating_sub(1_000);
            reduction.acknowledged(1_000, pipe, 1_000, true);
        }
        assert!((9_000..=12_000).contains(&sent), "{sent}");
        assert!((8_000..=10_000).contains(&pipe), "{pipe}");
    }
}
