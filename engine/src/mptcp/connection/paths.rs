//! The path manager at work: announcing, joining, and heeding the peer's announcements
//! (RFC 8684 section 3.4).

use super::context::{ConnectionEvent, Context, OpenSubflow, Request, SubflowHandle, SubflowPath};
use super::subflow_view::{Opener, SubflowView};
use super::{Connection, Mode, Role};
use crate::mptcp::crypto::SenderKeys;
use crate::mptcp::message::{SubflowEnd, ToSubflow};
use crate::mptcp::path_manager::{Endpoints, RepeatPolicy, RetryPolicy};
use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::{MptcpOption, ResetReason};
use arrayvec::ArrayVec;
use core::net::{IpAddr, SocketAddr};

/// How many timeouts a subflow to a removed address has to answer a probe.
const PROBE_TIMEOUTS: u32 = 3;

impl Connection {
    /// A subflow that [`Request::OpenSubflow`] asked for is in its handshake.
    pub fn subflow_opened(
        &mut self,
        attempt: Option<u32>,
        handle: SubflowHandle,
        path: SubflowPath,
    ) {
        if let Some(attempt) = attempt {
            self.paths.opened(attempt);
        }
        let opener = attempt.map_or(Opener::Application, Opener::PathManager);
        self.add_view(handle, path, opener);
    }

    /// Another worker was asked for a subflow that the application wants:
    /// [`Self::subflow_opened_elsewhere`] or [`Self::subflow_not_opened`] follows.
    pub fn subflow_ordered(&mut self) {
        self.policy.ordered += 1;
    }

    /// The same of a subflow on another worker. The connection may have fallen back or ended since it
    /// asked, or want fewer subflows by now, or the address may be gone (it is not `wanted`); then the
    /// subflow is reset.
    pub fn subflow_opened_elsewhere(
        &mut self,
        attempt: Option<u32>,
        handle: SubflowHandle,
        path: SubflowPath,
        wanted: bool,
        cx: &mut Context<'_>,
    ) {
        if attempt.is_none() {
            self.policy.ordered = self.policy.ordered.saturating_sub(1);
        }
        self.subflow_opened(attempt, handle, path);
        if !wanted
            || !matches!(self.mode, Mode::Multipath { .. })
            || self.state.is_finished()
            || self.fastclose.is_some()
            || self.has_too_many()
        {
            self.reset_view(handle, Some(ResetReason::Unspecified), cx);
        }
        self.settle(cx);
    }

    /// There is no route, port or room for the subflow; that of an attempt will be asked for again.
    pub fn subflow_not_opened(&mut self, attempt: Option<u32>, now: Instant) {
        // Its slot is free for another path, which the timer sees to.
        self.slots_full = false;
        match attempt {
            Some(attempt) => {
                self.paths
                    .not_opened(attempt, now, RetryPolicy::of(&self.config));
            }
            None => self.policy.ordered = self.policy.ordered.saturating_sub(1),
        }
    }

    /// The identifier of a local address on this connection, for a subflow whose local address
    /// the stack selected.
    pub fn local_address_id(&mut self, endpoints: &Endpoints, local: IpAddr) -> u8 {
        self.paths.local_address_id(endpoints, local)
    }

    /// Endpoints were added or limits changed: heed them.
    pub fn endpoints_changed(&mut self, cx: &mut Context<'_>) {
        if self.paths.is_active() {
            self.plan_paths(None, cx);
            self.settle(cx);
        }
    }

    pub(super) fn start_paths(&mut self, cx: &mut Context<'_>) {
        self.paths.start();
        self.plan_paths(None, cx);
    }

    /// Notes what is to be announced and opened. With `first_is_gone` told, what was given up
    /// before counts again, and where it is true the path of the first subflow.
    pub(super) fn plan_paths(&mut self, first_is_gone: Option<bool>, cx: &mut Context<'_>) {
        let selection = self.policy.selection(cx.endpoints);
        self.paths.announce(selection, cx.now);
        let to_first =
            self.role == Role::Client && self.peer.is_some_and(|peer| peer.join_to_first_address);
        let complete = match first_is_gone {
            Some(gone) => self.paths.replan(selection, to_first, gone, cx.now),
            None => self.paths.plan(selection, to_first, cx.now),
        };
        if !complete {
            cx.counters.queue_full += 1;
        }
    }

    /// Sends the announcements that are due and asks for the subflows that are wanted.
    pub(super) fn manage_paths(&mut self, cx: &mut Context<'_>) {
        if !self.paths.is_active() || !matches!(self.mode, Mode::Multipath { .. }) {
            return;
        }
        self.announce_due(cx);
        self.open_due(cx);
    }

    fn announce_due(&mut self, cx: &mut Context<'_>) {
        let Some(peer) = self.peer else {
            return;
        };
        if self.paths.next_announcement_due().is_none() {
            return;
        }
        let policy = RepeatPolicy {
            interval: self.config.add_address_interval,
            repetitions: self.config.add_address_retries,
        };
        while let Some(on) = self.best_view(None) {
            let Some(announcement) = self.paths.next_announcement(cx.now, policy) else {
                break;
            };
            let keys = SenderKeys {
                sender: self.local_key,
                receiver: peer.key,
            };
            let (id, address, port) = (announcement.id, announcement.address, announcement.port);
            let option = MptcpOption::AddAddress {
                address_id: id,
                address,
                port,
                hmac: Some(keys.add_address(id, address, port)),
            };
            cx.counters.add_addr_sent += 1;
            cx.out.send(on, ToSubflow::Signal(option));
        }
    }

    fn open_due(&mut self, cx: &mut Context<'_>) {
        let Some(peer) = self.peer else {
            return;
        };
        if self.paths.next_attempt_due().is_none() {
            return;
        }
        loop {
            let room = self.has_room_for_one(&cx.endpoints.limits);
            self.slots_full = !room || !self.wants_one_more();
            if self.slots_full {
                break;
            }
            let Some((number, attempt)) = self.paths.next_attempt(cx.now) else {
                break;
            };
            let same_path = |view: &SubflowView| {
                let path = &view.path;
                path.remote == attempt.remote
                    && attempt.local.is_none_or(|local| path.local.ip() == local)
            };
            if self.views.iter().any(same_path) {
                // The peer opened it, or a route selected it: tried again should that one end.
                self.paths
                    .not_opened(number, cx.now, RetryPolicy::of(&self.config));
                continue;
            }
            cx.out.requests.push_back(Request::OpenSubflow(OpenSubflow {
                attempt: Some(number),
                local: attempt.local,
                local_port: 0,
                remote: attempt.remote,
                local_address_id: attempt.local_address_id,
                remote_address_id: attempt.remote_address_id,
                backup: attempt.backup || self.wants_a_backup(),
                remote_token: peer.token,
                local_key: self.local_key,
                remote_key: peer.key,
            }));
        }
    }

    /// When the path manager is due next. What waits for a subflow to speak on, or for a slot, has
    /// no time: it follows the message that brings one.
    pub(super) fn path_timeout(&self) -> Option<Instant> {
        if !self.paths.is_active() || !matches!(self.mode, Mode::Multipath { .. }) {
            return None;
        }
        let speaker = self.views.iter().any(SubflowView::is_ready);
        let announcement = self.paths.next_announcement_due().filter(|_| speaker);
        let attempt = self.paths.next_attempt_due().filter(|_| !self.slots_full);
        [announcement, attempt].into_iter().flatten().min()
    }

    pub(super) fn path_ended(&mut self, view: &SubflowView, end: SubflowEnd, now: Instant) {
        let again = match view.opener {
            Opener::First | Opener::Peer => {
                self.role == Role::Client && self.policy.management.opens()
            }
            Opener::PathManager(_) => true,
            Opener::Application => false,
        };
        if again {
            let policy = RetryPolicy::of(&self.config);
            self.paths
                .ended(view.opener.attempt(), &view.path, end, now, policy);
        }
    }

    /// An ADD_ADDR or its echo.
    pub(super) fn on_add_address(
        &mut self,
        from: SubflowHandle,
        id: u8,
        address: IpAddr,
        port: Option<u16>,
        hmac: Option<u64>,
        cx: &mut Context<'_>,
    ) {
        let Some(hmac) = hmac else {
            cx.counters.echo_add_received += 1;
            self.paths.echoed(id);
            return;
        };
        cx.counters.add_addr_received += 1;
        let Some((peer, first)) = self.peer.zip(self.view(from).map(|view| view.path.remote))
        else {
            return;
        };
        let keys = SenderKeys {
            sender: peer.key,
            receiver: self.local_key,
        };
        if !keys.verify_add_address(id, address, port, hmac) {
            cx.counters.add_addr_dropped += 1;
            return;
        }
        cx.counters.echo_add_sent += 1;
        let echo = MptcpOption::AddAddress {
            address_id: id,
            address,
            port,
            hmac: None,
        };
        cx.out.send(from, ToSubflow::Signal(echo));
        let address = SocketAddr::new(address, port.unwrap_or(first.port()));
        let usable = is_usable(address) && !self.is_own(address.ip(), cx.endpoints);
        if usable && self.paths.accept(id, address, cx.endpoints.limits) {
            cx.out.events.push_back(ConnectionEvent::AddressAnnounced {
                address_id: id,
                address,
            });
            if self.paths.is_active() {
                self.plan_paths(None, cx);
            }
        } else {
            cx.counters.add_addr_dropped += 1;
        }
    }

    /// True for an address of this side, as far as the connection knows them.
    fn is_own(&self, address: IpAddr, endpoints: &Endpoints) -> bool {
        endpoints.by_address(address).is_some()
            || self
                .views
                .iter()
                .any(|view| view.path.local.ip() == address)
    }

    /// The peer withdraws addresses. Anyone may have forged it, so a path that answers a probe
    /// stays (RFC 8684 section 3.4.2).
    pub(super) fn on_remove_address(
        &mut self,
        address_ids: &ArrayVec<u8, 16>,
        cx: &mut Context<'_>,
    ) {
        cx.counters.remove_addr_received += 1;
        let patience = self.data_timeout().max(Duration::from_secs(1)) * PROBE_TIMEOUTS;
        for &address_id in address_ids {
            if self.paths.remote_removed(address_id) {
                let event = ConnectionEvent::AddressRemoved { address_id };
                cx.out.events.push_back(event);
            }
            for view in &mut self.views {
                if view.path.remote_address_id == address_id && view.is_open() {
                    view.remarks_mut().answer_due = Some(cx.now + patience);
                    cx.out.send(view.handle, ToSubflow::Probe);
                }
            }
        }
    }
}

/// True for an address and port that a peer can be reached at. Nothing else is worth a SYN,
/// whatever the peer announces: not a group, not this host, not "any".
pub(super) fn is_usable(address: SocketAddr) -> bool {
    let is_host = match address.ip() {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped().is_some();
            !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || mapped)
        }
    };
    is_host && address.port() != 0
}
