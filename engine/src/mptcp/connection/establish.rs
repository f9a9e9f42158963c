//! How the first subflow and further ones join a connection (RFC 8684 sections 3.1 and 3.2).

use super::context::{ConnectionEvent, Context, SubflowHandle, SubflowPath};
use super::data_space::DataSpace;
use super::error::JoinRefusal;
use super::fallback::{Sign, Verdict};
use super::subflow_view::{Opener, Phase, SubflowView};
use super::{CloseEvent, Connection, Mode, Peer, Role};
use crate::mptcp::crypto::DigestedKey;
use crate::mptcp::message::{Establishment, ToSubflow};
use crate::mptcp::path_manager::Limits;
use crate::wire::mptcp_option::{Key, MptcpOption, ResetReason};

/// The keys that authenticate an MP_JOIN.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct JoinKeys {
    /// This side's.
    pub local: Key,
    /// The peer's.
    pub remote: Key,
}

impl Connection {
    /// Judges an MP_JOIN that names this connection: the keys to answer it with, or why not.
    ///
    /// The peer proves that it heard this side's key by the HMAC that the subflow checks, so keys
    /// suffice here: the segment that confirms the first path may well come after the MP_JOIN,
    /// which took another one.
    ///
    /// # Errors
    ///
    /// [`JoinRefusal`]; its `reset_reason` goes into the RST.
    pub fn can_accept_join(&self, limits: &Limits) -> Result<JoinKeys, JoinRefusal> {
        let (Some(peer), Mode::Multipath { .. }) = (self.peer, self.mode) else {
            return Err(JoinRefusal::NotMultipath);
        };
        if self.state.is_finished() || self.fastclose.is_some() {
            return Err(JoinRefusal::Closing);
        }
        if !self.has_room_for_one(limits) {
            return Err(JoinRefusal::TooMany);
        }
        Ok(JoinKeys {
            local: self.local_key,
            remote: peer.key,
        })
    }

    /// A subflow that a peer joins is in its handshake: call right after `can_accept_join`.
    pub fn join_accepted(&mut self, handle: SubflowHandle, path: SubflowPath) {
        let opener = Opener::Peer;
        self.add_view(handle, path, opener);
    }

    pub(super) fn add_view(&mut self, handle: SubflowHandle, path: SubflowPath, opener: Opener) {
        let id = self.next_subflow_id;
        self.next_subflow_id = self.next_subflow_id.wrapping_add(1);
        let mut view = SubflowView::new(handle, id, path, opener);
        // The application may have given the address up while the subflow came about.
        view.retiring = !self.policy.local.allow(path.local.ip());
        if handle.worker() != self.worker {
            view.remarks_mut().carries = Some(self.send.buffer.capacity() as u64);
        }
        // There are few, on many connections.
        self.views.reserve_exact(1);
        self.views.push(view);
        self.subflows_max = self.subflows_max.max(self.views.len() as u8);
    }

    pub(super) fn on_established(
        &mut self,
        from: SubflowHandle,
        establishment: Establishment,
        cx: &mut Context<'_>,
    ) {
        match establishment {
            Establishment::Capable {
                remote_key,
                checksum,
                join_to_this_address,
            } => {
                if self.mode != Mode::Opening {
                    return;
                }
                let DigestedKey { key, digest } = remote_key;
                self.peer = Some(Peer {
                    key,
                    token: digest.token,
                    join_to_first_address: join_to_this_address,
                });
                self.checksum = checksum;
                self.mode = Mode::Multipath { confirmed: false };
                let space = DataSpace::after(digest.initial_data_sequence_number);
                self.receive.set_space(space);
                match self.role {
                    Role::Client => cx.counters.capable_active += 1,
                    Role::Server => cx.counters.capable_passive += 1,
                }
                self.on_connected(from, cx);
            }
            Establishment::Plain(reason) => match self.standing().judge(Sign::PlainHandshake) {
                Verdict::FallBack => {
                    self.mode = Mode::Fallback(reason);
                    cx.counters.count_fallback(reason);
                    cx.out.events.push_back(ConnectionEvent::FellBack(reason));
                    self.on_connected(from, cx);
                }
                Verdict::Ignore => {}
                _ => self.reset_view(from, Some(ResetReason::MiddleboxInterference), cx),
            },
            Establishment::Joined {
                remote_address_id,
                backup,
            } => self.on_joined(from, remote_address_id, backup, cx),
        }
    }

    fn on_connected(&mut self, from: SubflowHandle, cx: &mut Context<'_>) {
        if let Some(view) = self.view_mut(from) {
            view.phase = Phase::Ready;
        }
        self.publish();
        self.transition(CloseEvent::Established);
        let events = &mut cx.out.events;
        events.push_back(ConnectionEvent::Connected);
        events.push_back(ConnectionEvent::SubflowEstablished(from));
        if self.send.fin != super::send::Fin::Open {
            self.transition(CloseEvent::Shutdown);
        }
    }

    fn on_joined(
        &mut self,
        from: SubflowHandle,
        remote_address_id: u8,
        backup: bool,
        cx: &mut Context<'_>,
    ) {
        // Fallback or close may have come while the handshake was under way.
        if !matches!(self.mode, Mode::Multipath { .. }) || self.state.is_finished() {
            self.reset_view(from, Some(ResetReason::Unspecified), cx);
            return;
        }
        let Some(view) = self.view_mut(from) else {
            return;
        };
        if view.phase != Phase::Handshake {
            return;
        }
        view.phase = Phase::Ready;
        view.remote_backup = backup;
        view.path.remote_address_id = remote_address_id;
        let attempt = view.opener.attempt();
        if core::mem::take(&mut view.priority_due) {
            let backup = view.path.backup;
            cx.counters.priority_sent += 1;
            cx.out
                .send(from, ToSubflow::Signal(MptcpOption::Priority { backup }));
        }
        self.ever_joined = true;
        self.join_due = None;
        cx.counters.joined += 1;
        if let Some(attempt) = attempt {
            self.paths.established(attempt, cx.now);
        }
        cx.out
            .events
            .push_back(ConnectionEvent::SubflowEstablished(from));
        // A path that lives takes over from those that do not.
        self.reinject_stale(cx);
        self.ask_to_retain(cx);
        self.recompute_coupling(cx);
    }

    /// The first DSS was heard: the path manager may start.
    pub(super) fn on_confirmed(&mut self, cx: &mut Context<'_>) {
        if self.mode == (Mode::Multipath { confirmed: false }) {
            self.mode = Mode::Multipath { confirmed: true };
            self.start_paths(cx);
        }
    }

    /// Resets a subflow with MP_TCPRST.
    pub(super) fn reset_view(
        &mut self,
        handle: SubflowHandle,
        reason: Option<ResetReason>,
        cx: &mut Context<'_>,
    ) {
        use crate::mptcp::message::ResetOptions;
        let mut options = ResetOptions::new();
        options.extend(reason.map(|reason| MptcpOption::Reset {
            transient: reason.may_pass(),
            reason,
        }));
        self.reset_view_with(handle, options, cx);
    }

    /// Resets a subflow; what it carried travels elsewhere.
    pub(super) fn reset_view_with(
        &mut self,
        handle: SubflowHandle,
        options: crate::mptcp::message::ResetOptions,
        cx: &mut Context<'_>,
    ) {
        let Some(view) = self.view_mut(handle) else {
            return;
        };
        if view.phase == Phase::Reset {
            return;
        }
        view.phase = Phase::Reset;
        cx.out.send(handle, ToSubflow::Reset { options });
        self.reinject_ledger(handle, cx);
    }
}

impl JoinRefusal {
    /// The reason that MP_TCPRST carries.
    pub const fn reset_reason(self) -> ResetReason {
        match self {
            Self::NotMultipath => ResetReason::MptcpError,
            Self::Closing => ResetReason::AdministrativelyProhibited,
            Self::TooMany => ResetReason::LackOfResources,
        }
    }
}
