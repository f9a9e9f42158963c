//! Further subflows, opened by either side with MP_JOIN (RFC 8684 section 3.2). Those on another
//! worker than their connection's home are the matter of `join_elsewhere`.

use super::Stack;
use super::connection::ConnectionKey;
use super::join_letter::{JoinTerms, SubflowOrder};
use super::receive::ReceivedSegment;
use super::request::{JoinTarget, PendingJoin, RequestKey, RequestKind};
use super::route::Constraint;
use super::steering::WorkerId;
use super::subflow::{Home, SubflowKey};
use crate::mptcp::connection::{OpenSubflow, SubflowHandle, SubflowPath};
use crate::mptcp::path_manager::EndpointFlags;
use crate::mptcp::subflow::{JoinConfig, JoinRequest, Subflow};
use crate::sequence::SequenceNumber;
use crate::socket::{SocketError, SocketOptions};
use crate::storage::flow_table::FourTuple;
use crate::storage::frame::Frame;
use crate::tcp::Negotiated;
use crate::time::Instant;
use crate::wire::mptcp_option::{MptcpOption, ResetReason, Token};
use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

impl Stack {
    /// Takes a SYN with MP_JOIN: the token alone says whose it is, whatever the port.
    pub(super) fn receive_join_syn(
        &mut self,
        now: Instant,
        segment: &ReceivedSegment,
        option: &MptcpOption,
        floor: Option<SequenceNumber>,
    ) {
        let MptcpOption::JoinSyn {
            backup,
            address_id,
            token,
            nonce,
        } = *option
        else {
            return;
        };
        self.counters.join_syns += 1;
        let peer = JoinRequest {
            nonce,
            address_id,
            backup,
        };
        if !self.config.place.is_home_of(token) {
            self.ask_home(now, segment, token, peer, floor);
            return;
        }
        match self.judge_join(now, token, segment.flow.local.ip()) {
            Ok((connection, terms)) => {
                let target = JoinTarget::Here(connection);
                self.answer_join(now, segment, target, terms, peer, floor);
            }
            Err(reason) => self.send_reset(now, segment, Some(reason)),
        }
    }

    /// Judges a join to a local address: the connection that the token names and what its answer
    /// takes of it, or why it is refused.
    pub(super) fn judge_join(
        &mut self,
        now: Instant,
        token: Token,
        local: IpAddr,
    ) -> Result<(ConnectionKey, JoinTerms), ResetReason> {
        let named = self.tokens.get(token);
        let found = named.and_then(|key| Some((key, self.connections.get(key)?)));
        let Some((connection, slot)) = found else {
            self.counters.join_no_token += 1;
            return Err(ResetReason::MptcpError);
        };
        let endpoints = if slot.single_path {
            &self.no_endpoints
        } else {
            &self.endpoints
        };
        let judged = if slot.connection.may_use(local) {
            let judged = slot.connection.can_accept_join(&endpoints.limits);
            judged.map_err(|refusal| refusal.reset_reason())
        } else {
            Err(ResetReason::AdministrativelyProhibited)
        };
        let keys = match judged {
            Ok(keys) => keys,
            Err(reason) => {
                self.counters.join_refused += 1;
                return Err(reason);
            }
        };
        let checksum = slot.connection.info().checksum;
        let backup = endpoints
            .by_address(local)
            .is_some_and(|endpoint| endpoint.flags.contains(EndpointFlags::BACKUP));
        let terms = JoinTerms {
            keys,
            checksum,
            address_id: self.address_id(now, connection, local),
            backup,
        };
        Ok((connection, terms))
    }

    /// Answers the SYN of a join that home takes.
    pub(super) fn answer_join(
        &mut self,
        now: Instant,
        segment: &ReceivedSegment,
        target: JoinTarget,
        terms: JoinTerms,
        peer: JoinRequest,
        floor: Option<SequenceNumber>,
    ) {
        let config = JoinConfig {
            local_key: terms.keys.local,
            remote_key: terms.keys.remote,
            nonce: self.random.next_u32(),
            address_id: terms.address_id,
            backup: terms.backup,
            checksum: terms.checksum,
            long_sequence: self.config.long_data_sequence,
        };
        let join = PendingJoin {
            target,
            config,
            peer,
        };
        self.add_request(now, segment, RequestKind::Join(join), floor);
    }

    /// The identifier by which a connection names a local address.
    fn address_id(&mut self, now: Instant, connection: ConnectionKey, local: IpAddr) -> u8 {
        self.with_connection(now, connection, |home, context| {
            home.local_address_id(context.endpoints, local)
        })
        .unwrap_or_default()
    }

    /// Takes the third ACK of a join: only one that proves knowledge of the keys makes a subflow.
    pub(super) fn receive_join_ack(
        &mut self,
        now: Instant,
        key: RequestKey,
        segment: ReceivedSegment,
        negotiated: Negotiated,
        join: &PendingJoin,
    ) -> Option<Frame> {
        if !join.is_proved_by(&segment.header) {
            self.counters.join_hmac_failures += 1;
            return self.refuse_join_ack(now, key, segment, ResetReason::MptcpError);
        }
        self.counters.join_acks += 1;
        let made = match &join.target {
            JoinTarget::Here(connection) => {
                if let Err(reason) = self.review_join(*connection) {
                    return self.refuse_join_ack(now, key, segment, reason);
                }
                let Some(slot) = self.connections.get(*connection) else {
                    return Some(segment.payload.frame);
                };
                let options = Arc::clone(&slot.options);
                let home = Home::Here(*connection);
                self.make_joined(now, &segment, negotiated, join, home, &options)
            }
            JoinTarget::Elsewhere(distant) => {
                let home = Home::Elsewhere(distant.home.clone());
                self.make_joined(now, &segment, negotiated, join, home, &distant.options)
            }
        };
        let Some((subflow, path)) = made else {
            self.counters.table_full += 1;
            return self.refuse_join_ack(now, key, segment, ResetReason::LackOfResources);
        };
        match &join.target {
            JoinTarget::Here(connection) => {
                let handle = self.address(subflow).handle();
                self.with_connection(now, *connection, |connection, _| {
                    connection.join_accepted(handle, path);
                });
            }
            JoinTarget::Elsewhere(distant) => {
                self.tell_of_join(distant, subflow, path);
            }
        }
        self.receive_on_subflow(now, subflow, segment);
        None
    }

    fn refuse_join_ack(
        &mut self,
        now: Instant,
        key: RequestKey,
        segment: ReceivedSegment,
        reason: ResetReason,
    ) -> Option<Frame> {
        self.remove_request(key);
        self.send_reset(now, &segment, Some(reason));
        Some(segment.payload.frame)
    }

    /// Judges once more whether a connection takes a subflow, now that the peer has proved itself.
    pub(super) fn review_join(&mut self, connection: ConnectionKey) -> Result<(), ResetReason> {
        let judged = match self.connections.get(connection) {
            None => Err(ResetReason::MptcpError),
            Some(slot) => {
                let endpoints = if slot.single_path {
                    &self.no_endpoints
                } else {
                    &self.endpoints
                };
                let judged = slot.connection.can_accept_join(&endpoints.limits);
                judged.map_err(|refusal| refusal.reset_reason())
            }
        };
        if judged.is_err() {
            self.counters.join_refused += 1;
        }
        judged.map(|_| ())
    }

    /// The subflow of a join whose handshake is complete, and its path. `None` when there is no way
    /// back or a table is full.
    fn make_joined(
        &mut self,
        now: Instant,
        segment: &ReceivedSegment,
        negotiated: Negotiated,
        join: &PendingJoin,
        home: Home,
        options: &SocketOptions,
    ) -> Option<(SubflowKey, SubflowPath)> {
        let flow = segment.flow;
        let path = self.path_of(segment)?;
        let tcp = self.tcb_config(path.port, &flow, options);
        let subflow = Subflow::accept_join(tcp, now, negotiated, join.config, join.peer);
        let subflow = self.admit_subflow(Box::new(subflow), flow, path, home)?;
        let path = SubflowPath {
            local: flow.local,
            remote: flow.remote,
            local_address_id: join.config.address_id,
            remote_address_id: join.peer.address_id,
            backup: join.config.backup,
        };
        Some((subflow, path))
    }

    /// Opens the subflow that a connection's path manager asks for, and tells it how that went; or
    /// orders it from the worker that is next in turn.
    pub(super) fn open_subflow(
        &mut self,
        now: Instant,
        connection: ConnectionKey,
        open: &OpenSubflow,
    ) {
        let opened = match self.plan_subflow(now, connection, open) {
            Err(error) => Err(error),
            Ok(order) => match self.worker_for_join(connection, &order) {
                Some(worker) => return self.order_subflow(now, worker, connection, order),
                None => self.start_here(now, connection, &order),
            },
        };
        self.with_connection(now, connection, |home, context| match opened {
            Ok((subflow, path)) => home.subflow_opened(open.attempt, subflow, path),
            Err(_) => home.subflow_not_opened(open.attempt, context.now),
        });
    }

    /// Opens the subflow that the application asks for. It is opened here, so that it is known at once
    /// how that went, unless its port belongs to another worker: then `None`.
    pub(super) fn try_open_subflow(
        &mut self,
        now: Instant,
        connection: ConnectionKey,
        open: &OpenSubflow,
    ) -> Result<Option<(SubflowHandle, SubflowPath)>, SocketError> {
        let order = self.plan_subflow(now, connection, open)?;
        if let Some(flow) = order.flow()
            && !self.config.place.owns(&flow)
        {
            let worker = self.config.place.steering().worker_of(&flow);
            self.order_subflow(now, worker, connection, order);
            return Ok(None);
        }
        self.start_here(now, connection, &order).map(Some)
    }

    /// Decides what takes the connection to decide: by which way, from which address, with what.
    fn plan_subflow(
        &mut self,
        now: Instant,
        connection: ConnectionKey,
        open: &OpenSubflow,
    ) -> Result<SubflowOrder, SocketError> {
        let slot = self
            .connections
            .get(connection)
            .ok_or(SocketError::BadHandle)?;
        let checksum = slot.connection.info().checksum;
        let constraint = Constraint {
            source: open.local,
            port: slot.options.device,
        };
        let named = &slot.options.local_addresses;
        let path = self.path_from(open.remote.ip(), constraint, named)?;
        if self.owns(open.remote.ip()) && !self.is_within_host(connection) {
            // The peer announced an address of this host.
            return Err(SocketError::InvalidArgument);
        }
        let local_address_id = match open.local {
            Some(_) => open.local_address_id,
            None => self.address_id(now, connection, path.source),
        };
        let open = OpenSubflow {
            local: Some(path.source),
            local_address_id,
            ..*open
        };
        Ok(SubflowOrder {
            open,
            path,
            checksum,
        })
    }

    /// The other worker that a further subflow goes to: the one its port belongs to, or the next in
    /// turn. `None` for this one.
    fn worker_for_join(
        &mut self,
        connection: ConnectionKey,
        order: &SubflowOrder,
    ) -> Option<WorkerId> {
        let place = self.config.place;
        if place.is_alone() {
            return None;
        }
        let worker = match order.flow() {
            Some(flow) => place.steering().worker_of(&flow),
            None if self.config.spread_subflows => {
                let slot = self.connections.get_mut(connection)?;
                // One that is gone is passed over; this worker is among those in turn.
                let mut turns = (0..place.steering().workers()).map(|_| {
                    slot.joins = slot.joins.wrapping_add(1);
                    place.steering().after(place.worker(), slot.joins)
                });
                turns.find(|worker| !place.steering().has_lost(*worker))?
            }
            None => return None,
        };
        (worker != place.worker()).then_some(worker)
    }

    fn start_here(
        &mut self,
        now: Instant,
        connection: ConnectionKey,
        order: &SubflowOrder,
    ) -> Result<(SubflowHandle, SubflowPath), SocketError> {
        let slot = self.connections.get(connection);
        let options = Arc::clone(&slot.ok_or(SocketError::BadHandle)?.options);
        let home = Home::Here(connection);
        let (subflow, path) = self.make_joining(now, home, &options, order)?;
        self.after_subflow(now, subflow);
        Ok((self.address(subflow).handle(), path))
    }

    /// The subflow that an order asks for, with its SYN to be sent.
    pub(super) fn make_joining(
        &mut self,
        now: Instant,
        home: Home,
        options: &SocketOptions,
        order: &SubflowOrder,
    ) -> Result<(SubflowKey, SubflowPath), SocketError> {
        let (open, path) = (&order.open, order.path);
        let local_port = match open.local_port {
            0 => self
                .ephemeral_port(path.source, open.remote)
                .ok_or(SocketError::AddressNotAvailable)?,
            port => port,
        };
        let local = SocketAddr::new(path.source, local_port);
        let flow = FourTuple {
            local,
            remote: open.remote,
        };
        if self.flows.contains(&flow) || flow.local == flow.remote {
            return Err(SocketError::AddressInUse);
        }
        let config = JoinConfig {
            local_key: open.local_key,
            remote_key: open.remote_key,
            nonce: self.random.next_u32(),
            address_id: open.local_address_id,
            backup: open.backup,
            checksum: order.checksum,
            long_sequence: self.config.long_data_sequence,
        };
        let tcp = self.tcb_config(path.port, &flow, options);
        let (iss, offset) = self.secrets.numbers(&flow, now);
        let subflow = Subflow::connect_join(tcp, now, iss, offset, open.remote_token, config);
        let subflow = Box::new(subflow);
        let key = self
            .admit_subflow(subflow, flow, path, home)
            .ok_or(SocketError::NoBuffers)?;
        let subflow_path = SubflowPath {
            local,
            remote: open.remote,
            local_address_id: open.local_address_id,
            remote_address_id: open.remote_address_id,
            backup: open.backup,
        };
        Ok((key, subflow_path))
    }
}
