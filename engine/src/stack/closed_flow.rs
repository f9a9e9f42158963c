//! Segments of flows in TIME-WAIT (RFC 9293 section 3.10.7.4, RFC 6191).

use super::Stack;
use super::flow::Flow;
use super::receive::ReceivedSegment;
use super::time_wait::TimeWaitKey;
use crate::storage::flow_table::FourTuple;
use crate::storage::frame::Frame;
use crate::tcp::TimeWaitRecord;
use crate::tcp::time_wait::Reply;
use crate::time::Instant;

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
            if oldest.is_some() {
                self.counters.time_wait_overflow += 1;
            }
            self.forget_time_wait(oldest);
        }
        let key = self.time_wait.insert(now, flow, record);
        if self.flows.insert(flow, Flow::TimeWait(key)).is_err() {
            self.time_wait.remove(key);
        }
    }

    fn forget_time_wait(&mut self, flow: Option<FourTuple>) {
        if let Some(flow) = flow
            && matches!(self.flows.get(&flow), Some(Flow::TimeWait(_)))
        {
            self.flows.remove(&flow);
        }
    }

    /// Forgets the flows whose time is over.
    pub(super) fn expire_time_wait(&mut self, now: Instant) {
        while let Some(expired) = self.time_wait.expire(now) {
            self.forget_time_wait(expired);
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
        match record.on_segment(now, &segment.header) {
            Reply::None => {}
            Reply::Ack(header) => self.send_segment(segment.port, &segment.flow, header),
            Reply::Restart(header) => {
                self.send_segment(segment.port, &segment.flow, header);
                if let Some(record) = self.time_wait.remove(key) {
                    self.flows.remove(&segment.flow);
                    self.enter_time_wait(now, segment.flow, record);
                    self.counters.time_waits -= 1;
                }
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
}
