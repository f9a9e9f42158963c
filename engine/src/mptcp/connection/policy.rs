//! What the application wants of its subflows, while the connection lives: which and how many there
//! are to be, and when they are opened and closed (RFC 8684 section 3.4 leaves that to each side).

use super::Connection;
use super::Mode;
use super::context::{Context, OpenSubflow, SubflowHandle};
use super::error::SubflowError;
use super::paths::is_usable;
use super::subflow_view::{Phase, Rank, SubflowView};
use crate::mptcp::info::SubflowPriority;
use crate::mptcp::message::ToSubflow;
use crate::mptcp::path_manager::{
    Endpoints, Limits, LocalAddresses, MAX_SUBFLOWS, PathManagement, Selection,
};
use crate::mptcp::scheduler::Scheduler;
use crate::socket::Profile;
use crate::time::Duration;
use crate::wire::mptcp_option::{MptcpOption, ResetReason};
use arrayvec::ArrayVec;
use core::cmp::Reverse;
use core::net::{IpAddr, SocketAddr};

/// How many data-level timeouts a subflow has to end in order before it is reset.
const CLOSE_TIMEOUTS: u32 = 3;

/// What the application wants of its subflows.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) management: PathManagement,
    pub(super) profile: Profile,
    pub(super) max_subflows: u8,
    pub(super) local: LocalAddresses,
    /// How many subflows the latency profile with overflow has found worth having.
    pub(super) overflow: usize,
    /// Subflows that the application wants and another worker is about to open.
    pub(super) ordered: u8,
}

impl Policy {
    pub(super) fn new(management: PathManagement, profile: Profile, max_subflows: u8) -> Self {
        Self {
            management,
            profile,
            max_subflows: max_subflows.max(1),
            local: LocalAddresses::default(),
            overflow: 1,
            ordered: 0,
        }
    }

    pub(super) fn selection<'a>(&'a self, endpoints: &'a Endpoints) -> Selection<'a> {
        Selection {
            endpoints,
            management: self.management,
            local: &self.local,
        }
    }
}

impl Connection {
    /// Which endpoints the connection makes use of.
    pub fn path_management(&self) -> PathManagement {
        self.policy.management
    }

    /// Makes use of other endpoints from now on. Subflows there are stay; a path that the
    /// application removed before may be opened again.
    pub fn set_path_management(&mut self, management: PathManagement, cx: &mut Context<'_>) {
        if self.policy.management != management {
            self.policy.management = management;
            self.paths.lift_bars();
            self.replan(cx);
        }
    }

    /// How many subflows there may be at a time.
    pub fn max_subflows(&self) -> u8 {
        self.policy.max_subflows
    }

    /// Bounds the number of subflows; zero counts as one. Those beyond the bound are closed, the
    /// least useful first.
    pub fn set_max_subflows(&mut self, max: u8, cx: &mut Context<'_>) {
        self.policy.max_subflows = max.clamp(1, MAX_SUBFLOWS as u8);
        self.trim(usize::from(self.policy.max_subflows), cx);
        self.replan(cx);
    }

    /// The local addresses that were named for the connection; empty when it may use all.
    pub fn local_addresses(&self) -> &[IpAddr] {
        self.policy.local.as_slice()
    }

    /// True when subflows may begin or end at the local address.
    pub fn may_use(&self, local: IpAddr) -> bool {
        self.policy.local.allow(local)
    }

    /// Names the local addresses that the connection may use. Subflows on others are closed, the
    /// last one as soon as another is there.
    pub fn set_local_addresses(&mut self, local: LocalAddresses, cx: &mut Context<'_>) {
        self.policy.local = local;
        let mut handshakes = ArrayVec::<SubflowHandle, MAX_SUBFLOWS>::new();
        for view in &mut self.views {
            view.retiring = !self.policy.local.allow(view.path.local.ip());
            if view.retiring && view.phase == Phase::Handshake && view.id > 0 {
                // There are no more subflows than that.
                let _ = handshakes.try_push(view.handle);
            }
        }
        for handle in handshakes {
            self.reset_view(handle, Some(ResetReason::AdministrativelyProhibited), cx);
        }
        let address_ids = self.paths.withdraw(&self.policy.local);
        if !address_ids.is_empty()
            && self.is_confirmed()
            && let Some(handle) = self.best_view(None)
        {
            cx.counters.remove_addr_sent += 1;
            let option = MptcpOption::RemoveAddress { address_ids };
            cx.out.send(handle, ToSubflow::Signal(option));
        }
        self.replan(cx);
    }

    /// What the connection is to be good at.
    pub fn profile(&self) -> Profile {
        self.policy.profile
    }

    /// Makes the connection good at something else from now on: which subflows there are, and the
    /// scheduler, that of the profile or another.
    pub fn set_profile(&mut self, profile: Profile, scheduler: Scheduler, cx: &mut Context<'_>) {
        self.policy.profile = profile;
        self.policy.overflow = 1;
        self.published.prompt_probe = profile.counts_latency();
        self.use_scheduler(scheduler);
        if profile == Profile::LatencyStandby {
            self.trim(2, cx);
        } else {
            self.dismiss_standby(cx);
        }
        self.replan(cx);
    }

    /// Ranks a subflow; the peer is told where that makes it a backup, or no longer one.
    ///
    /// # Errors
    ///
    /// [`SubflowError::NoSuchSubflow`], [`SubflowError::NotMultipath`].
    pub fn set_priority(
        &mut self,
        id: u32,
        priority: SubflowPriority,
        cx: &mut Context<'_>,
    ) -> Result<(), SubflowError> {
        self.is_multipath_for_application()?;
        let view = self.views.iter_mut().find(|view| view.id == id);
        let view = view.ok_or(SubflowError::NoSuchSubflow)?;
        view.preferred = priority == SubflowPriority::Preferred;
        view.standby = false;
        let handle = view.handle;
        self.change_backup(handle, priority == SubflowPriority::Backup, cx);
        self.settle(cx);
        Ok(())
    }

    /// Judges a subflow that the application wants, whatever the path management: what to open.
    /// Answered by [`Self::subflow_opened`] without an attempt, if there is a route.
    ///
    /// Without `remote` it goes to the peer's address of the first subflow; port zero there
    /// stands for the port of that one.
    ///
    /// # Errors
    ///
    /// [`SubflowError`] but for [`SubflowError::NoSuchSubflow`] and [`SubflowError::LastSubflow`].
    pub fn want_subflow(
        &mut self,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
        backup: bool,
        endpoints: &Endpoints,
    ) -> Result<OpenSubflow, SubflowError> {
        self.is_multipath_for_application()?;
        let (Some(peer), true) = (self.peer, self.is_confirmed()) else {
            return Err(SubflowError::NotYet);
        };
        let first = self.paths.first().remote;
        let mut remote = remote.unwrap_or(first);
        if remote.port() == 0 {
            remote.set_port(first.port());
        }
        let family = |address: SocketAddr| address.is_ipv4() == remote.is_ipv4();
        if !is_usable(remote) || !local.is_none_or(family) {
            return Err(SubflowError::Addresses);
        }
        if remote == first && !peer.join_to_first_address {
            return Err(SubflowError::PeerForbids);
        }
        let source = local
            .map(|local| local.ip())
            .filter(|ip| !ip.is_unspecified());
        if source.is_some_and(|source| !self.may_use(source)) {
            return Err(SubflowError::LocalAddress);
        }
        if !self.has_room_for_one(&endpoints.limits) {
            return Err(SubflowError::TooMany);
        }
        Ok(OpenSubflow {
            attempt: None,
            local: source,
            local_port: local.map_or(0, |local| local.port()),
            remote,
            local_address_id: source
                .map(|source| self.local_address_id(endpoints, source))
                .unwrap_or_default(),
            remote_address_id: self.paths.remote_address_id(remote).unwrap_or_default(),
            backup,
            remote_token: peer.token,
            local_key: self.local_key,
            remote_key: peer.key,
        })
    }

    /// Closes a subflow that the application does not want; what it carries travels elsewhere, and
    /// its path is not opened again until the path management changes.
    ///
    /// # Errors
    ///
    /// [`SubflowError::NotMultipath`], [`SubflowError::NotYet`], [`SubflowError::NoSuchSubflow`],
    /// [`SubflowError::LastSubflow`].
    pub fn remove_subflow(&mut self, id: u32, cx: &mut Context<'_>) -> Result<(), SubflowError> {
        self.is_multipath_for_application()?;
        let view = self.views.iter().find(|view| view.id == id);
        let view = view.ok_or(SubflowError::NoSuchSubflow)?;
        let handle = view.handle;
        let is_other = |view: &SubflowView| view.handle != handle && view.is_ready();
        if !self.views.iter().any(is_other) {
            return Err(SubflowError::LastSubflow);
        }
        let (attempt, path) = (view.opener.attempt(), view.path);
        self.paths.bar(attempt, &path);
        self.retire(handle, cx);
        self.settle(cx);
        Ok(())
    }

    fn is_multipath_for_application(&self) -> Result<(), SubflowError> {
        match self.mode {
            _ if self.state.is_finished() => Err(SubflowError::Closing),
            Mode::Opening => Err(SubflowError::NotYet),
            Mode::Fallback(_) | Mode::AwaitingEcho { .. } => Err(SubflowError::NotMultipath),
            Mode::Multipath { .. } => Ok(()),
        }
    }

    fn is_confirmed(&self) -> bool {
        self.mode == Mode::Multipath { confirmed: true }
    }

    /// Subflows that are to stay.
    fn lasting(&self) -> impl Iterator<Item = &SubflowView> + '_ {
        self.views
            .iter()
            .filter(|view| !view.retiring && matches!(view.phase, Phase::Handshake | Phase::Ready))
    }

    /// True when neither the host's limits nor the connection's forbid one more subflow.
    pub(super) fn has_room_for_one(&self, limits: &Limits) -> bool {
        let requested = self.paths.requested() + usize::from(self.policy.ordered);
        self.views.len() + requested < limits.total_subflows()
            && self.lasting().count() + requested < usize::from(self.policy.max_subflows)
    }

    /// True when there are more subflows than the application wants.
    pub(super) fn has_too_many(&self) -> bool {
        self.lasting().count() > usize::from(self.policy.max_subflows)
    }

    /// True when the profile and the path management want one more subflow now.
    pub(super) fn wants_one_more(&self) -> bool {
        let live = self.lasting().filter(|view| !view.is_stale()).count();
        let by_profile = match self.policy.profile {
            Profile::Bulk => usize::MAX,
            Profile::LatencyOverflow => self.policy.overflow,
            Profile::LatencyStandby => 2,
        };
        let carried = self.send.snd_nxt.saturating_add(self.receive.in_order());
        let by_demand = match self.policy.management {
            PathManagement::OnDemand { after_bytes } if carried < after_bytes => 1,
            _ => usize::MAX,
        };
        live + self.paths.requested() < by_profile.min(by_demand)
    }

    /// True when a subflow that is opened now is to be a backup whatever its endpoint says.
    pub(super) fn wants_a_backup(&self) -> bool {
        self.policy.profile == Profile::LatencyStandby
            && self.lasting().any(|view| view.rank() == Rank::Regular)
    }

    /// Plans the paths anew.
    fn replan(&mut self, cx: &mut Context<'_>) {
        if self.paths.is_active() {
            if self.policy.management.opens() {
                let first = self.paths.first();
                let first_is_gone = !self.views.iter().any(|view| {
                    view.path.local.ip() == first.local.ip() && view.path.remote == first.remote
                });
                self.plan_paths(Some(first_is_gone), cx);
            } else {
                self.paths.want_nothing_new();
                self.plan_paths(None, cx);
            }
        }
        self.settle(cx);
    }

    /// Closes the least useful subflows until `keep` are left: those in their handshake, then
    /// those that do not answer, then backups, then those that carried the least, the slower of
    /// two first.
    fn trim(&mut self, keep: usize, cx: &mut Context<'_>) {
        if !matches!(self.mode, Mode::Multipath { .. }) {
            return;
        }
        let mut order: ArrayVec<_, MAX_SUBFLOWS> = self
            .lasting()
            .take(MAX_SUBFLOWS)
            .map(|view| {
                let carried = view.granted.saturating_add(view.bytes_received);
                let rtt = view.progress.smoothed_rtt.unwrap_or(Duration::MAX);
                let usefulness = (
                    !view.is_ready(),
                    view.rank(),
                    !view.preferred,
                    Reverse(carried),
                    rtt,
                );
                (usefulness, view.handle)
            })
            .collect();
        order.sort_by_key(|(usefulness, _)| *usefulness);
        for (_, handle) in order.into_iter().skip(keep.max(1)) {
            self.retire(handle, cx);
        }
    }

    /// Gives a subflow up: in order where it works, and what it carries travels elsewhere too.
    fn retire(&mut self, handle: SubflowHandle, cx: &mut Context<'_>) {
        let patience = self.data_timeout().max(Duration::from_secs(1)) * CLOSE_TIMEOUTS;
        let Some(view) = self.view_mut(handle) else {
            return;
        };
        if view.phase == Phase::Ready && !view.is_stale() {
            view.phase = Phase::Closing;
            view.remarks_mut().close_due = Some(cx.now + patience);
            cx.out.send(handle, ToSubflow::Close);
            self.reinject_ledger(handle, cx);
        } else {
            self.reset_view(handle, Some(ResetReason::Unspecified), cx);
        }
    }

    /// Resets the subflows that were to end in order and have not.
    pub(super) fn reset_lingering(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.views.len() {
            if let Some(view) = self.views.get_mut(index)
                && view.remarks().close_due.is_some_and(|due| due <= cx.now)
            {
                view.remarks_mut().close_due = None;
                let handle = view.handle;
                self.reset_view(handle, Some(ResetReason::Unspecified), cx);
            }
        }
    }

    /// Does what the policy asks of the subflows there are: after every change.
    pub(super) fn heed_policy(&mut self, cx: &mut Context<'_>) {
        if !self.is_confirmed() || self.state.is_finished() {
            return;
        }
        self.retire_unwanted(cx);
        self.call_up_backups(cx);
        match self.policy.profile {
            Profile::Bulk => {}
            Profile::LatencyOverflow => self.note_overflow(),
            Profile::LatencyStandby => self.arrange_standby(cx),
        }
    }

    /// Closes subflows on addresses that may not be used any more, once another one works.
    fn retire_unwanted(&mut self, cx: &mut Context<'_>) {
        if !self.views.iter().any(|view| view.retiring) {
            return;
        }
        let replaced = self
            .lasting()
            .any(|view| view.is_ready() && !view.is_stale());
        if !replaced {
            return;
        }
        for index in 0..self.views.len() {
            if let Some(view) = self.views.get_mut(index)
                && view.retiring
                && view.is_ready()
            {
                let handle = view.handle;
                self.retire(handle, cx);
            }
        }
    }

    /// The latency profile with overflow: data waits and no subflow has room for a segment, so
    /// one more is worth having.
    fn note_overflow(&mut self) {
        let unsent = self.send.unsent();
        let waits = unsent.start < unsent.end.min(self.send.window_edge);
        let full = |view: &SubflowView| view.is_ready() && view.room() < view.segment_size();
        let live = || self.lasting().filter(|view| !view.is_stale());
        if waits && live().all(full) {
            self.policy.overflow = self.policy.overflow.max(live().count() + 1);
        }
    }

    /// The latency profile with hot standby: one subflow is for regular use, the others are
    /// backups.
    fn arrange_standby(&mut self, cx: &mut Context<'_>) {
        let ready = || self.lasting().filter(|view| view.is_ready());
        let regular = ready().filter(|view| !view.is_backup()).count();
        if regular == 1 {
            return;
        }
        let best = ready().min_by_key(|view| {
            let rtt = view.progress.smoothed_rtt.unwrap_or(Duration::MAX);
            (view.rank(), !view.preferred, rtt, view.id)
        });
        let Some(primary) = best.map(|view| view.handle) else {
            return;
        };
        if regular == 0 {
            if let Some(view) = self.view_mut(primary) {
                view.standby = false;
            }
            self.change_backup(primary, false, cx);
            return;
        }
        for index in 0..self.views.len() {
            let Some(view) = self.views.get_mut(index) else {
                break;
            };
            if view.handle != primary && view.is_ready() && !view.is_backup() && !view.retiring {
                view.standby = true;
                let handle = view.handle;
                self.change_backup(handle, true, cx);
            }
        }
    }

    /// Backups that only the standby profile made such are regular ones again.
    fn dismiss_standby(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.views.len() {
            let Some(view) = self.views.get_mut(index) else {
                break;
            };
            if core::mem::take(&mut view.standby) {
                let handle = view.handle;
                self.change_backup(handle, false, cx);
            }
        }
    }
}
