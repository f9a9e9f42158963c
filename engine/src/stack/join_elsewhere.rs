//! Subflows on other workers than their connection's home: what the two sides do about each letter
//! (RFC 8684 section 3.2).

use super::Stack;
use super::connection::{ConnectionKey, Ordered, Since};
use super::flow::Flow;
use super::held_syn::{HeldKey, HeldSyn};
use super::join_letter::{DistantConnection, JoinLetter, JoinTerms, SubflowOrder};
use super::letter::{Content, Letter};
use super::receive::ReceivedSegment;
use super::request::JoinTarget;
use super::steering::WorkerId;
use super::subflow::{ConnectionAddress, DistantHome, Home, SubflowAddress, SubflowKey};
use super::worker_lost::NO_CONNECTION;
use crate::mptcp::connection::SubflowPath;
use crate::mptcp::message::{ResetOptions, ToSubflow};
use crate::mptcp::subflow::JoinRequest;
use crate::sequence::SequenceNumber;
use crate::time::Instant;
use crate::wire::mptcp_option::{MptcpOption, ResetReason, Token};
use core::net::IpAddr;

impl Stack {
    /// Takes a step towards a subflow elsewhere.
    pub(super) fn take_join_letter(&mut self, now: Instant, letter: JoinLetter) {
        let writer = letter.writer();
        if writer.is_some_and(|worker| self.outboxes.is_lost(worker)) {
            // Written before it ended; nobody is there to go on with it.
            return;
        }
        match letter {
            JoinLetter::Ask {
                from,
                held,
                token,
                local,
            } => self.answer_ask(now, from, held, token, local),
            JoinLetter::Answer { held, verdict } => self.take_answer(now, held, verdict),
            JoinLetter::Made {
                connection,
                subflow,
                path,
                settings,
            } => self.take_made(now, connection, subflow, path, settings),
            JoinLetter::Open { connection, order } => self.carry_out_order(now, connection, &order),
            JoinLetter::Opened {
                from,
                connection,
                attempt,
                opened,
            } => self.take_opened(now, from, connection, attempt, opened),
        }
    }

    /// Keeps a SYN and asks the home of its token what to answer.
    pub(super) fn ask_home(
        &mut self,
        now: Instant,
        segment: &ReceivedSegment,
        token: Token,
        peer: JoinRequest,
        floor: Option<SequenceNumber>,
    ) {
        let home = self.config.place.steering().home_of(token);
        if self.outboxes.is_lost(home) {
            return self.send_reset(now, segment, Some(NO_CONNECTION));
        }
        let flow = segment.flow;
        let syn = HeldSyn {
            segment: segment.without_frame(),
            home,
            peer,
            floor,
        };
        let Ok(held) = self.held_syns.insert(syn) else {
            self.counters.syn_queue_full += 1;
            return;
        };
        if self.flows.insert(flow, Flow::Held(held)).is_err() {
            self.held_syns.remove(held);
            self.counters.table_full += 1;
            return;
        }
        let ask = JoinLetter::Ask {
            from: self.config.place.worker(),
            held,
            token,
            local: flow.local.ip(),
        };
        self.outboxes.push(home, ask.into());
    }

    /// Home: says how to answer a SYN that came in elsewhere.
    fn answer_ask(
        &mut self,
        now: Instant,
        from: WorkerId,
        held: HeldKey,
        token: Token,
        local: IpAddr,
    ) {
        let judged = self.judge_join(now, token, local);
        let verdict = judged.and_then(|(connection, terms)| {
            let distant = self.distant(connection).ok_or(ResetReason::MptcpError)?;
            Ok((distant, terms))
        });
        let answer = JoinLetter::Answer { held, verdict };
        self.outboxes.push(from, answer.into());
    }

    /// Home has said what to answer to a SYN.
    fn take_answer(
        &mut self,
        now: Instant,
        held: HeldKey,
        verdict: Result<(DistantConnection, JoinTerms), ResetReason>,
    ) {
        let Some(syn) = self.held_syns.remove(held) else {
            return;
        };
        let HeldSyn {
            segment,
            home: _,
            peer,
            floor,
        } = syn;
        self.flows.remove(&segment.flow);
        match verdict {
            Ok((distant, terms)) => {
                let target = JoinTarget::Elsewhere(Box::new(distant));
                self.answer_join(now, &segment, target, terms, peer, floor);
            }
            Err(reason) => self.send_reset(now, &segment, Some(reason)),
        }
    }

    /// Tells home of a subflow that a peer has joined, before anything that the subflow itself says.
    pub(super) fn tell_of_join(
        &mut self,
        distant: &DistantConnection,
        subflow: SubflowKey,
        path: SubflowPath,
    ) {
        let home = distant.home.connection;
        let made = JoinLetter::Made {
            connection: home.key,
            subflow: self.address(subflow),
            path,
            settings: distant.settings,
        };
        self.outboxes.push(home.worker, made.into());
    }

    /// Home: takes a subflow that a peer has joined elsewhere, or has it reset.
    fn take_made(
        &mut self,
        now: Instant,
        connection: ConnectionKey,
        subflow: SubflowAddress,
        path: SubflowPath,
        settings: u32,
    ) {
        match self.review_join(connection) {
            Ok(()) => {
                self.with_connection(now, connection, |home, _| {
                    home.join_accepted(subflow.handle(), path);
                });
                self.tell_settings(connection, subflow, settings);
            }
            Err(reason) => self.reset_elsewhere(subflow, reason),
        }
    }

    /// Home: orders a subflow from another worker.
    pub(super) fn order_subflow(
        &mut self,
        now: Instant,
        worker: WorkerId,
        connection: ConnectionKey,
        order: SubflowOrder,
    ) {
        let attempt = order.open.attempt;
        let Some(distant) = self.distant(connection) else {
            self.with_connection(now, connection, |home, context| {
                home.subflow_not_opened(attempt, context.now);
            });
            return;
        };
        if let Some(slot) = self.connections.get_mut(connection) {
            slot.orders.push(Ordered {
                worker,
                attempt,
                local: order.path.source,
                remote: order.open.remote,
                endpoint: Since::Nothing,
                settings: slot.settings,
            });
        }
        let open = JoinLetter::Open {
            connection: distant,
            order,
        };
        self.outboxes.push(worker, open.into());
    }

    /// Opens the subflow that another worker's connection wants.
    fn carry_out_order(
        &mut self,
        now: Instant,
        connection: DistantConnection,
        order: &SubflowOrder,
    ) {
        let to = connection.home.connection;
        let home = Home::Elsewhere(connection.home);
        let made = self.make_joining(now, home, &connection.options, order);
        let opened = made.ok().map(|(key, path)| (self.address(key), path));
        let answer = JoinLetter::Opened {
            from: self.config.place.worker(),
            connection: to.key,
            attempt: order.open.attempt,
            opened,
        };
        self.outboxes.push(to.worker, answer.into());
        if let Some((subflow, _)) = opened {
            self.after_subflow(now, subflow.key);
        }
    }

    /// Home: takes note of a subflow that was opened elsewhere, or of why there is none.
    fn take_opened(
        &mut self,
        now: Instant,
        from: WorkerId,
        connection: ConnectionKey,
        attempt: Option<u32>,
        opened: Option<(SubflowAddress, SubflowPath)>,
    ) {
        let order = self.connections.get_mut(connection).and_then(|slot| {
            let mut orders = slot.orders.iter();
            let answered = |order: &Ordered| order.attempt == attempt && order.worker == from;
            let place = orders.position(answered)?;
            Some(slot.orders.remove(place))
        });
        let since = order.map_or(Since::Nothing, |order| order.endpoint);
        let known = self.with_connection(now, connection, |home, context| match opened {
            Some((subflow, path)) => {
                let (subflow, wanted) = (subflow.handle(), since != Since::Removed);
                home.subflow_opened_elsewhere(attempt, subflow, path, wanted, context);
                if let Since::Backup(backup) = since {
                    home.set_backup(subflow, backup, context);
                }
            }
            None => home.subflow_not_opened(attempt, context.now),
        });
        if let (Some(order), Some((subflow, _))) = (order, opened) {
            self.tell_settings(connection, subflow, order.settings);
        }
        if let (None, Some((subflow, _))) = (known, opened) {
            // The connection ended meanwhile.
            self.reset_elsewhere(subflow, ResetReason::Unspecified);
        }
    }

    /// Home: brings a subflow up to date that was set up elsewhere with these settings, if the application
    /// has changed them since.
    fn tell_settings(&mut self, connection: ConnectionKey, subflow: SubflowAddress, settings: u32) {
        let slot = self.connections.get(connection);
        let Some(slot) = slot.filter(|slot| slot.settings != settings) else {
            return;
        };
        let options = &slot.options;
        let orders = [
            options.congestion.map(ToSubflow::SetController),
            Some(ToSubflow::SetNoDelay(options.nodelay)),
            Some(ToSubflow::SetCork(options.cork)),
            Some(ToSubflow::SetKeepalive(options.keepalive)),
            Some(ToSubflow::SetUserTimeout(options.user_timeout)),
        ];
        for order in orders.into_iter().flatten() {
            let down = Content::Down {
                subflow: subflow.key,
                order: order.into(),
            };
            self.outboxes.push(subflow.worker, Letter(down));
        }
    }

    /// Has a subflow reset of which no connection here knows.
    fn reset_elsewhere(&mut self, subflow: SubflowAddress, reason: ResetReason) {
        let mut options = ResetOptions::new();
        options.push(MptcpOption::Reset {
            transient: reason.may_pass(),
            reason,
        });
        let reset = Letter(Content::Down {
            subflow: subflow.key,
            order: ToSubflow::Reset { options }.into(),
        });
        self.outboxes.push(subflow.worker, reset);
    }

    /// A connection of this worker as its subflows elsewhere know it.
    fn distant(&mut self, connection: ConnectionKey) -> Option<DistantConnection> {
        let slot = self.connections.get_mut(connection)?;
        let block = slot.share_block();
        Some(DistantConnection {
            home: DistantHome {
                connection: ConnectionAddress {
                    worker: self.config.place.worker(),
                    key: connection,
                },
                block,
            },
            options: (*slot.options).clone(),
            settings: slot.settings,
        })
    }
}
