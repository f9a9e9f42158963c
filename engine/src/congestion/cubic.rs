//! CUBIC (RFC 9438): after a loss the window returns to where it was along a cubic curve, quick
//! far from that point and slow around it, and never slower than Reno would.

use super::AckSample;
use super::hystart::HyStart;
use super::window::Window;
use crate::time::{Duration, Instant};

/// The curve's steepness, in segments per cubic second (section 5).
const C: f64 = 0.4;
/// What is left of the window after a loss (section 4.6).
const BETA: f64 = 0.7;
/// Segments per round trip with which Reno, reducing to [`BETA`], would average the same window
/// as Reno reducing to a half (section 4.3).
const RENO_FRIENDLY_INCREASE: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// One stretch of congestion avoidance; windows in segments.
#[derive(Copy, Clone, Debug)]
struct Epoch {
    start: Instant,
    /// The curve's flat point: the window there and the seconds it takes to get there.
    plateau: f64,
    seconds_to_plateau: f64,
    /// What Reno's window would be.
    reno_window: f64,
    /// The window at the loss before. Past it Reno would grow by a whole segment a round trip.
    window_before: f64,
    /// Since when the window was not needed in full; that time does not count.
    paused_since: Option<Instant>,
}

impl Epoch {
    /// The curve at `elapsed` (section 4.2, equation 1).
    fn window_at(&self, elapsed: Duration) -> f64 {
        C * (elapsed.as_secs_f64() - self.seconds_to_plateau).powi(3) + self.plateau
    }
}

/// The algorithm's memory; windows in segments.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Cubic {
    epoch: Option<Epoch>,
    /// W_max: where the last loss occurred, lowered by fast convergence. Zero before any loss.
    max_window: f64,
    /// The window when the last loss occurred.
    window_before: f64,
    /// The next stretch follows a timeout: its curve begins flat (section 4.8).
    after_timeout: bool,
    pub(super) hystart: HyStart,
}

impl Cubic {
    /// It remembers a window to return to.
    pub(super) fn has_lost(&self) -> bool {
        self.epoch.is_some() || self.after_timeout || self.max_window > 0.0
    }

    pub(super) fn increase(&mut self, window: &Window, acked: f64, ack: &AckSample) -> f64 {
        let current = window.segments();
        let mut epoch = self
            .epoch
            .unwrap_or_else(|| self.begin_epoch(ack.now, current));
        if let Some(since) = epoch.paused_since.take() {
            epoch.start += ack.now.saturating_since(since);
        }
        let acked = acked / window.mss();
        let slope = if epoch.reno_window >= epoch.window_before {
            1.0
        } else {
            RENO_FRIENDLY_INCREASE
        };
        epoch.reno_window += slope * acked / current;
        self.epoch = Some(epoch);

        let elapsed = ack.now.saturating_since(epoch.start);
        let growth = if epoch.window_at(elapsed) < epoch.reno_window {
            epoch.reno_window - current
        } else {
            let target = epoch
                .window_at(elapsed + ack.srtt)
                .clamp(current, 1.5 * current);
            (target - current) * acked / current
        };
        growth * window.mss()
    }

    /// Sections 4.6 and 4.7.
    pub(super) fn reduce(&mut self, window: &Window, in_flight: f64) -> f64 {
        let current = window.segments();
        self.max_window = if current < self.max_window {
            current * (1.0 + BETA) / 2.0
        } else {
            current
        };
        self.window_before = current;
        self.epoch = None;
        self.after_timeout = false;
        in_flight * BETA
    }

    pub(super) fn on_timeout(&mut self) {
        self.epoch = None;
        self.after_timeout = true;
    }

    /// From `now` on the window is not needed in full.
    pub(super) fn pause(&mut self, now: Instant) {
        if let Some(epoch) = &mut self.epoch {
            epoch.paused_since.get_or_insert(now);
        }
    }

    fn begin_epoch(&mut self, now: Instant, current: f64) -> Epoch {
        // Without a loss to return to the curve begins at its flat point (sections 4.8 and 4.10).
        let after_timeout = core::mem::take(&mut self.after_timeout);
        let plateau = if after_timeout {
            current
        } else {
            self.max_window.max(current)
        };
        Epoch {
            start: now,
            plateau,
            seconds_to_plateau: ((plateau - current) / C).cbrt(),
            reno_window: current,
            window_before: self.window_before,
            paused_since: None,
        }
    }
}
