//! The congestion control of all subflows together: which one it is, and what they tell each other
//! through home (RFC 6356 section 3).

use super::Connection;
use super::context::Context;
use super::subflow_view::SubflowView;
use crate::congestion::{ControllerKind, Coupling, Shift};
use crate::mptcp::message::ToSubflow;
use std::sync::Arc;

impl Connection {
    /// Goes on with another congestion controller on every subflow. Windows and thresholds stay
    /// what they are.
    pub fn set_congestion(&mut self, kind: ControllerKind, cx: &mut Context<'_>) {
        if self.config.congestion == kind {
            return;
        }
        Arc::make_mut(&mut self.config).congestion = kind;
        self.broadcast(&ToSubflow::SetController(kind), cx);
        for view in &mut self.views {
            if view.remarks().shift != 0.0 {
                view.remarks_mut().shift = 0.0;
            }
        }
        self.recompute_coupling(cx);
    }

    /// Publishes how the subflows share what one would take.
    pub(super) fn recompute_coupling(&mut self, cx: &mut Context<'_>) {
        if !self.config.congestion.is_coupled() {
            self.published.coupling = Coupling::default();
            return;
        }
        let ready = |view: &&SubflowView| view.is_ready();
        let samples = self
            .views
            .iter()
            .filter(ready)
            .map(SubflowView::path_sample);
        self.published.coupling = Coupling::of(samples.clone());
        if self.config.congestion != ControllerKind::Olia {
            return;
        }
        let shift = Shift::of(samples);
        for view in self.views.iter_mut().filter(|view| view.is_ready()) {
            let alpha = shift.alpha(&view.path_sample());
            if alpha != view.remarks().shift {
                view.remarks_mut().shift = alpha;
                cx.out.send(view.handle, ToSubflow::SetShift(alpha));
            }
        }
    }
}
