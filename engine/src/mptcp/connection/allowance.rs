//! What may wait on the subflows before it reaches the data level: one allowance for all of them, as
//! there is one receive window (RFC 8684 section 3.3.1).
//!
//! A peer that heeds the window has no more than two receive buffers of data under way, the one beyond
//! the edge included (see [`ReceiveState`](super::receive::ReceiveState)), in frames that are at least
//! half full. Four receive buffers therefore take in whatever it sends, on one subflow or on all.

use super::Connection;
use super::context::{Context, SubflowHandle};
use crate::mptcp::message::ToSubflow;
use crate::mptcp::path_manager::MAX_SUBFLOWS;

/// Receive buffers that all subflows may hold beside their shares.
const POOL: u64 = 4;

/// The least share: some segments.
const LEAST_SHARE: u64 = 8 << 10;

/// Bytes of memory that each subflow may hold unasked when the receive buffer has `window` bytes.
/// All shares together are one receive buffer, unless that is very small.
pub(super) fn share(window: u64) -> u64 {
    (window / MAX_SUBFLOWS as u64).max(LEAST_SHARE)
}

impl Connection {
    /// A subflow wants to hold `wanted` bytes beside its share.
    pub(super) fn on_allowance(&mut self, from: SubflowHandle, wanted: u64, cx: &mut Context<'_>) {
        let others = self.views.iter().filter(|view| view.handle != from);
        let others: u64 = others.map(|view| view.remarks().allowance).sum();
        let pool = self.receive.largest_window().saturating_mul(POOL);
        let granted = wanted.min(pool.saturating_sub(others));
        if let Some(view) = self.view_mut(from) {
            view.remarks_mut().allowance = granted;
            cx.out.send(from, ToSubflow::Allowance { granted });
        }
    }
}
