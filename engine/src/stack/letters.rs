//! Letters in and out: what this worker's stack says to those of the other workers, and what it does
//! about theirs.

use super::Stack;
use super::batch::{PortId, ReceiveMeta, TransmitMeta};
use super::connection::ConnectionKey;
use super::letter::{Content, Letter};
use super::neighbor::Told;
use super::outboxes::Outboxes;
use super::progress_letter::halves;
use super::steering::WorkerId;
use super::subflow::{ConnectionAddress, SubflowAddress, SubflowKey};
use crate::mptcp::message::{ResetOptions, ToHome, ToSubflow};
use crate::sequence::DataSequenceNumber;
use crate::storage::frame::Frame;
use crate::time::Instant;
use crate::wire::ethernet::MacAddress;
use core::net::IpAddr;

impl Stack {
    /// The next letter to a worker; `None` when there is none. After every call of the stack all are
    /// to be carried, in this order, as far as there is room: see [`Self::refuse_letter`].
    pub fn poll_letter(&mut self, to: WorkerId) -> Option<Letter> {
        self.outboxes.pop(to)
    }

    /// Takes back the letter last polled, for there is no room for it now. It is the next again.
    /// Until all letters to that worker are carried, segments with data for its connections are
    /// dropped before they are acknowledged.
    pub fn refuse_letter(&mut self, to: WorkerId, letter: Letter) {
        self.counters.letters_refused += 1;
        self.outboxes.refuse(to, letter);
    }

    /// How many letters wait to be carried to a worker.
    pub fn letters_waiting(&self, to: WorkerId) -> usize {
        self.outboxes.waiting(to)
    }

    /// Takes a letter of another worker, and everything that follows from it.
    pub fn deliver(&mut self, now: Instant, letter: Letter) {
        self.take_letter(now, letter);
        self.deliver_messages(now);
    }

    fn take_letter(&mut self, now: Instant, letter: Letter) {
        match letter.0 {
            Content::Data {
                connection,
                subflow,
                data_sequence,
                numbering,
                frame,
                long,
            } => {
                let data = ToHome::Data {
                    data_sequence,
                    numbering,
                    range: 0..frame.bytes().len(),
                    frame,
                    long,
                };
                self.deliver_up(now, connection, subflow, data);
            }
            Content::DataAck {
                connection,
                subflow,
                data_ack,
                window,
            } => {
                let data_ack = ToHome::DataAck { data_ack, window };
                self.deliver_up(now, connection, subflow, data_ack);
            }
            Content::Course { from, course } => {
                if let Some(heard) = self.courses.get_mut(from.index()) {
                    *heard = course;
                }
            }
            Content::Progress {
                connection,
                subflow,
                load,
            } => {
                let course = self.courses.get(subflow.worker.index()).copied();
                let progress = load.joined(course.unwrap_or_default());
                self.deliver_up(now, connection, subflow, ToHome::Progress(progress));
            }
            Content::Up {
                connection,
                subflow,
                message,
            } => self.deliver_up(now, connection, subflow, *message),
            Content::Down { subflow, order } => self.deliver_down(now, subflow, order.into()),
            Content::Bytes { subflow, frame } => self.take_bytes(subflow, frame),
            Content::Join(letter) => self.take_join_letter(now, *letter),
            Content::Received { frame, meta } => self.receive_handed(now, frame, meta),
            Content::Transmit { port, frame, meta } => {
                self.relay.take(port, frame, meta, &mut self.pool);
            }
            Content::Recycle(frame) => self.pool.put(frame),
            Content::Neighbor {
                port,
                address,
                mac,
                told,
            } => self.hear_of_neighbor(now, port, address, mac, told),
        }
    }

    /// A subflow of this stack tells something to its home on another worker.
    pub(super) fn tell_home(
        outboxes: &mut Outboxes,
        home: ConnectionAddress,
        subflow: SubflowAddress,
        message: ToHome,
    ) {
        let ConnectionAddress {
            worker,
            key: connection,
        } = home;
        let content = match message {
            ToHome::Data {
                data_sequence,
                numbering,
                mut frame,
                range,
                long,
            } => {
                frame.narrow(range);
                Content::Data {
                    connection,
                    subflow,
                    data_sequence,
                    numbering,
                    frame,
                    long,
                }
            }
            ToHome::DataAck { data_ack, window } => Content::DataAck {
                connection,
                subflow,
                data_ack,
                window,
            },
            ToHome::Progress(progress) => {
                let (course, load) = halves(&progress);
                let from = subflow.worker;
                outboxes.push(worker, Letter(Content::Course { from, course }));
                Content::Progress {
                    connection,
                    subflow,
                    load,
                }
            }
            other => Content::Up {
                connection,
                subflow,
                message: Box::new(other),
            },
        };
        outboxes.push(worker, Letter(content));
    }

    /// The bytes of a grant come before it.
    fn take_bytes(&mut self, subflow: SubflowKey, frame: Frame) {
        if let Some(slot) = self.subflows.get_mut(subflow) {
            slot.subflow.awake().carry(frame.bytes());
        }
        self.pool.put(frame);
    }

    /// Home tells something to a subflow on another worker. What it grants goes with its bytes, so
    /// that nobody but home ever reads its send buffer.
    pub(super) fn tell_subflow(
        &mut self,
        connection: ConnectionKey,
        subflow: SubflowAddress,
        mut message: ToSubflow,
    ) {
        let SubflowAddress { worker, key } = subflow;
        if let ToSubflow::Grant(grant) = message
            && !self.send_bytes(connection, subflow, grant.data_sequence, grant.length)
        {
            // The stream has a hole that nobody can fill.
            self.counters.payload_missing += 1;
            message = ToSubflow::Reset {
                options: ResetOptions::new(),
            };
        }
        let down = Content::Down {
            subflow: key,
            order: message.into(),
        };
        self.outboxes.push(worker, Letter(down));
    }

    /// Sends bytes of the send buffer to a subflow on another worker; false when they are not held.
    fn send_bytes(
        &mut self,
        connection: ConnectionKey,
        subflow: SubflowAddress,
        data_sequence: DataSequenceNumber,
        length: u16,
    ) -> bool {
        let Some(slot) = self.connections.get(connection) else {
            return false;
        };
        let length = usize::from(length);
        let mut bytes = slot.connection.send_pieces(data_sequence, length);
        if bytes.len() != length {
            return false;
        }
        let capacity = self.pool.frame_capacity().max(1);
        while !bytes.is_empty() {
            let mut frame = self.pool.take();
            frame.set_filled(0..bytes.len().min(capacity));
            bytes.copy_to(frame.bytes_mut());
            let bytes = Content::Bytes {
                subflow: subflow.key,
                frame,
            };
            self.outboxes.push(subflow.worker, Letter(bytes));
        }
        true
    }

    /// Hands a received frame over to the worker that its flow belongs to.
    pub(super) fn hand_over(&mut self, to: WorkerId, frame: Frame, meta: ReceiveMeta) {
        if self.outboxes.is_full(to) {
            // As a full queue of a port does.
            self.counters.steered_dropped += 1;
            return self.pool.put(frame);
        }
        self.counters.steered_frames += 1;
        let received = Content::Received { frame, meta };
        self.outboxes.push(to, Letter(received));
    }

    /// Tells the other workers what a neighbour said. It is no harm when that is lost: they ask.
    pub(super) fn spread_neighbor(
        &mut self,
        port: PortId,
        address: IpAddr,
        mac: MacAddress,
        told: Told,
    ) {
        for worker in self.config.place.others() {
            if !self.outboxes.is_full(worker) && !self.outboxes.is_lost(worker) {
                let neighbor = Content::Neighbor {
                    port,
                    address,
                    mac,
                    told,
                };
                self.outboxes.push(worker, Letter(neighbor));
            }
        }
    }

    /// Sends frames of other workers' pools back to where they belong.
    pub(super) fn return_strangers(&mut self) {
        while let Some((origin, frame)) = self.pool.take_stranger() {
            let worker = WorkerId::new(origin.0);
            self.outboxes.push(worker, Letter(Content::Recycle(frame)));
        }
    }

    /// A message from a subflow to the connection that this stack is home to.
    pub(super) fn deliver_up(
        &mut self,
        now: Instant,
        connection: ConnectionKey,
        subflow: SubflowAddress,
        message: ToHome,
    ) {
        if !self.connections.contains(connection) {
            if let ToHome::Data { frame, .. } = message {
                self.pool.put(frame);
            }
            return;
        }
        self.with_connection(now, connection, |connection, context| {
            connection.deliver(subflow.handle(), message, context);
        });
        self.discard_received(now, connection);
    }

    /// States which worker drives a port that not every worker has a queue of: frames of the others
    /// are handed to that one, and leave with its next [`Self::transmit`].
    pub fn set_port_worker(&mut self, port: PortId, worker: WorkerId) {
        let own = self.config.place.worker();
        self.relay
            .set_worker(port, (worker != own).then_some(worker));
    }

    pub(super) fn relay_frame(
        &mut self,
        to: WorkerId,
        port: PortId,
        frame: Frame,
        meta: TransmitMeta,
    ) {
        let transmit = Content::Transmit { port, frame, meta };
        self.outboxes.push(to, Letter(transmit));
    }
}
