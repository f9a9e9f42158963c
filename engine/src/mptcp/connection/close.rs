//! The data-level states of a connection and what moves it from one to another.
//!
//! They mirror the states of TCP (RFC 9293 section 3.3.2) with DATA_FIN in the place of FIN
//! (RFC 8684 section 3.3.3).

use thiserror::Error;

/// Data-level state of a connection.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum DataState {
    /// The first subflow's handshake is under way.
    Opening,
    /// Data flows both ways.
    Established,
    /// This side has finished; its DATA_FIN is not acknowledged.
    FinWait1,
    /// This side has finished and the peer knows it.
    FinWait2,
    /// The peer has finished.
    CloseWait,
    /// Both have finished at the same time; this side's DATA_FIN is not acknowledged.
    Closing,
    /// The peer has finished, then this side; its DATA_FIN is not acknowledged.
    LastAck,
    /// Both have finished and know it of each other: the subflows are being closed.
    TimeWait,
    /// Nothing more is sent or received.
    Closed,
}

/// What moves a connection between its data-level states.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum CloseEvent {
    /// The handshake of the first subflow is complete.
    Established,
    /// The application will write no more.
    Shutdown,
    /// The peer's DATA_FIN (after fallback: its FIN) is in order.
    PeerFinished,
    /// The peer has acknowledged this side's DATA_FIN (after fallback: its FIN).
    FinAcknowledged,
    /// The last subflow of a finished connection has ended.
    SubflowsEnded,
    /// MP_FASTCLOSE either way, a reset, or a timeout.
    Aborted,
}

/// The event cannot happen in the state; a connection that meets it stays where it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
#[error("{event:?} has no meaning in {state:?}")]
pub struct IllegalTransition {
    /// Where the connection is.
    pub state: DataState,
    /// What came.
    pub event: CloseEvent,
}

impl DataState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Opening,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
        Self::Closed,
    ];

    /// The state after `event`.
    ///
    /// # Errors
    ///
    /// [`IllegalTransition`] when the event has no meaning in this state.
    pub const fn on(self, event: CloseEvent) -> Result<Self, IllegalTransition> {
        use CloseEvent as E;
        Ok(match (self, event) {
            (_, E::Aborted) => Self::Closed,
            (Self::Opening, E::Established) => Self::Established,
            (Self::Established, E::Shutdown) => Self::FinWait1,
            (Self::Established, E::PeerFinished) => Self::CloseWait,
            (Self::FinWait1, E::FinAcknowledged) => Self::FinWait2,
            (Self::FinWait1, E::PeerFinished) => Self::Closing,
            (Self::FinWait2, E::PeerFinished) => Self::TimeWait,
            (Self::CloseWait, E::Shutdown) => Self::LastAck,
            (Self::Closing | Self::LastAck, E::FinAcknowledged) => Self::TimeWait,
            (Self::TimeWait, E::SubflowsEnded) => Self::Closed,
            (state, event) => return Err(IllegalTransition { state, event }),
        })
    }

    /// The application may still write.
    pub const fn can_write(self) -> bool {
        matches!(self, Self::Opening | Self::Established | Self::CloseWait)
    }

    /// The peer may still send.
    pub const fn can_receive(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Both sides have finished, or the connection has failed.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::TimeWait | Self::Closed)
    }
}

impl CloseEvent {
    /// Every event.
    pub const ALL: [Self; 6] = [
        Self::Established,
        Self::Shutdown,
        Self::PeerFinished,
        Self::FinAcknowledged,
        Self::SubflowsEnded,
        Self::Aborted,
    ];
}
