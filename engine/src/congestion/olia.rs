//! Opportunistic Linked Increases (draft-khalili-mptcp-congestion-control-05 section 2): the
//! optimal balance of windows, and a shift of window from the largest to paths that look better.
//! The threshold keeps the two segments of RFC 5681; the draft would allow one.

use super::AckSample;
use super::coupling::round_trip;
use super::reno::Reno;
use super::window::Window;

/// How much the path carried between losses.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Olia {
    /// Between the last two losses.
    before_loss: u64,
    /// Since the last loss.
    after_loss: u64,
    /// Alpha of this subflow, as home last told it.
    alpha: f64,
}

impl Olia {
    /// Counts bytes that arrived, in whatever state the window is.
    pub(super) fn count(&mut self, acked: u32) {
        self.after_loss = self.after_loss.saturating_add(acked.into());
    }

    pub(super) fn bytes_between_losses(&self) -> u64 {
        self.before_loss.max(self.after_loss)
    }

    pub(super) fn set_alpha(&mut self, alpha: f64) {
        self.alpha = alpha;
    }

    /// May be negative: a path of the largest window gives way to better ones.
    pub(super) fn increase(&self, window: &Window, acked: f64, ack: &AckSample) -> f64 {
        let coupling = &ack.coupling;
        if !coupling.coupled {
            return Reno.increase(window, acked);
        }
        let rate = window.exact() / round_trip(ack.srtt);
        let share = rate / coupling.total_rate.max(rate);
        acked * window.mss() / window.exact() * (share.powi(2) + self.alpha)
    }

    pub(super) fn reduce(&mut self, in_flight: f64) -> f64 {
        self.before_loss = core::mem::take(&mut self.after_loss);
        Reno.reduce(in_flight)
    }
}
