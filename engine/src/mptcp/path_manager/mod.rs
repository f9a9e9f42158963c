//! Which paths a connection uses: its own endpoints, the addresses the peer announced, and the
//! subflows between them (RFC 8684 section 3.4).

mod announce;
mod attempt;
mod endpoint;
mod limits;
mod local_addresses;
mod management;
mod selection;

pub use endpoint::{Endpoint, EndpointError, EndpointFlags, Endpoints, MAX_ENDPOINTS};
pub use limits::{Limits, MAX_SUBFLOWS};
pub use local_addresses::LocalAddresses;
pub use management::PathManagement;

use super::connection::{ConnectionConfig, SubflowPath};
use super::message::SubflowEnd;
use crate::time::Instant;
use announce::Announcements;
pub(crate) use announce::{Announcement, RepeatPolicy};
use arrayvec::ArrayVec;
pub(crate) use attempt::{Attempt, RetryPolicy};
use attempt::{Attempts, Outcome};
use core::net::{IpAddr, SocketAddr};
pub(crate) use selection::Selection;
use selection::Source;

/// At most this many addresses of one peer are remembered.
const MAX_REMOTE_ADDRESSES: usize = 32;

/// At most this many local addresses that are no endpoints get an identifier.
const MAX_IMPLICIT: usize = 8;

/// Every endpoint, every address that the application named, and that of the first subflow.
const MAX_SOURCES: usize = 2 * MAX_ENDPOINTS + 1;

/// An address that the peer announced and that is used.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct RemoteAddress {
    id: u8,
    address: SocketAddr,
}

/// The paths of one connection.
#[derive(Debug)]
pub(crate) struct PathManager {
    first: SubflowPath,
    active: bool,
    announcements: Announcements,
    remote: Vec<RemoteAddress>,
    attempts: Attempts,
    implicit: Vec<IpAddr>,
    /// The peer removed the address of the first subflow.
    first_removed: bool,
}

impl PathManager {
    /// The paths of a connection that begins with one on `first`. It does nothing until started.
    pub(crate) fn new(first: SubflowPath) -> Self {
        Self {
            first,
            active: false,
            announcements: Announcements::default(),
            remote: Vec::new(),
            attempts: Attempts::default(),
            implicit: Vec::new(),
            first_removed: false,
        }
    }

    /// MPTCP is confirmed: addresses may be announced and subflows opened.
    pub(crate) fn start(&mut self) {
        self.active = true;
    }

    /// No more subflows: the connection is closing or regular TCP.
    pub(crate) fn stop(&mut self) {
        self.active = false;
        self.announcements.clear();
        self.attempts.clear();
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    /// How many addresses were announced to the peer.
    pub(crate) fn announced(&self) -> u8 {
        self.announcements.len() as u8
    }

    /// How many of the peer's announced addresses are used.
    pub(crate) fn accepted(&self) -> u8 {
        self.remote.len() as u8
    }

    /// The identifier of a local address: 0 on the first subflow, that of its endpoint, or one
    /// from the top of the range for an address that is no endpoint.
    pub(crate) fn local_address_id(&mut self, endpoints: &Endpoints, local: IpAddr) -> u8 {
        if local == self.first.local.ip() {
            return 0;
        }
        if let Some(endpoint) = endpoints.by_address(local) {
            return endpoint.id;
        }
        let known = self.implicit.iter().position(|address| *address == local);
        let index = known.unwrap_or_else(|| {
            let index = self.implicit.len();
            // With the list full the last identifier stands for all that come.
            if index >= MAX_IMPLICIT {
                return MAX_IMPLICIT - 1;
            }
            self.implicit.reserve_exact(1);
            self.implicit.push(local);
            index
        });
        u8::MAX - index as u8
    }

    /// Queues what of the connection's endpoints is to be announced and was not.
    pub(crate) fn announce(&mut self, selection: Selection<'_>, now: Instant) {
        for endpoint in selection.announced() {
            let is_first = endpoint.address == self.first.local.ip()
                && endpoint
                    .port
                    .is_none_or(|port| port == self.first.local.port());
            if !is_first {
                self.announcements.add(endpoint, now);
            }
        }
    }

    /// Takes back what was announced and is no longer among the connection's addresses: the
    /// identifiers that the peer is to forget.
    pub(crate) fn withdraw(&mut self, local: &LocalAddresses) -> ArrayVec<u8, 16> {
        self.announcements.withdraw(|address| local.allow(address))
    }

    /// The next announcement that is due; it counts as sent.
    pub(crate) fn next_announcement(
        &mut self,
        now: Instant,
        policy: RepeatPolicy,
    ) -> Option<Announcement> {
        self.announcements.next_due(now, policy)
    }

    /// The peer has echoed an announcement.
    pub(crate) fn echoed(&mut self, id: u8) {
        self.announcements.echoed(id);
    }

    /// Takes an announced address of the peer. False when it is known or over the limit.
    pub(crate) fn accept(&mut self, id: u8, address: SocketAddr, limits: Limits) -> bool {
        if id == 0 || address == self.first.remote {
            return false;
        }
        if let Some(known) = self.remote.iter_mut().find(|known| known.id == id) {
            let moved = known.address != address;
            if moved {
                self.attempts.forget_remote(id);
                known.address = address;
            }
            return moved;
        }
        let most = usize::from(limits.add_addr_accepted).min(MAX_REMOTE_ADDRESSES);
        let accepted = self.remote.len() < most;
        if accepted {
            // There are few, on many connections.
            self.remote.reserve_exact(1);
            self.remote.push(RemoteAddress { id, address });
        }
        accepted
    }

    /// The peer has removed an address. True when it was known.
    pub(crate) fn remote_removed(&mut self, id: u8) -> bool {
        self.attempts.forget_remote(id);
        if id == 0 {
            self.first_removed = true;
            return true;
        }
        let before = self.remote.len();
        self.remote.retain(|known| known.id != id);
        self.remote.len() < before
    }

    /// Notes every subflow that the connection's endpoints ask for. False when they are too many.
    pub(crate) fn plan(&mut self, selection: Selection<'_>, to_first: bool, now: Instant) -> bool {
        if !selection.management.opens() {
            return true;
        }
        let sources = self.sources(selection);
        let first_local = self.first.local.ip();
        let mut complete = true;
        for source in &sources {
            let wanted = source.address != first_local && source.reaches(self.first.remote);
            if to_first && !self.first_removed && wanted {
                let attempt = from(source, self.first.remote, 0);
                complete &= self.attempts.add(attempt, now);
            }
        }
        for index in 0..self.remote.len() {
            let Some(&RemoteAddress { id, address }) = self.remote.get(index) else {
                break;
            };
            let mut meshed = sources
                .iter()
                .filter(|source| source.meshed && source.reaches(address))
                .peekable();
            if meshed.peek().is_none() {
                // The stack chooses among the addresses that the connection may use.
                let any = Attempt {
                    local: None,
                    local_address_id: 0,
                    remote: address,
                    remote_address_id: id,
                    backup: false,
                };
                complete &= self.attempts.add(any, now);
            }
            for source in meshed {
                complete &= self.attempts.add(from(source, address, id), now);
            }
        }
        complete
    }

    /// Plans anew after the application changed what it wants: what was given up before may be
    /// wanted now. With `first_is_gone` the path of the first subflow is wanted too.
    pub(crate) fn replan(
        &mut self,
        selection: Selection<'_>,
        to_first: bool,
        first_is_gone: bool,
        now: Instant,
    ) -> bool {
        self.attempts.keep_running();
        let first = self.first.local.ip();
        let again = first_is_gone && to_first && !self.first_removed;
        let mut complete = true;
        if again && selection.management.opens() && selection.local.allow(first) {
            let attempt = Attempt {
                local: Some(first),
                local_address_id: 0,
                remote: self.first.remote,
                remote_address_id: 0,
                backup: false,
            };
            complete = self.attempts.add(attempt, now);
        }
        complete & self.plan(selection, to_first, now)
    }

    /// The local addresses that subflows are opened from.
    fn sources(&mut self, selection: Selection<'_>) -> ArrayVec<Source, MAX_SOURCES> {
        let first = self.first.local.ip();
        let mesh = selection.management == PathManagement::Fullmesh;
        let mut sources = ArrayVec::new();
        let is_source =
            |sources: &[Source], address| sources.iter().any(|source| source.address == address);
        for mut source in selection.sources() {
            if source.address == first {
                source.id = 0;
            }
            // Never full: there are no more endpoints and named addresses than it has room for.
            let _ = sources.try_push(source);
        }
        for address in selection.named() {
            let _ = sources.try_push(Source {
                address,
                id: self.local_address_id(selection.endpoints, address),
                backup: false,
                meshed: mesh,
            });
        }
        if mesh && selection.local.allow(first) && !is_source(&sources, first) {
            let _ = sources.try_push(Source {
                address: first,
                id: 0,
                backup: false,
                meshed: true,
            });
        }
        sources
    }

    /// The application removed the subflow of this path: it is not opened again by itself.
    pub(crate) fn bar(&mut self, attempt: Option<u32>, path: &SubflowPath) {
        self.attempts.bar(attempt, path.local.ip(), path.remote);
    }

    /// Lifts every such bar.
    pub(crate) fn lift_bars(&mut self) {
        self.attempts.lift_bars();
    }

    /// The path of the first subflow.
    pub(crate) fn first(&self) -> SubflowPath {
        self.first
    }

    /// The identifier of an address of the peer, as far as it is known.
    pub(crate) fn remote_address_id(&self, remote: SocketAddr) -> Option<u8> {
        let announced = self.remote.iter().find(|known| known.address == remote);
        announced
            .map(|known| known.id)
            .or((remote == self.first.remote).then_some(0))
    }

    /// No path is wanted any more but those there are.
    pub(crate) fn want_nothing_new(&mut self) {
        self.attempts.keep_running();
    }

    /// The next attempt that is due; it counts as under way.
    pub(crate) fn next_attempt(&mut self, now: Instant) -> Option<(u32, Attempt)> {
        self.attempts.next_due(now)
    }

    /// Attempts that the stack was asked for and has not answered.
    pub(crate) fn requested(&self) -> usize {
        self.attempts.requested()
    }

    /// The stack opened a subflow for the attempt.
    pub(crate) fn opened(&mut self, attempt: u32) {
        self.attempts.opened(attempt);
    }

    /// The attempt's subflow is ready.
    pub(crate) fn established(&mut self, attempt: u32, now: Instant) {
        self.attempts.established(attempt, now);
    }

    /// The stack could not open a subflow for the attempt.
    pub(crate) fn not_opened(&mut self, attempt: u32, now: Instant, policy: RetryPolicy) {
        self.attempts.ended(attempt, Outcome::NoAnswer, now, policy);
    }

    /// A subflow that this side opened is gone.
    pub(crate) fn ended(
        &mut self,
        attempt: Option<u32>,
        path: &SubflowPath,
        end: SubflowEnd,
        now: Instant,
        policy: RetryPolicy,
    ) {
        let outcome = Outcome::from(end);
        match attempt {
            Some(attempt) => self.attempts.ended(attempt, outcome, now, policy),
            None if outcome == Outcome::NoAnswer
                && self.active
                && !self.first_removed
                && path.remote == self.first.remote =>
            {
                // The first subflow: its path is worth another try. One that the peer opened is
                // the peer's to try again; the port it came from takes no SYN.
                let again = Attempt {
                    local: Some(path.local.ip()),
                    local_address_id: path.local_address_id,
                    remote: path.remote,
                    remote_address_id: path.remote_address_id,
                    backup: path.backup,
                };
                self.attempts.add(again, now + policy.interval);
            }
            None => {}
        }
    }

    /// Subflows from a local address are to be backups, or no longer.
    pub(crate) fn set_backup_from(&mut self, local: IpAddr, backup: bool) {
        self.attempts.set_backup_from(local, backup);
    }

    /// A local address works again: what was lost on it is tried at once.
    pub(crate) fn address_returned(&mut self, local: IpAddr, now: Instant) {
        self.attempts.retry_from(local, now);
    }

    /// A local address is gone for good; the identifier it was announced by, if it was.
    pub(crate) fn address_gone(&mut self, local: IpAddr) -> Option<u8> {
        self.attempts.forget_local(local);
        self.announcements.remove(local)
    }

    /// When an announcement is due next.
    pub(crate) fn next_announcement_due(&self) -> Option<Instant> {
        self.announcements.next_timeout()
    }

    /// When an attempt is due next.
    pub(crate) fn next_attempt_due(&self) -> Option<Instant> {
        self.attempts.next_timeout()
    }
}

/// The attempt from a source to an address of the peer.
fn from(source: &Source, remote: SocketAddr, remote_address_id: u8) -> Attempt {
    Attempt {
        local: Some(source.address),
        local_address_id: source.id,
        remote,
        remote_address_id,
        backup: source.backup,
    }
}

impl RetryPolicy {
    /// What the configuration asks for.
    pub(crate) fn of(config: &ConnectionConfig) -> Self {
        Self {
            interval: config.rejoin_interval,
            interval_max: config.rejoin_interval_max,
        }
    }
}
