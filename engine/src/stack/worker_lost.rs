//! What becomes of everything that a worker of this host had a part in when that worker ends: what
//! it held alone is lost, and nothing that is left waits for it.

use super::Stack;
use super::batch::PortId;
use super::connection::ConnectionKey;
use super::held_syn::HeldKey;
use super::request::{JoinTarget, RequestKey, RequestKind};
use super::steering::WorkerId;
use super::subflow::{Home, SubflowKey};
use crate::mptcp::connection::SubflowHandle;
use crate::mptcp::message::{ResetOptions, SubflowEnd, ToHome, ToSubflow};
use crate::time::Instant;
use crate::wire::mptcp_option::{MptcpOption, ResetReason};

/// What the peer is told of a connection whose home is gone: nobody knows it any more.
pub(super) const NO_CONNECTION: ResetReason = ResetReason::MptcpError;

impl Stack {
    /// Another worker of this host has ended for good, by a panic for example. Subflows of its
    /// connections are reset, and SYNs for them refused. Connections of this worker go on without
    /// the subflows that were there, as if their paths had failed; the links of ports that only
    /// that worker drove are down. Letters to it are dropped from now on, and what it wrote about
    /// itself before it ended is ignored. New flows that would have been its are shared by those that
    /// are left, by a second hash; its old ones are reset there, as nobody knows them.
    ///
    /// This worker itself, and one that there is not, is ignored.
    pub fn worker_lost(&mut self, now: Instant, lost: WorkerId) {
        if !self.outboxes.lose(lost) {
            return;
        }
        self.config.place.lose(lost);
        self.refuse_syns_of(now, lost);
        self.reset_subflows_of(now, lost);
        self.for_all_connections(|stack, connection| {
            stack.do_without(now, connection, lost);
        });
        let ports: Vec<PortId> = self.relay.ports_of(lost).collect();
        for port in ports {
            self.set_link(now, port, false);
        }
        self.deliver_messages(now);
    }

    /// Ends the handshakes of joins to connections of a worker that is gone.
    fn refuse_syns_of(&mut self, now: Instant, lost: WorkerId) {
        let held = self.held_syns.iter();
        let held: Vec<HeldKey> = held
            .filter(|(_, syn)| syn.home == lost)
            .map(|(key, _)| key)
            .collect();
        for key in held {
            if let Some(syn) = self.held_syns.remove(key) {
                self.flows.remove(&syn.segment.flow);
                self.send_reset(now, &syn.segment, Some(NO_CONNECTION));
            }
        }
        let joins_lost = |kind: &RequestKind| match kind {
            RequestKind::Join(join) => match &join.target {
                JoinTarget::Elsewhere(distant) => distant.home.connection.worker == lost,
                JoinTarget::Here(_) => false,
            },
            RequestKind::Plain { .. } | RequestKind::Capable { .. } => false,
        };
        let requests = self.requests.iter();
        let requests: Vec<RequestKey> = requests
            .filter(|(_, request)| joins_lost(&request.kind))
            .map(|(key, _)| key)
            .collect();
        for key in requests {
            // Its third ACK finds no flow, and is answered with a RST.
            self.remove_request(key);
        }
    }

    fn reset_subflows_of(&mut self, now: Instant, lost: WorkerId) {
        let is_lost = |home: &Home| match home {
            Home::Here(_) => false,
            Home::Elsewhere(distant) => distant.connection.worker == lost,
        };
        let subflows = self.subflows.iter();
        let subflows: Vec<SubflowKey> = subflows
            .filter(|(_, slot)| is_lost(&slot.home))
            .map(|(key, _)| key)
            .collect();
        for key in subflows {
            let mut options = ResetOptions::new();
            options.push(MptcpOption::Reset {
                transient: NO_CONNECTION.may_pass(),
                reason: NO_CONNECTION,
            });
            self.deliver_down(now, key, ToSubflow::Reset { options });
        }
    }

    /// A connection of this worker loses its subflows on one that is gone, and those it has ordered
    /// there.
    fn do_without(&mut self, now: Instant, connection: ConnectionKey, lost: WorkerId) {
        let Some(slot) = self.connections.get_mut(connection) else {
            return;
        };
        let subflows = slot.connection.subflows().map(|info| info.handle);
        let subflows: Vec<SubflowHandle> =
            subflows.filter(|handle| handle.worker() == lost).collect();
        let ordered = slot.orders.extract_if(.., |order| order.worker == lost);
        let attempts: Vec<Option<u32>> = ordered.map(|order| order.attempt).collect();
        for handle in subflows {
            self.with_connection(now, connection, |home, context| {
                home.deliver(handle, ToHome::Ended(SubflowEnd::TimedOut), context);
            });
        }
        for attempt in attempts {
            self.with_connection(now, connection, |home, context| {
                home.subflow_not_opened(attempt, context.now);
            });
        }
    }
}
