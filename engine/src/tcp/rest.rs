//! What is left of a TCP connection while nothing happens on it.
//!
//! Most connections of a host are idle most of the time. What a [`Tcb`] holds for segments under way (what
//! was sent, what came out of order, how losses are found) is empty then, and much of the rest follows
//! from what it does not need to hold twice. So it is packed into a fifth of its memory, and is
//! made anew when something happens.

use super::acknowledgment::{AckPolicy, RestingAckPolicy};
use super::challenge::ChallengeLimit;
use super::config::TcbConfig;
use super::ecn::Ecn;
use super::keepalive::KeepaliveState;
use super::path_mtu::RestingPathMtu;
use super::rack::RestingRack;
use super::receive_queue::ReceiveQueue;
use super::recovery::Recovery;
use super::rtt::RestingRoundTrip;
use super::scoreboard::Scoreboard;
use super::send_sequence::RestingSendSequence;
use super::space::SequenceSpace;
use super::state::State;
use super::tcb::{Due, Handshake, Persist, ReceiveSequence, Tcb};
use super::timestamp::TimestampState;
use super::window::ReceiveWindow;
use crate::congestion::RestingController;
use crate::storage::interned::Interned;
use crate::time::Instant;
use std::sync::Arc;

/// What of a connection is counted, and is zero on most.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
struct Counts {
    retransmissions: u64,
    suppressed_challenges: u64,
    dropped: u64,
}

/// An established [`Tcb`] with nothing under way in either direction and nothing to wait for but the peer.
///
/// The undo of a loss recovery that is over is given up: the late DSACK that it waits for
/// has had its time. So has the one that would tell a tail loss probe from a repair: whether there was a loss
/// is not asked any more, as after such a pause the congestion window begins anew (RFC 5681 section 4.1).
#[derive(Debug)]
pub struct RestingTcb {
    config: Arc<TcbConfig>,
    send: RestingSendSequence,
    receive_space: SequenceSpace,
    receive_next: u64,
    /// Bytes that no segment has told yet, as none called for it.
    unacknowledged: u32,
    receive_window: ReceiveWindow,
    timestamps: Option<TimestampState>,
    timestamp_offset: u32,
    rack: RestingRack,
    rtt: RestingRoundTrip,
    controller: RestingController,
    counts: Option<Box<Counts>>,
    path_mtu: RestingPathMtu,
    heard_at: Instant,
    acknowledgment: RestingAckPolicy,
    mptcp_option_length: u16,
    send_scale: Option<u8>,
    handshake_attempts: u8,
    opened_actively: bool,
    sack: bool,
    ecn: bool,
}

impl Tcb {
    /// The connection at rest; `None` while something is under way. To be asked for once nothing has
    /// happened for a while.
    pub fn rest(&self, now: Instant, configs: &mut Interned<TcbConfig>) -> Option<RestingTcb> {
        let receive = self.receive.as_ref()?;
        let at_rest = self.state == State::Established
            && self.end.is_none()
            && self.due == Due::default()
            && !self.handshake.due
            && receive.fin.is_none()
            && self.scoreboard.is_empty()
            && self.recovery.is_at_rest()
            && self.persist.probes == 0
            && self.persist.unanswered == 0
            && self.keepalive.unanswered() == 0
            && self.queue.is_at_rest()
            && self.ecn.is_at_rest()
            && self.challenge.is_full(now);
        if !at_rest {
            return None;
        }
        let counts = Counts {
            retransmissions: self.recovery.retransmissions,
            suppressed_challenges: self.challenge.suppressed(),
            dropped: self.queue.dropped(),
        };
        Some(RestingTcb {
            send: self.send.rest()?,
            receive_space: receive.space,
            receive_next: receive.nxt,
            unacknowledged: u32::try_from(receive.nxt - receive.acknowledged).ok()?,
            receive_window: receive.window,
            timestamps: self.timestamps,
            timestamp_offset: self.timestamp_offset,
            rack: self.rack.rest()?,
            rtt: self.rtt.rest(),
            controller: self.controller.rest(),
            counts: (counts != Counts::default()).then(|| Box::new(counts)),
            path_mtu: self.path_mtu.rest(),
            heard_at: self.keepalive.heard_at(),
            acknowledgment: self.acknowledgment.rest()?,
            mptcp_option_length: self.mptcp_option_length,
            send_scale: self.send_scale,
            handshake_attempts: self.handshake.attempts,
            opened_actively: self.handshake.active,
            sack: self.sack,
            ecn: self.ecn.is_negotiated(),
            config: configs.share(&self.config),
        })
    }
}

impl RestingTcb {
    /// The connection as it was, but for what received data may take in memory: that is the caller's to
    /// say.
    pub fn wake(&self) -> Tcb {
        let send = self.send.wake();
        let counts = self.counts.as_deref().copied().unwrap_or_default();
        Tcb {
            config: (*self.config).clone(),
            state: State::Established,
            end: None,
            clock: self.heard_at.max(send.activity_at),
            handshake: Handshake {
                due: false,
                attempts: self.handshake_attempts,
                active: self.opened_actively,
                sent_at: self.heard_at,
            },
            receive: Some(ReceiveSequence {
                space: self.receive_space,
                nxt: self.receive_next,
                acknowledged: self.receive_next - u64::from(self.unacknowledged),
                window: self.receive_window,
                fin: None,
            }),
            queue: ReceiveQueue::after(counts.dropped),
            timestamp_offset: self.timestamp_offset,
            timestamps: self.timestamps,
            send_scale: self.send_scale,
            sack: self.sack,
            ecn: Ecn::new(self.ecn),
            scoreboard: Scoreboard::default(),
            recovery: Recovery::after(counts.retransmissions),
            rack: self.rack.wake(send.una),
            rtt: self.rtt.wake(),
            controller: self.controller.wake(),
            acknowledgment: AckPolicy::woken(&self.acknowledgment, self.config.delayed_ack),
            challenge: ChallengeLimit::woken(self.heard_at, counts.suppressed_challenges),
            path_mtu: self.path_mtu.wake(),
            keepalive: KeepaliveState::new(self.heard_at),
            persist: Persist {
                from: self.heard_at,
                probes: 0,
                unanswered: 0,
            },
            due: Due::default(),
            mptcp_option_length: self.mptcp_option_length,
            send,
        }
    }
}
