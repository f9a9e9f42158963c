//! What each message of a subflow means for the connection.

use super::context::{ConnectionEvent, Context, SubflowHandle};
use super::send::{Acknowledged, Fin};
use super::subflow_view::Phase;
use super::{CloseEvent, Connection, Mode};
use crate::mptcp::message::{Doubt, Numbering, Progress, ToHome, ToSubflow};
use crate::sequence::DataSequenceNumber;
use crate::storage::frame::Frame;
use crate::wire::mptcp_option::{DataNumber, MptcpOption, ResetReason};
use core::ops::Range;

/// True for what a subflow can only say after it has heard the peer. Its shape changes by timeouts
/// too, so of reports only those of acknowledged bytes count.
fn is_heard_from_peer(message: &ToHome, before: &Progress) -> bool {
    match message {
        ToHome::Progress(progress) => progress.acknowledged > before.acknowledged,
        ToHome::Stalled | ToHome::Retained | ToHome::BadMapping | ToHome::Allowance { .. } => false,
        _ => true,
    }
}

/// Where received bytes belong.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Place {
    /// At this data sequence number.
    At(DataSequenceNumber),
    /// After all that is in order.
    Next,
}

impl Connection {
    pub(super) fn on_message(
        &mut self,
        from: SubflowHandle,
        message: ToHome,
        cx: &mut Context<'_>,
    ) {
        let Some(view) = self.view_mut(from) else {
            if let ToHome::Data { frame, .. } = message {
                cx.pool.put(frame);
            }
            return;
        };
        if is_heard_from_peer(&message, &view.progress) {
            if view.remarks().answer_due.is_some() {
                view.remarks_mut().answer_due = None;
            }
            view.heard_at = cx.now;
        }
        match message {
            ToHome::Established(establishment) => self.on_established(from, establishment, cx),
            ToHome::Confirmed => self.on_confirmed(cx),
            ToHome::FellBack { reason, next } => {
                self.on_subflow_fell_back(from, reason, next, cx);
            }
            ToHome::Data {
                data_sequence,
                numbering,
                frame,
                range,
                long,
            } => {
                self.published.long_data_ack |= long;
                let place = self.place_of(data_sequence, numbering);
                self.on_data(from, place, frame, range, cx);
            }
            ToHome::DataFin { data_sequence } => self.on_data_fin(from, data_sequence, cx),
            ToHome::DataAck { data_ack, window } => self.on_data_ack(data_ack, window, cx),
            ToHome::Progress(progress) => self.on_progress(from, progress, cx),
            ToHome::Allowance { wanted } => self.on_allowance(from, wanted, cx),
            ToHome::Option(option) => self.on_option(from, &option, cx),
            ToHome::ChecksumFailed { data_sequence } => {
                self.on_checksum_failed(from, data_sequence, cx);
            }
            ToHome::BadMapping => self.on_bad_mapping(from, cx),
            ToHome::Finished => self.on_subflow_finished(from, cx),
            ToHome::Stalled => self.on_stalled(from, cx),
            ToHome::Retained => {
                let remarks = view.remarks_mut();
                if let Some(until) = remarks.retain_asked.take() {
                    remarks.retained_until = until;
                }
                self.release_acknowledged(cx);
            }
            ToHome::Ended(end) => self.on_subflow_ended(from, end, cx),
        }
    }

    /// Where bytes belong. A connection that was regular TCP from the start never heard from where
    /// the peer's numbers count.
    fn place_of(&self, data_sequence: DataSequenceNumber, numbering: Numbering) -> Place {
        match self.mode {
            Mode::Fallback(_) if self.peer.is_none() || numbering == Numbering::Identity => {
                Place::Next
            }
            _ => Place::At(data_sequence),
        }
    }

    fn on_data(
        &mut self,
        from: SubflowHandle,
        place: Place,
        frame: Frame,
        range: Range<usize>,
        cx: &mut Context<'_>,
    ) {
        if self
            .view(from)
            .is_none_or(|view| view.phase == Phase::Reset)
        {
            // It may have numbered these bytes by a fallback that was refused.
            cx.pool.put(frame);
            return;
        }
        let data_sequence = match place {
            Place::At(data_sequence) => data_sequence,
            Place::Next => self.receive.data_ack(),
        };
        let length = range.len();
        let readable_before = self.receive.buffer.readable();
        if self.released || !self.state.can_receive() {
            cx.counters.beyond_window_bytes += length as u64;
            // A copy of what was read before is no news.
            let fresh = self.receive.is_fresh(data_sequence, length);
            let unwanted = fresh && self.released && self.state.can_receive();
            cx.pool.put(frame);
            if unwanted {
                // Nobody will ever read it: the peer must not believe otherwise (RFC 9293
                // section 3.6.1 and RFC 2525 section 2.17, at data level).
                self.abort_now(cx);
            }
            return;
        }
        if matches!(self.mode, Mode::Fallback(_)) && self.receive.is_ahead(data_sequence) {
            // What belongs before it was lost with another subflow, and will not come here.
            cx.pool.put(frame);
            cx.counters.fallback_refused += 1;
            self.reset_view(from, Some(ResetReason::MiddleboxInterference), cx);
            return;
        }
        self.receive
            .receive(data_sequence, frame, range, cx.pool, cx.counters);
        self.receive.last_received = Some(cx.now);
        let moved = self.published.data_ack != self.receive.data_ack();
        let distant = self.config.distant_subflows || from.worker() != self.worker;
        if moved && distant && matches!(self.mode, Mode::Multipath { .. }) {
            cx.out.send(from, ToSubflow::DataAckMoved);
        }
        if let Some(view) = self.view_mut(from) {
            view.bytes_received += length as u64;
            view.data_at = cx.now;
        }
        self.after_receive(from, cx);
        if readable_before == 0 && self.receive.buffer.readable() > 0 {
            cx.out.events.push_back(ConnectionEvent::Readable);
        }
        self.publish();
    }

    fn on_data_fin(
        &mut self,
        from: SubflowHandle,
        data_sequence: DataSequenceNumber,
        cx: &mut Context<'_>,
    ) {
        if matches!(self.mode, Mode::Fallback(_) | Mode::Opening) {
            return;
        }
        if !self.receive.note_fin(data_sequence) {
            cx.counters.bad_data_fin += 1;
            return;
        }
        self.after_receive(from, cx);
        self.publish();
        // Also a repeated one is answered: the answer to the first may have been lost.
        cx.out.send(from, ToSubflow::Acknowledge);
    }

    /// Takes the DATA_FIN if all before it has arrived.
    fn after_receive(&mut self, from: SubflowHandle, cx: &mut Context<'_>) {
        if self.receive.take_fin() {
            cx.out.send(from, ToSubflow::Acknowledge);
            self.on_peer_finished(cx);
        }
    }

    /// The peer's stream has ended.
    pub(super) fn on_peer_finished(&mut self, cx: &mut Context<'_>) {
        self.publish();
        if self.transition(CloseEvent::PeerFinished) {
            cx.out.events.push_back(ConnectionEvent::PeerFinished);
            cx.out.events.push_back(ConnectionEvent::Readable);
            self.close_subflows_if_finished(cx);
        }
    }

    fn on_data_ack(&mut self, data_ack: DataNumber, window: u32, cx: &mut Context<'_>) {
        if matches!(self.mode, Mode::Fallback(_) | Mode::Opening) {
            return;
        }
        match self.send.acknowledge(data_ack, window) {
            Acknowledged::Impossible => cx.counters.bad_data_ack += 1,
            Acknowledged::Nothing => {}
            Acknowledged::Data => self.after_acknowledgment(cx),
            Acknowledged::Fin => {
                self.after_acknowledgment(cx);
                self.on_fin_acknowledged(cx);
            }
        }
    }

    /// The peer has everything this side sent, and knows that it was all.
    pub(super) fn on_fin_acknowledged(&mut self, cx: &mut Context<'_>) {
        self.send.fin = Fin::Acknowledged;
        self.transition(CloseEvent::FinAcknowledged);
        self.close_subflows_if_finished(cx);
    }

    fn after_acknowledgment(&mut self, cx: &mut Context<'_>) {
        self.send.last_acknowledged = Some(cx.now);
        self.extend_close_deadline(cx.now);
        self.release_acknowledged(cx);
    }

    fn on_progress(&mut self, from: SubflowHandle, progress: Progress, cx: &mut Context<'_>) {
        let first_window = self.send.window_edge == 0;
        let fallback = matches!(self.mode, Mode::Fallback(_));
        let Some(view) = self.view_mut(from) else {
            return;
        };
        let advanced = progress.acknowledged > view.progress.acknowledged;
        let before = core::mem::replace(&mut view.progress, progress);
        view.ledger.acknowledge(progress.acknowledged);
        let answered = before.doubt == Doubt::Silent && progress.doubt < Doubt::Silent;
        let recovered = view.stalled && (advanced || answered);
        if recovered {
            view.stalled = false;
            cx.counters.subflow_recover += 1;
        }
        if fallback {
            // The subflow's stream is the connection's.
            let acknowledged = view.ledger.lowest().unwrap_or(self.send.data_nxt());
            self.send.advance_una(acknowledged);
            let edge = acknowledged.saturating_add(u64::from(progress.window));
            self.send.widen_window(edge);
            if advanced {
                self.extend_close_deadline(cx.now);
            }
        } else if first_window && view.phase == Phase::Ready {
            // Until the first DATA_ACK the window of the handshake stands for the data window.
            self.send.widen_window(u64::from(progress.window));
        }
        if advanced || recovered {
            self.release_acknowledged(cx);
        }
        self.repeat_losses(from, &before, cx);
        if progress.doubt > before.doubt {
            self.repeat_doubted(from, cx);
        }
        self.recompute_coupling(cx);
    }

    fn on_option(&mut self, from: SubflowHandle, option: &MptcpOption, cx: &mut Context<'_>) {
        if matches!(self.mode, Mode::Fallback(_) | Mode::Opening) {
            return;
        }
        match option {
            MptcpOption::AddAddress {
                address_id,
                address,
                port,
                hmac,
            } => self.on_add_address(from, *address_id, *address, *port, *hmac, cx),
            MptcpOption::RemoveAddress { address_ids } => self.on_remove_address(address_ids, cx),
            MptcpOption::Priority { backup } => {
                cx.counters.priority_received += 1;
                self.on_priority(from, *backup, cx);
            }
            MptcpOption::Fail { .. } => self.on_fail(from, cx),
            MptcpOption::Fastclose { receiver_key } => self.on_fastclose(*receiver_key, cx),
            // The rest concerns the subflow alone.
            _ => {}
        }
    }
}
