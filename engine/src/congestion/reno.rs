//! Reno (RFC 5681 section 3.1): one segment more each round trip, half after a loss.

use super::window::Window;

/// The algorithm itself; it needs no memory beyond the window.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Reno;

impl Reno {
    pub(super) fn increase(self, window: &Window, acked: f64) -> f64 {
        acked * window.mss() / window.exact()
    }

    pub(super) fn reduce(self, in_flight: f64) -> f64 {
        in_flight / 2.0
    }
}
