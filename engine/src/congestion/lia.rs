//! Linked Increases (RFC 6356 section 3): Reno whose growth all subflows share.

use super::coupling::Coupling;
use super::reno::Reno;
use super::window::Window;

/// The algorithm itself; what it knows of the other subflows comes with each acknowledgement.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Lia;

impl Lia {
    pub(super) fn increase(self, window: &Window, acked: f64, coupling: &Coupling) -> f64 {
        let alone = Reno.increase(window, acked);
        if !coupling.coupled || coupling.total_window == 0 {
            return alone;
        }
        let linked = coupling.alpha * acked * window.mss() / coupling.total_window as f64;
        linked.min(alone)
    }

    pub(super) fn reduce(self, in_flight: f64) -> f64 {
        Reno.reduce(in_flight)
    }
}
