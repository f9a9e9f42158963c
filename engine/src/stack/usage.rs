//! How much a stack holds at a time (the bounds are those of its configuration and windows).

/// What a stack holds beside the buffers of its connections.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Bytes of memory of received data that waits on subflows: out of order, or without the whole
    /// of its mapping.
    pub received: usize,
    /// Bytes of memory of received data in messages to home.
    pub carried: usize,
    /// Bytes of send streams that subflows copied so that the send buffer could let them go, or that
    /// they carry because home is another worker.
    pub retained: usize,
    /// Messages between subflows and homes, and letters that wait to be carried to other workers.
    pub messages: usize,
    /// Packets of the stack's own that wait to be sent.
    pub control_packets: usize,
    /// Subflows in the lists of those that want to send; each is there at most once.
    pub ready: usize,
    /// Subflows of which only a packed form is kept while nothing happens on them.
    pub resting: usize,
}

impl Usage {
    /// What both hold together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            carried: self.carried + other.carried,
            retained: self.retained + other.retained,
            messages: self.messages + other.messages,
            control_packets: self.control_packets + other.control_packets,
            ready: self.ready + other.ready,
            resting: self.resting + other.resting,
        }
    }
}
