//! Half-open connections: what is kept between a SYN and the third ACK (RFC 9293
//! section 3.10.7.4, RFC 4987 section 3). A record is small and their number bounded.

use super::connection::ConnectionSlot;
use super::handshake::{SynAnswer, SynOffer, timestamp_clock};
use super::join_letter::DistantConnection;
use super::listener::ListenerKey;
use super::timer::Deadline;
use crate::mptcp::crypto::SenderKeys;
use crate::mptcp::message::FallbackReason;
use crate::mptcp::subflow::{CapableConfig, JoinConfig, JoinRequest};
use crate::sequence::SequenceNumber;
use crate::storage::flow_table::FourTuple;
use crate::storage::slab::Key;
use crate::tcp::Negotiated;
use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::{Key as MptcpKey, MptcpOption};
use crate::wire::tcp::{TcpFlags, TcpHeader};

/// First wait for the third ACK; doubles with each repetition (RFC 6298).
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The version of RFC 8684.
const MPTCP_VERSION: u8 = 1;

pub(super) type RequestKey = Key<Request>;

/// The connection that a subflow joins.
#[derive(Clone, Debug)]
pub(super) enum JoinTarget {
    /// This stack is its home.
    Here(Key<ConnectionSlot>),
    /// Another worker's is.
    Elsewhere(Box<DistantConnection>),
}

/// An MP_JOIN whose HMAC has yet to come.
#[derive(Clone, Debug)]
pub(super) struct PendingJoin {
    /// What it joins.
    pub(super) target: JoinTarget,
    /// The keys, and this side's end.
    pub(super) config: JoinConfig,
    /// The peer's end.
    pub(super) peer: JoinRequest,
}

impl PendingJoin {
    /// The option of the SYN/ACK (RFC 8684 section 3.2).
    fn option(&self) -> MptcpOption {
        let config = &self.config;
        let keys = SenderKeys {
            sender: config.local_key,
            receiver: config.remote_key,
        };
        MptcpOption::JoinSynAck {
            backup: config.backup,
            address_id: config.address_id,
            hmac: keys.join(config.nonce, self.peer.nonce).truncated(),
            nonce: config.nonce,
        }
    }

    /// True when the third ACK proves that the peer knows the keys.
    pub(super) fn is_proved_by(&self, ack: &TcpHeader) -> bool {
        let config = &self.config;
        let keys = SenderKeys {
            sender: config.remote_key,
            receiver: config.local_key,
        };
        ack.options.mptcp.iter().any(|option| match option {
            MptcpOption::JoinAck { hmac } => {
                keys.join(self.peer.nonce, config.nonce).verify_full(hmac)
            }
            _ => false,
        })
    }
}

/// What the handshake is for.
#[derive(Clone, Debug)]
pub(super) enum RequestKind {
    /// A connection of regular TCP.
    Plain {
        /// Who listens.
        listener: ListenerKey,
        /// Why it is not MPTCP.
        reason: FallbackReason,
    },
    /// A connection with MPTCP.
    Capable {
        /// Who listens.
        listener: ListenerKey,
        /// The key of this side.
        local_key: MptcpKey,
        /// What both sides ask for.
        config: CapableConfig,
    },
    /// A further subflow.
    Join(PendingJoin),
}

impl RequestKind {
    fn option(&self) -> Option<MptcpOption> {
        match self {
            Self::Plain { .. } => None,
            Self::Capable {
                local_key, config, ..
            } => Some(capable_syn_ack(*local_key, config)),
            Self::Join(join) => Some(join.option()),
        }
    }
}

/// The MP_CAPABLE of a SYN/ACK.
pub(super) fn capable_syn_ack(sender_key: MptcpKey, config: &CapableConfig) -> MptcpOption {
    MptcpOption::CapableSynAck {
        version: MPTCP_VERSION,
        flags: config.flags(),
        sender_key,
    }
}

/// A half-open connection.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) flow: FourTuple,
    pub(super) kind: RequestKind,
    pub(super) offer: SynOffer,
    pub(super) answer: SynAnswer,
    pub(super) iss: SequenceNumber,
    pub(super) timestamp_offset: u32,
    /// When the SYN/ACK went, while it has gone once only.
    pub(super) syn_ack_sent: Option<Instant>,
    /// SYN/ACKs sent on the timer's account.
    pub(super) repetitions: u8,
    pub(super) deadline: Deadline,
}

/// What a segment means to a half-open connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing: it is out of place.
    Ignore,
    /// The SYN came again: so does the SYN/ACK.
    Repeat,
    /// The peer gave up.
    Drop,
    /// Its acknowledgment is of something never sent: answer with a RST.
    Reset,
    /// The handshake is complete.
    Complete,
}

impl Request {
    /// The SYN/ACK, as it goes at `now`.
    pub(super) fn syn_ack(&self, now: Instant) -> TcpHeader {
        let timestamp = timestamp_clock(now, self.timestamp_offset);
        self.answer.syn_ack(
            &self.flow,
            &self.offer,
            self.iss,
            timestamp,
            self.kind.option(),
        )
    }

    /// How long to wait for the third ACK before the SYN/ACK goes again.
    pub(super) fn timeout(&self) -> Duration {
        INITIAL_TIMEOUT * (1 << self.repetitions.min(6))
    }

    /// Judges a segment of this flow (RFC 9293 section 3.10.7.4, state SYN-RECEIVED).
    pub(super) fn judge(&self, header: &TcpHeader) -> Verdict {
        let next = self.offer.irs + 1;
        let flags = header.flags;
        if flags.contains(TcpFlags::SYN) {
            let same = header.sequence == self.offer.irs && !flags.contains(TcpFlags::ACK);
            return if same {
                Verdict::Repeat
            } else {
                Verdict::Ignore
            };
        }
        if !header
            .sequence
            .is_within(next, next + self.answer.window.max(1))
        {
            return Verdict::Ignore;
        }
        if flags.contains(TcpFlags::RST) {
            // RFC 5961 section 3.2: exactly in sequence, or anyone could guess it.
            return if header.sequence == next {
                Verdict::Drop
            } else {
                Verdict::Ignore
            };
        }
        if !flags.contains(TcpFlags::ACK) {
            return Verdict::Ignore;
        }
        if header.acknowledgment == self.iss + 1 {
            Verdict::Complete
        } else {
            Verdict::Reset
        }
    }

    /// What both sides have agreed on, when the third ACK is here.
    pub(super) fn negotiated(&self, ack: &TcpHeader) -> Negotiated {
        let timestamp = ack.options.timestamps.map(|timestamps| timestamps.value);
        self.offer.negotiated(
            self.iss,
            self.timestamp_offset,
            timestamp,
            self.syn_ack_sent,
        )
    }
}
