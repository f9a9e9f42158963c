//! How a connection ends: in order, fast, or for want of a path (RFC 8684 sections 3.3.3, 3.5
//! and 3.3.3's break before make).

use super::context::{ConnectionEvent, Context, Request, SubflowHandle};
use super::error::ConnectionError;
use super::send::Fin;
use super::subflow_view::Phase;
use super::{CloseEvent, Connection, DataState, FastcloseForm, Mode};
use crate::mptcp::message::{ResetOptions, SubflowEnd, ToSubflow};
use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::{Key, MptcpOption};

/// Repetitions of an MP_FASTCLOSE on an ACK before the subflow is reset with it.
const FASTCLOSE_RETRIES: u32 = 3;

/// An MP_FASTCLOSE that waits for the peer's RST.
#[derive(Copy, Clone, Debug)]
pub(super) struct Fastclose {
    on: SubflowHandle,
    retries: u32,
    pub(super) due: Instant,
    interval: Duration,
}

impl Connection {
    /// The application writes no more: the end of the stream follows what is written.
    pub fn shutdown_write(&mut self, cx: &mut Context<'_>) {
        if self.send.fin == Fin::Open && self.state.can_write() {
            self.send.fin = Fin::Wanted;
            // In Opening the transition follows the handshake.
            self.transition(CloseEvent::Shutdown);
            self.settle(cx);
        }
    }

    /// The application is done with the connection: what is written still goes out. Bytes that
    /// nobody has read, or that still come, make it an abort (RFC 2525 section 2.17).
    pub fn close(&mut self, cx: &mut Context<'_>) {
        if self.released {
            return;
        }
        self.released = true;
        if self.state == DataState::Opening || self.receive.buffer.readable() > 0 {
            self.abort_now(cx);
        } else {
            if !self.state.is_finished() {
                self.close_due = Some(cx.now + self.config.close_timeout);
            }
            self.shutdown_write(cx);
        }
        self.settle(cx);
    }

    /// The application wants the connection gone: MP_FASTCLOSE, or a RST where it is regular TCP.
    pub fn abort(&mut self, cx: &mut Context<'_>) {
        self.released = true;
        self.abort_now(cx);
        self.settle(cx);
    }

    pub(super) fn abort_now(&mut self, cx: &mut Context<'_>) {
        if self.state == DataState::Closed {
            return;
        }
        let option = self.peer.filter(|_| self.is_multipath()).map(|peer| {
            cx.counters.fastclose_sent += 1;
            MptcpOption::Fastclose {
                receiver_key: peer.key,
            }
        });
        let speaker = match self.config.fastclose {
            FastcloseForm::Reset => None,
            FastcloseForm::Acknowledgment => option.as_ref().and(self.best_view(None)),
        };
        if let (Some(on), Some(option)) = (speaker, option.clone()) {
            let interval = self.data_timeout();
            self.fastclose = Some(Box::new(Fastclose {
                on,
                retries: 0,
                due: cx.now + interval,
                interval,
            }));
            cx.out.send(on, ToSubflow::Signal(option));
        }
        let options: ResetOptions = option.filter(|_| speaker.is_none()).into_iter().collect();
        self.fail(ConnectionError::Aborted, cx);
        self.reset_all(&options, speaker, cx);
    }

    fn is_multipath(&self) -> bool {
        matches!(
            self.mode,
            Mode::Multipath { .. } | Mode::AwaitingEcho { .. }
        )
    }

    /// Resets every subflow but one.
    pub(super) fn reset_all(
        &mut self,
        options: &ResetOptions,
        but: Option<SubflowHandle>,
        cx: &mut Context<'_>,
    ) {
        for view in &mut self.views {
            if Some(view.handle) != but && view.phase != Phase::Reset {
                view.phase = Phase::Reset;
                let options = options.clone();
                cx.out.send(view.handle, ToSubflow::Reset { options });
            }
        }
    }

    /// Nothing more is sent or received, for this reason.
    pub(super) fn fail(&mut self, error: ConnectionError, cx: &mut Context<'_>) {
        if self.state == DataState::Closed {
            return;
        }
        let was_finished = self.state.is_finished();
        self.transition(CloseEvent::Aborted);
        self.send.timer = None;
        self.send.reinject.clear();
        self.join_due = None;
        self.close_due = None;
        self.paths.stop();
        if !was_finished {
            self.failure = Some(error);
            let events = &mut cx.out.events;
            events.push_back(ConnectionEvent::Closed(Err(error)));
        }
    }

    /// The peer closes fast (RFC 8684 section 3.5): all subflows are reset in answer.
    pub(super) fn on_fastclose(&mut self, receiver_key: Key, cx: &mut Context<'_>) {
        if receiver_key != self.local_key {
            cx.counters.fastclose_bad_key += 1;
            return;
        }
        cx.counters.fastclose_received += 1;
        self.fail(ConnectionError::Reset, cx);
        self.fastclose = None;
        self.reset_all(&ResetOptions::new(), None, cx);
    }

    /// The answer to an MP_FASTCLOSE is late.
    pub(super) fn repeat_fastclose(&mut self, cx: &mut Context<'_>) {
        let (Some(fastclose), Some(peer)) = (&mut self.fastclose, self.peer) else {
            return;
        };
        let option = MptcpOption::Fastclose {
            receiver_key: peer.key,
        };
        if fastclose.retries >= FASTCLOSE_RETRIES {
            self.fastclose = None;
            let options = ResetOptions::from_iter([option]);
            self.reset_all(&options, None, cx);
            return;
        }
        fastclose.retries += 1;
        fastclose.interval *= 2;
        fastclose.due = cx.now + fastclose.interval;
        cx.counters.fastclose_sent += 1;
        cx.out.send(fastclose.on, ToSubflow::Signal(option));
    }

    /// Both sides have finished: FIN on every subflow.
    pub(super) fn close_subflows_if_finished(&mut self, cx: &mut Context<'_>) {
        if self.state != DataState::TimeWait {
            return;
        }
        self.close_views(cx);
        self.paths.stop();
        self.join_due = None;
        self.send.timer = None;
        self.close_due = Some(cx.now + self.config.close_timeout);
        cx.out.events.push_back(ConnectionEvent::Closed(Ok(())));
    }

    /// Tells every subflow to send FIN after what it was granted; those in handshake are reset.
    pub(super) fn close_views(&mut self, cx: &mut Context<'_>) {
        for view in &mut self.views {
            match view.phase {
                Phase::Ready => {
                    view.phase = Phase::Closing;
                    cx.out.send(view.handle, ToSubflow::Close);
                }
                Phase::Handshake => {
                    view.phase = Phase::Reset;
                    let options = ResetOptions::new();
                    cx.out.send(view.handle, ToSubflow::Reset { options });
                }
                Phase::Closing | Phase::Reset => {}
            }
        }
    }

    /// The peer sends no more on a subflow.
    pub(super) fn on_subflow_finished(&mut self, from: SubflowHandle, cx: &mut Context<'_>) {
        let Some(view) = self.view_mut(from) else {
            return;
        };
        view.finished = true;
        if matches!(self.mode, Mode::Fallback(_)) {
            self.receive.finish_here();
            self.on_peer_finished(cx);
        } else if !self.fall_back_unheard(from, cx)
            && let Some(view) = self.view_mut(from)
            && view.phase == Phase::Ready
        {
            // The peer gives the subflow up, not the connection: follow it.
            view.phase = Phase::Closing;
            cx.out.send(from, ToSubflow::Close);
        }
    }

    /// A subflow is gone.
    pub(super) fn on_subflow_ended(
        &mut self,
        from: SubflowHandle,
        end: SubflowEnd,
        cx: &mut Context<'_>,
    ) {
        let Some(index) = self.views.iter().position(|view| view.handle == from) else {
            return;
        };
        self.reinject_ledger(from, cx);
        let view = self.views.remove(index);
        cx.out.events.push_back(ConnectionEvent::SubflowClosed {
            end,
            info: Box::new(view.info()),
        });
        self.path_ended(&view, end, cx.now);
        if self
            .fastclose
            .as_ref()
            .is_some_and(|fastclose| fastclose.on == from)
        {
            self.fastclose = None;
        }
        if self.state.is_finished() {
            return;
        }
        self.release_acknowledged(cx);
        self.recompute_coupling(cx);
        if self.config.fate_sharing && view.id == 0 && is_loss(end) && self.is_multipath() {
            self.fail_with_fastclose(failure_of(end, ConnectionError::Reset), cx);
            return;
        }
        match self.mode {
            Mode::Opening => self.fail(failure_of(end, ConnectionError::Reset), cx),
            Mode::Fallback(_) => self.on_only_subflow_ended(end, cx),
            Mode::Multipath { .. } | Mode::AwaitingEcho { .. } => {
                if self.views.is_empty() {
                    self.on_last_subflow_ended(end, cx);
                }
            }
        }
    }

    /// Ends the connection for `error` and tells the peer on every subflow that is left.
    fn fail_with_fastclose(&mut self, error: ConnectionError, cx: &mut Context<'_>) {
        let mut options = ResetOptions::new();
        if let Some(peer) = self.peer {
            cx.counters.fastclose_sent += 1;
            options.push(MptcpOption::Fastclose {
                receiver_key: peer.key,
            });
        }
        self.fail(error, cx);
        self.reset_all(&options, None, cx);
    }

    /// The subflow of a connection that is regular TCP is gone, and the connection with it.
    fn on_only_subflow_ended(&mut self, end: SubflowEnd, cx: &mut Context<'_>) {
        if end == SubflowEnd::Closed && self.receive.is_finished() {
            self.on_fin_acknowledged(cx);
        }
        if !self.state.is_finished() {
            self.fail(failure_of(end, ConnectionError::Reset), cx);
        }
    }

    /// The last subflow is gone and data or DATA_FIN is not: the peer may join again for a while.
    fn on_last_subflow_ended(&mut self, end: SubflowEnd, cx: &mut Context<'_>) {
        if let Mode::AwaitingEcho { .. } = self.mode {
            self.fail(failure_of(end, ConnectionError::Aborted), cx);
            return;
        }
        let only_fin = self.send.only_fin_outstanding();
        let waits_for_last_ack = matches!(self.state, DataState::LastAck | DataState::Closing);
        if end == SubflowEnd::Closed && only_fin && waits_for_last_ack {
            // The peer sent FIN after both DATA_FINs: the DATA_ACK that says so was lost.
            self.on_fin_acknowledged(cx);
            return;
        }
        // A join that came to nothing does not extend the wait.
        if self.join_due.is_none() {
            cx.counters.break_before_make += 1;
            self.join_due = Some(cx.now + self.config.break_before_make);
        }
    }

    /// What was sent was acknowledged: a closed connection lives on.
    pub(super) fn extend_close_deadline(&mut self, now: Instant) {
        if self.close_due.is_some() && !self.state.is_finished() {
            self.close_due = Some(now + self.config.close_timeout);
        }
    }

    /// The peer has not finished in time after the application closed, or the subflows have not
    /// ended after both had finished.
    pub(super) fn on_close_timeout(&mut self, cx: &mut Context<'_>) {
        self.close_due = None;
        if self.state == DataState::TimeWait {
            self.reset_all(&ResetOptions::new(), None, cx);
        } else {
            self.abort_now(cx);
        }
    }

    /// Leaves the stack once nothing is left to do.
    pub(super) fn finish_if_done(&mut self, cx: &mut Context<'_>) {
        if !self.views.is_empty() {
            return;
        }
        if self.state == DataState::TimeWait {
            self.transition(CloseEvent::SubflowsEnded);
            self.close_due = None;
        }
        if self.state == DataState::Closed && self.released && !self.gone {
            self.gone = true;
            cx.out.requests.push_back(Request::Gone);
        }
    }
}

/// True for an end that neither side wanted.
const fn is_loss(end: SubflowEnd) -> bool {
    matches!(
        end,
        SubflowEnd::TimedOut | SubflowEnd::Unreachable | SubflowEnd::ResetByPeer { .. }
    )
}

/// What the end of the only subflow is to the application.
fn failure_of(end: SubflowEnd, here: ConnectionError) -> ConnectionError {
    match end {
        SubflowEnd::Refused => ConnectionError::Refused,
        SubflowEnd::TimedOut => ConnectionError::TimedOut,
        SubflowEnd::Unreachable => ConnectionError::Unreachable,
        SubflowEnd::ResetByPeer { .. } => ConnectionError::Reset,
        SubflowEnd::Closed | SubflowEnd::ResetHere(_) => here,
    }
}
