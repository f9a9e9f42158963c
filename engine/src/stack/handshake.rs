//! What a SYN offers and how the SYN/ACK answers it, before there is a subflow (RFC 9293
//! section 3.10.7.2, RFC 7323 section 2.2, RFC 3168 section 6.1.1).

use crate::sequence::SequenceNumber;
use crate::socket::SocketOptions;
use crate::storage::flow_table::FourTuple;
use crate::tcp::Negotiated;
use crate::time::Instant;
use crate::wire::mptcp_option::MptcpOption;
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_option::Timestamps;

/// What the SYN has no MSS option for (RFC 9293 section 3.7.1).
const DEFAULT_MSS_IPV4: u16 = 536;
const DEFAULT_MSS_IPV6: u16 = 1220;
/// Less leaves no room beside the options, and serves only to make this side send tiny segments.
const LEAST_MSS: u16 = 88;

/// What the peer's SYN said.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct SynOffer {
    pub(super) irs: SequenceNumber,
    pub(super) maximum_segment_size: u16,
    pub(super) window_scale: Option<u8>,
    pub(super) sack: bool,
    /// Value of its timestamp.
    pub(super) timestamp: Option<u32>,
    pub(super) ecn: bool,
}

impl SynOffer {
    pub(super) fn of(flow: &FourTuple, syn: &TcpHeader) -> Self {
        let default = if flow.remote.is_ipv4() {
            DEFAULT_MSS_IPV4
        } else {
            DEFAULT_MSS_IPV6
        };
        let options = &syn.options;
        Self {
            irs: syn.sequence,
            maximum_segment_size: options
                .maximum_segment_size
                .unwrap_or(default)
                .max(LEAST_MSS),
            window_scale: options.window_scale.map(|shift| shift.min(14)),
            sack: options.sack_permitted,
            timestamp: options.timestamps.map(|timestamps| timestamps.value),
            ecn: syn.flags.contains(TcpFlags::ECE | TcpFlags::CWR),
        }
    }

    /// What the two sides have agreed on once the SYN/ACK with `iss` is acknowledged.
    /// `timestamp` is the peer's last one; `syn_ack_sent` as in [`Negotiated`].
    pub(super) fn negotiated(
        &self,
        iss: SequenceNumber,
        timestamp_offset: u32,
        timestamp: Option<u32>,
        syn_ack_sent: Option<Instant>,
    ) -> Negotiated {
        Negotiated {
            iss,
            syn_ack_sent,
            irs: self.irs,
            peer_mss: self.maximum_segment_size,
            send_scale: self.window_scale,
            sack: self.sack,
            timestamps: self.timestamp.map(|offered| timestamp.unwrap_or(offered)),
            timestamp_offset,
            ecn: self.ecn,
        }
    }
}

/// What the sockets' options ask of the handshake.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct SynWish {
    /// SO_RCVBUF.
    pub(super) receive_buffer: Option<u32>,
    /// TCP_MAXSEG.
    pub(super) maximum_segment: Option<u16>,
}

impl From<&SocketOptions> for SynWish {
    fn from(options: &SocketOptions) -> Self {
        Self {
            receive_buffer: options.receive_buffer,
            maximum_segment: options.maximum_segment,
        }
    }
}

/// What this side says in its SYN/ACK whatever the peer offers.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct SynAnswer {
    pub(super) maximum_segment_size: u16,
    pub(super) window_scale: u8,
    /// Receive window in bytes.
    pub(super) window: u32,
}

impl SynAnswer {
    /// The SYN/ACK: it takes up what the SYN offered.
    pub(super) fn syn_ack(
        &self,
        flow: &FourTuple,
        offer: &SynOffer,
        iss: SequenceNumber,
        timestamp: u32,
        mptcp: Option<MptcpOption>,
    ) -> TcpHeader {
        let mut flags = TcpFlags::SYN | TcpFlags::ACK;
        if offer.ecn {
            flags |= TcpFlags::ECE;
        }
        let mut header = TcpHeader {
            source_port: flow.local.port(),
            destination_port: flow.remote.port(),
            sequence: iss,
            acknowledgment: offer.irs + 1,
            flags,
            // The window of a SYN is never scaled.
            window: u16::try_from(self.window).unwrap_or(u16::MAX),
            ..TcpHeader::default()
        };
        let options = &mut header.options;
        options.maximum_segment_size = Some(self.maximum_segment_size);
        options.window_scale = offer.window_scale.map(|_| self.window_scale);
        options.sack_permitted = offer.sack;
        options.timestamps = offer.timestamp.map(|echo| Timestamps {
            value: timestamp,
            echo,
        });
        options.mptcp.extend(mptcp);
        header
    }
}

/// The timestamp clock: milliseconds and the flow's offset.
pub(super) fn timestamp_clock(now: Instant, offset: u32) -> u32 {
    (now.as_millis() as u32).wrapping_add(offset)
}
