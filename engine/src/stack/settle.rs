//! What follows a call of a subflow or a connection: messages are carried, requests fulfilled,
//! timers set, the ended removed.

use super::Stack;
use super::connection::{Buffered, Carried, ConnectionId, ConnectionKey};
use super::event::Event;
use super::mailbox::Note;
use super::subflow::{Home, SubflowAddress, SubflowKey};
use super::timer::Timer;
use crate::mptcp::connection::{Connection, ConnectionEvent, Context, Request};
use crate::mptcp::message::{ToHome, ToSubflow};
use crate::mptcp::subflow::Outbox;
use crate::socket::SocketError;
use crate::tcp::End;
use crate::time::Instant;

impl Stack {
    /// Delivers every message that has arrived, and those that these cause.
    pub(super) fn deliver_messages(&mut self, now: Instant) {
        while let Some(note) = self.mailbox.take(now) {
            match note {
                Note::Up {
                    connection,
                    subflow,
                    message,
                } => self.deliver_up(now, connection, self.address(subflow), message),
                Note::Down { subflow, message } => self.deliver_down(now, subflow, message),
            }
        }
        if !self.config.place.is_alone() {
            self.return_strangers();
        }
    }

    /// A message from home to a subflow of this stack.
    pub(super) fn deliver_down(&mut self, now: Instant, subflow: SubflowKey, message: ToSubflow) {
        let Some(slot) = self.subflows.get_mut(subflow) else {
            return;
        };
        let (pool, out) = (&mut self.pool, &mut self.from_subflow);
        match &slot.home {
            Home::Here(key) => {
                let Some(home) = self.connections.get(*key) else {
                    return;
                };
                let source = Buffered(&home.connection);
                let subflow = slot.subflow.awake();
                subflow.deliver(now, message, &source, pool, out);
            }
            Home::Elsewhere(_) => {
                let subflow = slot.subflow.awake();
                subflow.deliver(now, message, &Carried, pool, out);
            }
        }
        self.after_subflow(now, subflow);
    }

    /// The name that connections know a subflow of this stack by.
    pub(super) fn address(&self, key: SubflowKey) -> SubflowAddress {
        SubflowAddress {
            worker: self.config.place.worker(),
            key,
        }
    }

    /// Calls a connection and carries out what it asks for. `None` when it is gone.
    pub(super) fn with_connection<R>(
        &mut self,
        now: Instant,
        key: ConnectionKey,
        call: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> Option<R> {
        self.with_connection_and_messages(now, key, |connection, _, context| {
            call(connection, context)
        })
    }

    /// As [`Self::with_connection`], beside what a subflow has just said.
    fn with_connection_and_messages<R>(
        &mut self,
        now: Instant,
        key: ConnectionKey,
        call: impl FnOnce(&mut Connection, &mut Outbox<ToHome>, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let slot = self.connections.get_mut(key)?;
        let endpoints = if slot.single_path {
            &self.no_endpoints
        } else {
            &self.endpoints
        };
        let mut context = Context {
            now,
            endpoints,
            pool: &mut self.pool,
            counters: &mut self.mptcp_counters,
            out: &mut self.outbox,
        };
        let result = call(&mut slot.connection, &mut self.from_subflow, &mut context);
        self.after_connection(now, key);
        Some(result)
    }

    /// Has the home of a subflow hear at once, and as one, what that has to say, where nothing it
    /// said before can be under way.
    pub(super) fn tell_home_here(&mut self, now: Instant, subflow: SubflowKey) {
        if self.from_subflow.is_empty() || self.mailbox.delays() {
            return;
        }
        let Some(slot) = self.subflows.get(subflow) else {
            return;
        };
        let Home::Here(connection) = slot.home else {
            return;
        };
        let from = self.address(subflow).handle();
        let heard =
            self.with_connection_and_messages(now, connection, |home, messages, context| {
                home.deliver_all(from, messages.drain(), context);
            });
        if heard.is_some() {
            self.discard_received(now, connection);
        }
    }

    /// Carries out what the connection put into the outbox, and sets its timer.
    fn after_connection(&mut self, now: Instant, connection: ConnectionKey) {
        let own = self.config.place.worker();
        while let Some((to, message)) = self.outbox.messages.pop_front() {
            let to = SubflowAddress::of(to);
            if to.worker == own {
                let subflow = to.key;
                self.mailbox.post(now, Note::Down { subflow, message });
            } else {
                self.tell_subflow(connection, to, message);
            }
        }
        while let Some(event) = self.outbox.events.pop_front() {
            self.report(connection, &event);
        }
        let mut gone = false;
        while let Some(request) = self.outbox.requests.pop_front() {
            match request {
                Request::OpenSubflow(open) => self.open_subflow(now, connection, &open),
                Request::Gone => gone = true,
            }
        }
        if gone {
            self.forget_connection(connection);
        } else if let Some(slot) = self.connections.get_mut(connection) {
            slot.refresh_block();
            self.timers
                .note_change(&mut slot.deadline, Timer::Connection(connection));
            if slot.holds_frames != slot.connection.holds_frames() {
                self.note_landing(connection);
            }
        }
    }

    fn forget_connection(&mut self, key: ConnectionKey) {
        self.settle_landing(key);
        let Some(mut slot) = self.connections.remove(key) else {
            return;
        };
        self.timers
            .set(&mut slot.deadline, Timer::Connection(key), None);
        self.tokens.remove(slot.connection.local_token(), key);
        if self.connections.is_empty() {
            self.pool.trim();
        }
    }

    /// Sends on what the subflow told its home, sets its timer and sees whether it ended: after
    /// every call that changed it.
    pub(super) fn after_subflow(&mut self, now: Instant, key: SubflowKey) {
        let worker = self.config.place.worker();
        let Some(slot) = self.subflows.get_mut(key) else {
            return;
        };
        let subflow = slot.subflow.awake();
        let end = subflow.take_end(&mut self.from_subflow);
        while let Some(message) = self.from_subflow.pop() {
            match &slot.home {
                Home::Here(connection) => {
                    let note = Note::Up {
                        connection: *connection,
                        subflow: key,
                        message,
                    };
                    self.mailbox.post(now, note);
                }
                Home::Elsewhere(distant) => {
                    let subflow = SubflowAddress { worker, key };
                    Self::tell_home(&mut self.outboxes, distant.connection, subflow, message);
                }
            }
        }
        if let Some(end) = end {
            self.forget_subflow(now, key, &end);
            return;
        }
        self.timers
            .note_change(&mut slot.deadline, Timer::Subflow(key));
        slot.touched = now;
        if !slot.noted {
            slot.noted = true;
            self.watch.note(now, key);
        }
        if !slot.queued {
            slot.queued = true;
            self.ready.push(slot.path.port, key);
        }
    }

    fn forget_subflow(&mut self, now: Instant, key: SubflowKey, end: &End) {
        let Some(mut slot) = self.subflows.remove(key) else {
            return;
        };
        self.timers
            .set(&mut slot.deadline, Timer::Subflow(key), None);
        self.flows.remove(&slot.flow());
        if slot.queued {
            let subflows = &self.subflows;
            self.ready
                .note_gone(slot.path.port, |key| subflows.contains(key));
        }
        if let End::TimeWait(record) = end {
            self.enter_time_wait(now, slot.flow(), *record);
        }
    }

    /// Turns an event of a connection into one for the sockets. Of a connection that the application
    /// has closed only watchers are told.
    fn report(&mut self, key: ConnectionKey, event: &ConnectionEvent) {
        let Some(slot) = self.connections.get_mut(key) else {
            return;
        };
        let closed = slot.closed;
        let id = ConnectionId(key);
        let event = match *event {
            ConnectionEvent::Readable | ConnectionEvent::Writable if closed => return,
            ConnectionEvent::Readable => {
                if core::mem::replace(&mut slot.pending.readable, true) {
                    return;
                }
                Event::Readable(id)
            }
            ConnectionEvent::Writable => {
                if core::mem::replace(&mut slot.pending.writable, true) {
                    return;
                }
                Event::Writable(id)
            }
            ConnectionEvent::Connected => Event::Connected(id),
            ConnectionEvent::PeerFinished => Event::PeerFinished(id),
            ConnectionEvent::Closed(result) => Event::Closed(id, result.map_err(SocketError::from)),
            ConnectionEvent::SubflowEstablished(subflow) => Event::SubflowEstablished(id, subflow),
            ConnectionEvent::SubflowClosed { end, ref info } => Event::SubflowClosed {
                connection: id,
                end,
                info: info.clone(),
            },
            ConnectionEvent::FellBack(reason) => Event::FellBack(id, reason),
            ConnectionEvent::AddressAnnounced {
                address_id,
                address,
            } => Event::AddressAnnounced {
                connection: id,
                address_id,
                address,
            },
            ConnectionEvent::AddressRemoved { address_id } => Event::AddressRemoved {
                connection: id,
                address_id,
            },
        };
        if closed {
            self.events.push_for_watchers(event);
        } else {
            self.events.push(event);
        }
    }

    /// The next event, or `None` when there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            let event = self.events.pop()?;
            match &event {
                Event::Readable(id) => {
                    let Some(slot) = self.connections.get_mut(id.0) else {
                        continue;
                    };
                    slot.pending.readable = false;
                }
                Event::Writable(id) => {
                    let Some(slot) = self.connections.get_mut(id.0) else {
                        continue;
                    };
                    slot.pending.writable = false;
                }
                Event::Acceptable(id) => {
                    let Some(listener) = self.listeners.get_mut(id.0) else {
                        continue;
                    };
                    listener.announced = false;
                }
                _ => {}
            }
            return Some(event);
        }
    }
}
