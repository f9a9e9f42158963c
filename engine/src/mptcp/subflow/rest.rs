//! What is left of a subflow while nothing happens on it.

use super::allowance::Allowance;
use super::handshake::Handshake;
use super::inflow::{Inflow, RestingInflow};
use super::outflow::{Outflow, RestingOutflow};
use super::phase::Phase;
use super::signals::Signals;
use super::timers::JoinAckTimer;
use super::unanswered::Unanswered;
use super::{Fin, Subflow};
use crate::mptcp::message::{Progress, ResetOptions};
use crate::storage::interned::Interned;
use crate::tcp::{RestingTcb, TcbConfig};
use crate::time::Instant;

/// What of a subflow is counted, and is zero on most.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
struct Counts {
    dropped_signals: u64,
    dropped_mappings: u64,
}

/// A subflow that is ready for data and has none under way: a fifth of the memory of a [`Subflow`].
#[derive(Debug)]
pub struct RestingSubflow {
    tcp: RestingTcb,
    handshake: Handshake,
    inflow: RestingInflow,
    outflow: RestingOutflow,
    counts: Option<Box<Counts>>,
    phase: Phase,
    timestamps: bool,
    long_data_ack: bool,
    third_ack_sent: bool,
    home_ready: bool,
}

impl Subflow {
    /// The subflow at rest; `None` while something is under way. To be asked for once nothing has happened
    /// for a while.
    pub fn rest(&self, now: Instant, configs: &mut Interned<TcbConfig>) -> Option<RestingSubflow> {
        let at_rest = matches!(
            self.phase,
            Phase::Unconfirmed(_) | Phase::Confirmed(_) | Phase::Plain(_)
        ) && self.established
            && !self.ended
            && self.fin == Fin::Awaited
            && !self.closing
            && self.join_ack == JoinAckTimer::default()
            && !self.awaits_answer()
            && self.reset_options.is_empty()
            && self.peer_reset.is_none()
            && self.allowance.is_at_rest();
        if !at_rest {
            return None;
        }
        let counts = Counts {
            dropped_signals: self.signals.rest()?,
            dropped_mappings: self.inflow.dropped,
        };
        Some(RestingSubflow {
            handshake: self.handshake.clone(),
            inflow: self.inflow.rest()?,
            outflow: self.outflow.rest()?,
            counts: (counts != Counts::default()).then(|| Box::new(counts)),
            phase: self.phase,
            timestamps: self.timestamps,
            long_data_ack: self.long_data_ack,
            third_ack_sent: self.third_ack_sent,
            home_ready: self.home_ready,
            tcp: self.tcp.rest(now, configs)?,
        })
    }
}

impl Subflow {
    /// What a DATA_FIN is answered with may yet tell that options do not pass: where they did, or data was
    /// sent, that is known.
    fn awaits_answer(&self) -> bool {
        matches!(self.phase, Phase::Unconfirmed(_))
            && self.tcp.sent_offset() == 0
            && self.unanswered != Unanswered::default()
    }
}

impl RestingSubflow {
    /// The subflow as it was. Its share of the allowance it is told before it takes a segment. Its shape, and what the peer said last of its window, are told to home once more.
    pub fn wake(&self) -> Subflow {
        let counts = self.counts.as_deref().copied().unwrap_or_default();
        let mut inflow = Inflow::from(&self.inflow);
        inflow.dropped = counts.dropped_mappings;
        Subflow {
            tcp: self.tcp.wake(),
            phase: self.phase,
            handshake: self.handshake.clone(),
            established: true,
            ended: false,
            timestamps: self.timestamps,
            long_data_ack: self.long_data_ack,
            third_ack_sent: self.third_ack_sent,
            home_ready: self.home_ready,
            fin: Fin::Awaited,
            closing: false,
            inflow,
            allowance: Allowance::default(),
            outflow: Outflow::from(&self.outflow),
            signals: Signals::after(counts.dropped_signals),
            join_ack: JoinAckTimer::default(),
            unanswered: Unanswered::default(),
            reset_options: ResetOptions::new(),
            peer_reset: None,
            reported: Progress::default(),
            reported_data_ack: None,
        }
    }
}
