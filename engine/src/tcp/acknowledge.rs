//! What an acknowledgment says about sent data (RFC 9293 section 3.10.7.4 step 5), and the loss
//! recovery it drives (RFC 5681, RFC 6675, RFC 8985).

use super::delivered::Delivered;
use super::receive::Segment;
use super::recovery::{Phase, RateReduction};
use super::segment::Received;
use super::state::{End, State};
use super::tcb::Tcb;
use crate::congestion::AckSample;
use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::MptcpOption;
use crate::wire::tcp::TcpFlags;

/// Duplicate acknowledgments that mean a loss to a sender without SACK (RFC 5681 section 3.2).
const DUPLICATE_THRESHOLD: u32 = 3;

impl Tcb {
    /// Processes an acknowledgment of everything before `acknowledged`, which lies at most
    /// a window before SND.UNA and not after SND.NXT.
    pub(super) fn process_acknowledgment(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        acknowledged: u64,
        received: &mut Received,
    ) {
        let header = segment.header;
        let una_before = self.send.una;
        let in_flight_before = self.pipe();
        let window_changed = acknowledged >= una_before
            && self
                .send
                .window
                .update(header.window, segment.start, acknowledged);
        received.window_update |= window_changed;
        if window_changed && self.send.usable() > 0 {
            self.persist.probes = 0;
        }
        let echo = self
            .timestamps
            .and(header.options.timestamps)
            .map(|stamps| stamps.echo);
        let mut delivered = Delivered::new(now, self.rtt.minimum(), self.rack.highest_delivered());
        let progress = acknowledged > una_before;
        if progress {
            self.scoreboard.acknowledge(acknowledged, &mut delivered);
            let offset_before = self.send.acknowledged_offset();
            self.send.una = acknowledged;
            let acked = self.send.acknowledged_offset() - offset_before;
            received.acked = u32::try_from(acked).unwrap_or(u32::MAX);
        }
        let duplicate = self.process_sack(segment, una_before, &mut delivered);
        received.duplicate_ack = !progress
            && acknowledged == una_before
            && self.is_duplicate(segment, window_changed, delivered.bytes);
        self.measure(now, &delivered, progress, echo);
        if progress {
            self.advanced(now, echo);
        } else if received.duplicate_ack {
            self.recovery.duplicate_acks = self.recovery.duplicate_acks.saturating_add(1);
        }
        if let Some((start, end)) = duplicate {
            self.note_duplicate_delivered(start, end);
        }
        if progress || delivered.bytes > 0 || duplicate.is_some() {
            self.recovery.heard();
        }
        self.judge_probe(now, acknowledged, duplicate.is_some(), progress);
        if self
            .ecn
            .acknowledged(header.flags, self.send.una, self.send.nxt)
            && self.recovery.is_open()
        {
            self.controller.on_loss(now, self.flight());
        }
        let lost = self.find_losses(now, progress);
        received.fast_retransmit = self.update_phase(now, lost, &delivered, progress);
        self.grow(now, segment, &delivered, in_flight_before);
        self.advance_close();
    }

    /// Reads the SACK blocks. Returns the positions of a DSACK.
    fn process_sack(
        &mut self,
        segment: &Segment<'_>,
        una_before: u64,
        delivered: &mut Delivered,
    ) -> Option<(u64, u64)> {
        if !self.sack {
            return None;
        }
        let una = self.send.una;
        let space = self.send.space;
        let runs = segment.header.options.sack.iter().map(|block| {
            let start = space.position(una_before, block.start)?;
            let end = space.position(una_before, block.end)?;
            (start < end && end <= self.send.nxt).then_some((start, end))
        });
        let mut duplicate = None;
        let mut first = None;
        for (index, run) in runs.enumerate() {
            let Some((start, end)) = run else {
                continue;
            };
            match index {
                0 => first = run,
                // RFC 2883 section 4.2: a first block inside the second is a duplicate.
                1 => {
                    if let Some((first_start, first_end)) = first
                        && start <= first_start
                        && first_end <= end
                    {
                        duplicate = first;
                    }
                }
                _ => {}
            }
            if end <= una {
                // RFC 2883 section 4.1: so is one below the acknowledgment.
                if index == 0 && start.saturating_add(self.send.window.largest().into()) >= una {
                    duplicate = run;
                }
                continue;
            }
            if start >= una {
                self.scoreboard.sack(start, end, delivered);
            }
        }
        duplicate
    }

    /// RFC 5681 section 2; with SACK an acknowledgment that SACKs something new (RFC 6675). One
    /// that brings MPTCP options other than a DSS repeats itself for their sake (RFC 8684
    /// section 3.3).
    fn is_duplicate(&self, segment: &Segment<'_>, window_changed: bool, newly_sacked: u64) -> bool {
        let signals = segment
            .header
            .options
            .mptcp
            .iter()
            .any(|option| !matches!(option, MptcpOption::Dss(_)));
        if signals || self.send.outstanding() == 0 {
            return false;
        }
        if self.sack {
            return newly_sacked > 0;
        }
        segment.length == 0
            && !window_changed
            && !segment.has(TcpFlags::SYN)
            && !segment.has(TcpFlags::FIN)
    }

    /// Feeds the round-trip estimator and RACK.
    fn measure(&mut self, now: Instant, delivered: &Delivered, progress: bool, echo: Option<u32>) {
        let sample = delivered.rtt().or_else(|| {
            // All of it was sent more than once: only the echo can tell (RFC 7323 section 4.1).
            let value = super::timestamp::value(now, self.timestamp_offset);
            let elapsed = value.wrapping_sub(echo?);
            (progress && delivered.bytes > 0 && elapsed < 1 << 20)
                .then(|| Duration::from_millis(elapsed.max(1).into()))
        });
        if let Some(rtt) = sample {
            self.rtt.sample(rtt);
        }
        self.rack.update(now, delivered);
    }

    /// SND.UNA advanced.
    fn advanced(&mut self, now: Instant, echo: Option<u32>) {
        self.rtt.reset_backoff();
        self.recovery.timeouts = 0;
        self.recovery.duplicate_acks = 0;
        self.send.progress_at = now;
        self.send.timeout_from = now;
        self.send.activity_at = now;
        self.due.past_window = false;
        self.due.tail_probe = false;
        if echo.is_some_and(|echo| self.recovery.echo_predates_retransmission(echo)) {
            self.undo();
        }
        self.path_mtu.acknowledged(now);
        self.recovery.echo_judged();
    }

    /// A DSACK: `start..end` arrived twice.
    fn note_duplicate_delivered(&mut self, start: u64, end: u64) {
        let of_probe = self
            .recovery
            .probe
            .is_some_and(|probe| probe.retransmission && probe.end == end);
        if of_probe {
            return;
        }
        self.rack.duplicate_delivered(self.send.una, self.send.nxt);
        if self.recovery.duplicate_delivered(start, end) {
            self.undo();
        }
    }

    /// The reduction was for nothing: what was deemed lost had only been late.
    fn undo(&mut self) {
        self.controller.on_spurious();
        if self.path_mtu.timeouts_were_spurious() {
            self.controller.set_mss(self.segment_payload());
        }
        self.scoreboard.forgive_losses();
        self.recovery.undone();
    }

    /// RFC 8985 section 7.4.2: a tail loss probe that repeated data may have mended a loss, which
    /// is then as good a sign of congestion as any.
    fn judge_probe(&mut self, now: Instant, acknowledged: u64, duplicate: bool, progress: bool) {
        let Some(probe) = self.recovery.probe else {
            return;
        };
        if acknowledged < probe.end {
            return;
        }
        if !probe.retransmission || duplicate {
            self.recovery.probe = None;
        } else if acknowledged == probe.end && !progress {
            // A duplicate of the peer without DSACK: both arrived.
            self.recovery.probe = None;
        } else if acknowledged > probe.end {
            // Later data is acknowledged and no DSACK came: the original was lost.
            self.recovery.probe = None;
            if self.recovery.is_open() {
                self.controller.on_loss(now, self.flight());
                self.ecn.window_reduced(self.send.nxt);
            }
        }
    }

    /// Marks what is lost and returns how many bytes are newly so.
    pub(super) fn find_losses(&mut self, now: Instant, progress: bool) -> u64 {
        let segment = u64::from(self.segment_payload());
        if self.sack {
            let impatient = !self.recovery.is_open() || self.scoreboard.sacked() >= 3 * segment;
            return self
                .rack
                .detect(now, &mut self.scoreboard, &self.rtt, impatient);
        }
        let partial =
            progress && self.recovery.in_fast_recovery() && !self.recovery.is_over(self.send.una);
        let third = self.recovery.is_open() && self.recovery.duplicate_acks >= DUPLICATE_THRESHOLD;
        if partial || third {
            return self.scoreboard.mark_head_lost(segment);
        }
        0
    }

    /// Enters and leaves recovery. Returns true when fast recovery begins.
    pub(super) fn update_phase(
        &mut self,
        now: Instant,
        lost: u64,
        delivered: &Delivered,
        progress: bool,
    ) -> bool {
        if self.recovery.is_over(self.send.una) {
            if self.recovery.in_fast_recovery() {
                self.rack.recovery_ended();
            }
            self.recovery.leave();
        }
        let begins = lost > 0 && self.recovery.is_open();
        if begins {
            self.enter_recovery(now);
        }
        let pipe = self.pipe();
        let segment = u64::from(self.segment_payload());
        let left = if self.sack || progress {
            delivered.bytes
        } else {
            segment
        };
        if let Phase::Recovery { reduction, .. } = &mut self.recovery.phase {
            reduction.acknowledged(left, pipe, segment, progress && lost == 0);
        }
        begins
    }

    fn enter_recovery(&mut self, now: Instant) {
        let flight = self.flight();
        self.controller.on_loss(now, flight);
        self.ecn.window_reduced(self.send.nxt);
        let reduction = RateReduction::new(self.controller.window(), flight.into());
        let phase = Phase::Recovery {
            point: self.send.nxt,
            reduction,
        };
        self.recovery.enter(phase, self.send.una);
    }

    /// Lets the congestion window grow.
    fn grow(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        delivered: &Delivered,
        in_flight_before: u64,
    ) {
        let peak = self.send.peak_flight();
        let window = u64::from(self.controller.window());
        let cwnd_limited = if self.controller.in_slow_start() {
            window < 2 * peak
        } else {
            window < peak + 2 * u64::from(self.segment_payload())
        };
        self.controller.on_ack(&AckSample {
            now,
            acked: u32::try_from(delivered.bytes).unwrap_or(u32::MAX),
            rtt: delivered.rtt(),
            srtt: self.rtt.smoothed().unwrap_or_default(),
            min_rtt: self.rtt.minimum(),
            in_flight: u32::try_from(in_flight_before).unwrap_or(u32::MAX),
            cwnd_limited,
            in_recovery: self.recovery.in_fast_recovery(),
            coupling: segment.coupling,
        });
    }

    /// What follows from the acknowledgment of this side's FIN.
    fn advance_close(&mut self) {
        if !self.send.fin_is_acknowledged() {
            return;
        }
        match self.state {
            State::FinWait1 => self.state = State::FinWait2,
            State::Closing => self.state = State::TimeWait,
            State::LastAck => self.finish(End::Closed),
            _ => {}
        }
    }

    /// FlightSize of RFC 5681: bytes sent and not acknowledged in order.
    pub(super) fn flight(&self) -> u32 {
        u32::try_from(self.send.outstanding()).unwrap_or(u32::MAX)
    }
}
