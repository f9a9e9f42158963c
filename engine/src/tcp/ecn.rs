//! Explicit congestion notification (RFC 3168 section 6.1).

use crate::wire::tcp::TcpFlags;

/// The ECN state of a connection.
#[derive(Copy, Clone, Debug)]
pub(super) struct Ecn {
    negotiated: bool,
    /// A mark arrived and the peer has not yet said that it reduced: every ACK carries ECE.
    echo: bool,
    /// The window was reduced: the next new data carries CWR.
    reduced: bool,
    /// No further reduction before this position is acknowledged.
    reduced_until: u64,
}

impl Ecn {
    pub(super) const fn new(negotiated: bool) -> Self {
        Self {
            negotiated,
            echo: false,
            reduced: false,
            reduced_until: 0,
        }
    }

    pub(super) const fn is_negotiated(&self) -> bool {
        self.negotiated
    }

    /// Neither side has anything to tell the other.
    pub(super) const fn is_at_rest(&self) -> bool {
        !self.echo && !self.cwr_is_due()
    }

    /// A segment came: with a mark in its IP header, with CWR.
    pub(super) fn received(&mut self, flags: TcpFlags, marked: bool) {
        if !self.negotiated {
            return;
        }
        if flags.contains(TcpFlags::CWR) {
            self.echo = false;
        }
        self.echo |= marked;
    }

    /// An acknowledgment came. Returns true when the congestion window is to be reduced:
    /// once in each round trip.
    pub(super) fn acknowledged(&mut self, flags: TcpFlags, una: u64, nxt: u64) -> bool {
        if !self.negotiated || !flags.contains(TcpFlags::ECE) || una < self.reduced_until {
            return false;
        }
        self.window_reduced(nxt);
        true
    }

    /// The window was reduced, be it for a loss.
    pub(super) const fn window_reduced(&mut self, nxt: u64) {
        self.reduced_until = nxt;
        self.reduced = true;
    }

    /// The next new data is to carry CWR, and on one segment only.
    pub(super) const fn cwr_is_due(&self) -> bool {
        self.negotiated && self.reduced
    }

    /// The flags of a segment to be sent; `new_data` when it carries data for the first time.
    pub(super) fn flags(&mut self, new_data: bool) -> TcpFlags {
        let mut flags = TcpFlags::empty();
        if !self.negotiated {
            return flags;
        }
        flags.set(TcpFlags::ECE, self.echo);
        if new_data && self.reduced {
            self.reduced = false;
            flags |= TcpFlags::CWR;
        }
        flags
    }
}
