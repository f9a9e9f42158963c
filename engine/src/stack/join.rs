//! Further subflows, opened by either side with MP_JOIN (RFC 8684 section 3.2).

use super::Stack;
use super::connection::ConnectionKey;
use super::receive::ReceivedSegment;
use super::request::{PendingJoin, RequestKey, RequestKind};
use super::route::Constraint;
use super::subflow::handle;
use crate::mptcp::connection::{OpenSubflow, SubflowHandle, SubflowPath};
use crate::mptcp::path_manager::EndpointFlags;
use crate::mptcp::subflow::{JoinConfig, JoinRequest, Subflow};
use crate::sequence::SequenceNumber;
use crate::socket::SocketError;
use crate::storage::flow_table::FourTuple;
use crate::storage::frame::Frame;
use crate::tcp::Negotiated;
use crate::time::Instant;
use crate::wire::mptcp_option::{MptcpOption, ResetReason};
use core::net::{IpAddr, SocketAddr};

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
        let Some(connection) = self.tokens.get(token) else {
            self.counters.join_no_token += 1;
            self.send_reset(now, segment, Some(ResetReason::MptcpError));
            return;
        };
        let Some(slot) = self.connections.get(connection) else {
            return;
        };
        let endpoints = if slot.single_path {
            &self.no_endpoints
        } else {
            &self.endpoints
        };
        if !slot.connection.may_use(segment.flow.local.ip()) {
            self.counters.join_refused += 1;
            let reason = Some(ResetReason::AdministrativelyProhibited);
            self.send_reset(now, segment, reason);
            return;
        }
        let keys = match slot.connection.can_accept_join(&endpoints.limits) {
            Ok(keys) => keys,
            Err(refusal) => {
                self.counters.join_refused += 1;
                self.send_reset(now, segment, Some(refusal.reset_reason()));
                return;
            }
        };
        let checksum = slot.connection.info().checksum;
        let own_backup = endpoints
            .by_address(segment.flow.local.ip())
            .is_some_and(|endpoint| endpoint.flags.contains(EndpointFlags::BACKUP));
        let peer = JoinRequest {
            nonce,
            address_id,
            backup,
        };
        let config = JoinConfig {
            local_key: keys.local,
            remote_key: keys.remote,
            nonce: self.random.next_u32(),
            address_id: self.address_id(now, connection, segment.flow.local.ip()),
            backup: own_backup,
            checksum,
            long_sequence: self.config.long_data_sequence,
        };
        let join = PendingJoin {
            connection,
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
            self.remove_request(key);
            self.send_reset(now, &segment, Some(ResetReason::MptcpError));
            return Some(segment.payload.frame);
        }
        self.counters.join_acks += 1;
        let refusal = match self.connections.get(join.connection) {
            None => Some(ResetReason::MptcpError),
            Some(slot) => {
                let endpoints = if slot.single_path {
                    &self.no_endpoints
                } else {
                    &self.endpoints
                };
                let judged = slot.connection.can_accept_join(&endpoints.limits);
                judged.err().map(|refusal| refusal.reset_reason())
            }
        };
        if let Some(reason) = refusal {
            self.counters.join_refused += 1;
            self.remove_request(key);
            self.send_reset(now, &segment, Some(reason));
            return Some(segment.payload.frame);
        }
        let flow = segment.flow;
        let (Some(path), Some(slot)) = (
            self.path_of(&segment),
            self.connections.get(join.connection),
        ) else {
            return Some(segment.payload.frame);
        };
        let tcp = self.tcb_config(path.port, &flow, &slot.options);
        let subflow = Subflow::accept_join(tcp, now, negotiated, join.config, join.peer);
        let Some(subflow) = self.admit_subflow(subflow, flow, path, join.connection) else {
            self.counters.table_full += 1;
            self.remove_request(key);
            self.send_reset(now, &segment, Some(ResetReason::LackOfResources));
            return Some(segment.payload.frame);
        };
        let subflow_path = SubflowPath {
            local: flow.local,
            remote: flow.remote,
            local_address_id: join.config.address_id,
            remote_address_id: join.peer.address_id,
            backup: join.config.backup,
        };
        self.with_connection(now, join.connection, |connection, _| {
            connection.join_accepted(handle(subflow), subflow_path);
        });
        self.receive_on_subflow(now, subflow, segment);
        None
    }

    /// Opens the subflow that a connection's path manager asks for, and tells it how that went.
    pub(super) fn open_subflow(
        &mut self,
        now: Instant,
        connection: ConnectionKey,
        open: &OpenSubflow,
    ) {
        let opened = self.try_open_subflow(now, connection, open);
        self.with_connection(now, connection, |home, context| match opened {
            Ok((subflow, path)) => home.subflow_opened(open.attempt, subflow, path),
            Err(_) => home.subflow_not_opened(open.attempt, context.now),
        });
    }

    /// Sends the SYN of a further subflow.
    pub(super) fn try_open_subflow(
        &mut self,
        now: Instant,
        connection: ConnectionKey,
        open: &OpenSubflow,
    ) -> Result<(SubflowHandle, SubflowPath), SocketError> {
        let slot = self
            .connections
            .get(connection)
            .ok_or(SocketError::BadHandle)?;
        let checksum = slot.connection.info().checksum;
        let options = slot.options.clone();
        let constraint = Constraint {
            source: open.local,
            port: options.device,
        };
        let path = self.path_from(open.remote.ip(), constraint, &options.local_addresses)?;
        if self.owns(open.remote.ip()) && !self.is_within_host(connection) {
            // The peer announced an address of this host.
            return Err(SocketError::InvalidArgument);
        }
        let local_port = match open.local_port {
            0 => self
                .ephemeral_port(path.source, open.remote)
                .ok_or(SocketError::AddressNotAvailable)?,
            port => port,
        };
        let local_address_id = match open.local {
            Some(_) => open.local_address_id,
            None => self.address_id(now, connection, path.source),
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
            address_id: local_address_id,
            backup: open.backup,
            checksum,
            long_sequence: self.config.long_data_sequence,
        };
        let tcp = self.tcb_config(path.port, &flow, &options);
        let iss = self.secrets.initial_sequence(&flow, now);
        let offset = self.secrets.timestamp_offset(&flow);
        let subflow = Subflow::connect_join(tcp, now, iss, offset, open.remote_token, config);
        let key = self
            .admit_subflow(subflow, flow, path, connection)
            .ok_or(SocketError::NoBuffers)?;
        self.after_subflow(now, key);
        let subflow_path = SubflowPath {
            local,
            remote: open.remote,
            local_address_id,
            remote_address_id: open.remote_address_id,
            backup: open.backup,
        };
        Ok((handle(key), subflow_path))
    }
}
