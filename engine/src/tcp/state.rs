//! The states of a connection (RFC 9293 section 3.3.2) and how it ends.

use super::time_wait::TimeWaitRecord;

/// The states of RFC 9293. LISTEN belongs to the stack's listeners.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Nothing left but perhaps a RST to send.
    Closed,
    /// A SYN was or is to be sent.
    SynSent,
    /// A SYN came and was answered; its acknowledgment is awaited.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// Closed here; the FIN is not yet acknowledged.
    FinWait1,
    /// Closed here and acknowledged; the peer may still send.
    FinWait2,
    /// Closed by the peer; this side may still send.
    CloseWait,
    /// Both closed at once; the FIN here is not yet acknowledged.
    Closing,
    /// Closed by the peer and then here; the FIN here is not yet acknowledged.
    LastAck,
    /// Closed on both sides, and closed here first.
    TimeWait,
}

impl State {
    /// SYNs went both ways and were acknowledged.
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::Closed | Self::SynSent | Self::SynReceived)
    }

    /// The peer may still send data.
    pub const fn may_receive(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Data and FIN may be sent for the first time or again.
    pub const fn may_send(self) -> bool {
        matches!(
            self,
            Self::Established | Self::FinWait1 | Self::CloseWait | Self::Closing | Self::LastAck
        )
    }
}

/// How a subflow ended; see [`Tcb::take_end`](super::Tcb::take_end).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// FINs went and were acknowledged both ways; this side closed first and must remember.
    TimeWait(TimeWaitRecord),
    /// FINs went and were acknowledged both ways, or it was closed before there was a connection.
    Closed,
    /// [`Tcb::abort`](super::Tcb::abort) ended it.
    Aborted,
    /// The peer reset it.
    Reset,
    /// The peer answered the SYN with a RST.
    Refused,
    /// SYNs, data, probes or keepalives went unanswered for too long.
    TimedOut,
    /// ICMP reported the destination unreachable during the handshake.
    Unreachable,
}
