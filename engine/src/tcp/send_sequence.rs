//! The send sequence variables (RFC 9293 section 3.3.1) as positions.

use super::space::{SequenceSpace, offset_of, position_of};
use super::window::SendWindow;
use crate::time::Instant;

/// SND.UNA, SND.NXT and what is to follow.
#[derive(Copy, Clone, Debug)]
pub(super) struct SendSequence {
    pub(super) space: SequenceSpace,
    /// SND.UNA.
    pub(super) una: u64,
    /// SND.NXT.
    pub(super) nxt: u64,
    pub(super) window: SendWindow,
    /// Offset of the end of what is queued.
    queued: u64,
    /// Offset before which all data is to be pushed.
    push: u64,
    /// FIN follows what is queued.
    closing: bool,
    /// End of the last segment sent that was not full (the Nagle algorithm as Minshall put it).
    pub(super) small_end: u64,
    /// When the oldest outstanding byte was sent, or SND.UNA last advanced.
    pub(super) progress_at: Instant,
    /// From when on the retransmission timeout counts.
    pub(super) timeout_from: Instant,
    /// When data was last sent or acknowledged: from then on the tail loss probe counts.
    pub(super) activity_at: Instant,
    /// The largest flight of the window that ends at `peak_end`, to tell whether the congestion
    /// window was used (RFC 7661 section 4).
    peak_flight: u64,
    peak_end: u64,
}

/// A [`SendSequence`] of which all is sent and acknowledged, and no end is near.
#[derive(Copy, Clone, Debug)]
pub(super) struct RestingSendSequence {
    space: SequenceSpace,
    una: u64,
    window: SendWindow,
    activity_at: Instant,
}

impl RestingSendSequence {
    /// The variables as they were.
    pub(super) const fn wake(&self) -> SendSequence {
        let sent = offset_of(self.una);
        SendSequence {
            una: self.una,
            nxt: self.una,
            queued: sent,
            push: sent,
            small_end: self.una,
            peak_end: self.una,
            ..SendSequence::new(self.space, self.window, self.activity_at)
        }
    }
}

impl SendSequence {
    /// What is left of them; `None` while something is outstanding or waits.
    pub(super) fn rest(&self) -> Option<RestingSendSequence> {
        let all_is_acknowledged =
            !self.closing && self.una == self.nxt && self.data_end() == self.una;
        all_is_acknowledged.then_some(RestingSendSequence {
            space: self.space,
            una: self.una,
            window: self.window,
            activity_at: self.activity_at,
        })
    }

    pub(super) const fn new(space: SequenceSpace, window: SendWindow, now: Instant) -> Self {
        Self {
            space,
            una: 0,
            nxt: 0,
            window,
            queued: 0,
            push: 0,
            closing: false,
            small_end: 0,
            progress_at: now,
            timeout_from: now,
            activity_at: now,
            peak_flight: 0,
            peak_end: 0,
        }
    }

    pub(super) fn queue(&mut self, bytes: u32, push: bool) {
        if self.closing {
            return;
        }
        self.queued = self.queued.saturating_add(bytes.into());
        if push {
            self.push = self.queued;
        }
    }

    pub(super) const fn close(&mut self) {
        self.closing = true;
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closing
    }

    pub(super) const fn queued(&self) -> u64 {
        self.queued
    }

    pub(super) const fn push(&self) -> u64 {
        self.push
    }

    /// Position just past the queued data, which is that of the FIN.
    pub(super) const fn data_end(&self) -> u64 {
        position_of(self.queued)
    }

    pub(super) const fn fin_is_sent(&self) -> bool {
        self.closing && self.nxt > self.data_end()
    }

    pub(super) const fn fin_is_acknowledged(&self) -> bool {
        self.closing && self.una > self.data_end()
    }

    pub(super) const fn unsent(&self) -> u64 {
        self.data_end().saturating_sub(self.nxt)
    }

    pub(super) const fn outstanding(&self) -> u64 {
        self.nxt.saturating_sub(self.una)
    }

    /// What the peer's window still admits past SND.NXT.
    pub(super) fn usable(&self) -> u64 {
        self.una
            .saturating_add(self.window.bytes().into())
            .saturating_sub(self.nxt)
    }

    pub(super) fn sent_offset(&self) -> u64 {
        offset_of(self.nxt).min(self.queued)
    }

    pub(super) fn acknowledged_offset(&self) -> u64 {
        offset_of(self.una).min(self.queued)
    }

    /// Remembers how much of the congestion window is in use.
    pub(super) fn note_flight(&mut self, in_flight: u64) {
        if in_flight >= self.peak_flight || self.una >= self.peak_end {
            self.peak_flight = in_flight;
            self.peak_end = self.nxt;
        }
    }

    pub(super) const fn peak_flight(&self) -> u64 {
        self.peak_flight
    }
}
