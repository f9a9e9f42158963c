//! A segment goes out.

use super::draft::{Carries, Draft};
use super::{Phase, Subflow};
use crate::mptcp::message::Published;
use crate::sequence::DataSequenceNumber;
use crate::tcp::{Emission, Plan};
use crate::time::{Duration, Instant};
use crate::wire::tcp::TcpHeader;

/// The pause after two signals in a row, where there is no estimate of the round trip.
const SIGNAL_PAUSE: Duration = Duration::from_millis(200);

/// What the way out of the machine takes at once.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PathLimits {
    /// The most segments one frame may be split to by segmentation offload; 1 without.
    pub max_segments: u16,
    /// The most payload bytes a frame takes.
    pub max_frame_payload: u32,
}

/// Where the payload of a segment is to be copied from.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PayloadSource {
    /// There is none.
    None,
    /// The connection's send buffer, from this data sequence number on.
    SendBuffer(DataSequenceNumber),
    /// [`Subflow::retained_bytes`], from this offset on.
    Retained {
        /// Offset in the send stream of the subflow.
        offset: u64,
    },
}

/// A segment to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// Complete but for the ports.
    pub header: TcpHeader,
    /// Where its payload is.
    pub payload: PayloadSource,
    /// Bytes of payload.
    pub length: u32,
    /// Payload bytes per segment where it is to be split.
    pub segment_size: u16,
    /// The IP header is to say ECT(0).
    pub ecn_capable: bool,
}

impl Subflow {
    /// The next segment that is due, or `None` when nothing is; only a segment changes anything.
    /// Where TCP then came to its end, [`Self::take_end`] tells.
    pub fn transmit(
        &mut self,
        now: Instant,
        home: &Published,
        limits: PathLimits,
    ) -> Option<Outgoing> {
        self.adopt_window(home);
        let plan = self.tcp.plan(now)?;
        let draft = self.draft(&plan, home)?;
        let mut emission = self.tcp.commit(now, plan, draft.content(limits));
        let Draft {
            options,
            payload,
            carries,
            ..
        } = draft;
        emission.header.options.mptcp = options;
        self.settle(now, &plan, carries, &emission);
        Some(Outgoing {
            header: emission.header,
            payload: if emission.length == 0 {
                PayloadSource::None
            } else {
                payload
            },
            length: emission.length,
            segment_size: emission.segment_size,
            ecn_capable: emission.ecn_capable,
        })
    }

    /// Takes note of what has gone.
    fn settle(&mut self, now: Instant, plan: &Plan, carries: Carries, emission: &Emission) {
        if carries.plain_syn {
            self.handshake.on_plain_syn();
        }
        self.third_ack_sent |= carries.capable_ack || carries.join_ack;
        if carries.join_ack && self.phase == Phase::PreEstablished {
            let timeout = self.tcp.progress().retransmission_timeout;
            self.join_ack.sent(now, timeout);
        }
        if emission.length > 0 {
            self.outflow.mappings.begin(plan.offset);
            self.signals.resume();
            if let Some(infinite) = &mut self.outflow.infinite
                && carries.infinite
            {
                let end = emission.offset + u64::from(emission.length);
                infinite.carried.get_or_insert(end);
            }
        }
        if carries.data_fin {
            self.unanswered.sent(&emission.header);
            self.outflow.data_fin = None;
            self.close_in_turn();
        }
        if carries.signal {
            let pause = self.tcp.progress().smoothed_rtt.unwrap_or(SIGNAL_PAUSE);
            self.signals.sent(now, pause);
        }
        if self.phase.carries_data()
            && (self.outflow.data_fin.is_some() || self.signals.next().is_some())
        {
            self.tcp.request_ack();
        }
    }
}
