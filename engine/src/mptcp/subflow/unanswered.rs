//! A DATA_FIN that the peer took in and did not answer (RFC 8684 section 3.7).
//!
//! An acknowledgment of data that lacks its DATA_ACK tells that options do not pass. Without data no
//! acknowledgment comes by itself, and silence is no proof, for a path may be cut for a while. So
//! home asks for a probe, which any TCP answers; but an answer alone is no proof either, for a peer
//! that waits for the third ACK has no option to put on it yet. The timestamp that it echoes is: it
//! is that of a segment which the peer accepted in sequence (RFC 7323 section 4.3), as probes are
//! not. Echoing a DATA_FIN, an answer without any option comes of a peer that never saw the DATA_FIN,
//! though it saw the segment.
//!
//! Without timestamps nothing can be proved, and the DATA_FIN is repeated until home gives up.

use crate::wire::tcp::TcpHeader;

/// Timestamps by which to know the answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Unanswered {
    /// TSval of the last DATA_FIN.
    sent: Option<u32>,
    /// That of the last one when home asked for a probe.
    asked: Option<u32>,
}

impl Unanswered {
    /// A segment with a DATA_FIN went out.
    pub(super) fn sent(&mut self, header: &TcpHeader) {
        self.sent = header.options.timestamps.map(|stamps| stamps.value);
    }

    /// Home asked for a probe.
    pub(super) const fn ask(&mut self) {
        self.asked = self.sent;
    }

    /// True for a segment without any option of MPTCP, sent after the peer had taken in the DATA_FIN.
    /// The data that a mapping covers may come without options, so that is not judged here.
    pub(super) fn is_proved_by(&self, header: &TcpHeader, has_payload: bool) -> bool {
        let echoes = |asked: u32| {
            let stamps = header.options.timestamps;
            stamps.is_some_and(|stamps| stamps.echo.wrapping_sub(asked) as i32 >= 0)
        };
        !has_payload && header.options.mptcp.is_empty() && self.asked.is_some_and(echoes)
    }
}
