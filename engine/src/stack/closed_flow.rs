//! Segments of flows in TIME-WAIT (RFC 9293 section 3.10.7.4, RFC 6191).

use super::Stack;
use super::flow::Flow;
use super::receive::ReceivedSegment;
use super::time_wait::{Expired, TimeWaitKey};
use crate::storage::flow_table::FourTuple;
use crate::storage::frame::Frame;
use crate::tcp::TimeWaitRecord;
use crate::tcp::time_wait::Reply;
use crate::time::Instant;
use crate::wire::tcp::TcpHeader;

impl Stack {
    /// Remembers a closed flow.
    pub(super) fn enter_time_wait(
        &mut self,
        now: Instant,
        flow: FourTuple,
        record: TimeWaitRecord,
    ) {
        self.counters.time_waits += 1;
        while let Some(oldest) = self.time_wait.make_room() {
            if oldest != Expired::Dead {
                self.counters.time_wait_overflow += 1;
            }
            self.follow_expiry(oldest);
        }
        let key = self.time_wait.insert(now, flow, record);
        if self.flows.insert(flow, Flow::TimeWait(key)).is_err() {
            self.time_wait.remove(key);
        }
    }

    fn follow_expiry(&mut self, expired: Expired) {
        match expired {
            Expired::Dead => {}
            Expired::Flow(flow) => {
                if matches!(self.flows.get(&flow), Some(Flow::TimeWait(_))) {
                    self.flows.remove(&flow);
                }
            }
            Expired::Renamed(flow, key) => {
                if let Some(found) = self.flows.get_mut(&flow) {
                    *found = Flow::TimeWait(key);
                }
            }
        }
    }

    /// Forgets the flows whose time is over.
    pub(super) fn expire_time_wait(&mut self, now: Instant) {
        while let Some(expired) = self.time_wait.expire(now) {
            self.follow_expiry(expired);
        }
    }

    pub(super) fn receive_in_time_wait(
        &mut self,
        now: Instant,
        key: TimeWaitKey,
        segment: ReceivedSegment,
    ) -> Option<Frame> {
        let Some(record) = self.time_wait.get(key) else {
            return Some(segment.payload.frame);
        };
        let record = *record;
        match record.on_segment(now, &segment.header) {
            Reply::None => {}
            Reply::Ack(header) => self.answer_in_time_wait(now, key, &segment, header),
            Reply::Restart(header) => {
                self.send_segment(segment.port, &segment.flow, header);
                self.time_wait.restart(key);
            }
            // Only a SYN that somebody takes may end TIME-WAIT.
            Reply::AllowReopen(_) if !self.has_taker(&segment) => {
                let header = record.acknowledgment(now);
                self.answer_in_time_wait(now, key, &segment, header);
            }
            Reply::AllowReopen(floor) => {
                self.time_wait.remove(key);
                self.flows.remove(&segment.flow);
                self.counters.time_wait_reopened += 1;
                self.receive_syn(now, &segment, Some(floor));
            }
        }
        Some(segment.payload.frame)
    }

    fn answer_in_time_wait(
        &mut self,
        now: Instant,
        key: TimeWaitKey,
        segment: &ReceivedSegment,
        header: TcpHeader,
    ) {
        if self.time_wait.may_answer(now, key) {
            self.send_segment(segment.port, &segment.flow, header);
        } else {
            self.counters.time_wait_answers_limited += 1;
        }
    }
}
