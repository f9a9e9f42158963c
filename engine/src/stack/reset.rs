//! Answers to segments that no subflow takes care of (RFC 9293 section 3.10.7.1).

use super::Stack;
use super::batch::PortId;
use super::control::{Content, Packet};
use super::receive::ReceivedSegment;
use super::route::Constraint;
use crate::sequence::SequenceNumber;
use crate::storage::flow_table::FourTuple;
use crate::time::Instant;
use crate::wire::mptcp_option::{MptcpOption, ResetReason};
use crate::wire::tcp::{TcpFlags, TcpHeader};

/// The RST that answers `segment`; `None` when it is one itself.
fn reset_for(segment: &ReceivedSegment, reason: Option<ResetReason>) -> Option<TcpHeader> {
    let received = &segment.header;
    if received.flags.contains(TcpFlags::RST) {
        return None;
    }
    let mut header = if received.flags.contains(TcpFlags::ACK) {
        TcpHeader {
            sequence: received.acknowledgment,
            flags: TcpFlags::RST,
            ..TcpHeader::default()
        }
    } else {
        TcpHeader {
            sequence: SequenceNumber(0),
            acknowledgment: received.sequence + segment.sequence_length(),
            flags: TcpFlags::RST | TcpFlags::ACK,
            ..TcpHeader::default()
        }
    };
    let reason = reason.map(|reason| MptcpOption::Reset {
        transient: false,
        reason,
    });
    header.options.mptcp.extend(reason);
    Some(header)
}

impl Stack {
    /// Answers a segment with a RST, as often as the rate limit admits.
    pub(super) fn send_reset(
        &mut self,
        now: Instant,
        segment: &ReceivedSegment,
        reason: Option<ResetReason>,
    ) {
        let Some(header) = reset_for(segment, reason) else {
            return;
        };
        if !self.reset_limit.admit(now) {
            self.counters.resets_limited += 1;
            return;
        }
        self.counters.resets_sent += 1;
        self.send_segment(segment.port, &segment.flow, header);
    }

    /// Queues a segment without data from `flow.local` to `flow.remote`.
    pub(super) fn send_segment(&mut self, port: PortId, flow: &FourTuple, mut header: TcpHeader) {
        header.source_port = flow.local.port();
        header.destination_port = flow.remote.port();
        let constraint = Constraint {
            source: Some(flow.local.ip()),
            port: Some(port),
        };
        let destination = flow.remote.ip();
        let Some(path) = self
            .routes
            .lookup(&self.interfaces, destination, constraint)
        else {
            return;
        };
        let content = Content::Segment(header);
        self.send_control(Packet::Routed {
            path,
            destination,
            content,
        });
    }

    /// Queues a packet of the stack's own.
    pub(super) fn send_control(&mut self, packet: Packet) {
        if let Some(packet) = self.control.push(packet) {
            self.counters.control_queue_full += 1;
            self.discard(packet);
        }
    }

    /// Takes back what a packet held.
    pub(super) fn discard(&mut self, packet: Packet) {
        if let Packet::Routed {
            content: Content::EchoReply { frame, .. },
            ..
        } = packet
        {
            self.pool.put(frame);
        }
    }
}
