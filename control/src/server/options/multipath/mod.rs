//! The options of Multipath TCP: draft-scharf-mptcp-api-01 section 6, RFC 6897 section 5, and
//! Linux's SOL_MPTCP.
//!
//! - `parse`: what stands in a value; `change`: what can be set, on a socket of any state;
//! - `setting`: the options that such a change answers to; `addresses`: which local addresses;
//! - `subflows`: lists of subflows, and what is done to one;
//! - `snapshot`: a connection at one moment; `linux`: that moment in the layouts of linux/mptcp.h.

mod addresses;
mod change;
mod linux;
mod parse;
mod setting;
mod snapshot;
mod subflows;

use braid_shm::abi::{
    IPPROTO_TCP, SOL_MPTCP, TCP_IS_MPTCP, TCP_MP_ADD_SUBFLOW, TCP_MP_ADDRESSES, TCP_MP_CONNID,
    TCP_MP_ENABLE, TCP_MP_MAX_SUBFLOWS, TCP_MP_PATH_MANAGER, TCP_MP_PRIORITY, TCP_MP_PROFILE,
    TCP_MP_REDUNDANCY, TCP_MP_REMOVE_SUBFLOW, TCP_MP_SCHEDULER, TCP_MP_SUBFLOWS, TCP_MULTIPATH_ADD,
    TCP_MULTIPATH_CONNID, TCP_MULTIPATH_ENABLE, TCP_MULTIPATH_REMOVE, TCP_MULTIPATH_SUBFLOWS,
};

use super::{Outcome, value};
use crate::server::control::Control;
use crate::server::host::WorkerGone;
use crate::server::socket::{State, Wish};
use crate::server::table::Key;
use addresses::AddressChange;
use linux::Linux;
use setting::Setting;
use subflows::{Listing, Order};

const DONE: Outcome = Ok((0, Vec::new()));

/// An option, by what it means.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Multipath {
    /// TCP_MP_ENABLE (the draft's section 5.1) and TCP_MULTIPATH_ENABLE (RFC 6897 section 5.3.2);
    /// the first makes the socket aware.
    Enable {
        /// The draft's.
        aware: bool,
    },
    /// TCP_MP_CONNID and TCP_MULTIPATH_CONNID.
    ConnectionId,
    /// Linux's TCP_IS_MPTCP.
    InUse,
    /// What is set and read in any state.
    Setting(Setting),
    /// Which local addresses a connection uses.
    Addresses(AddressChange),
    /// The subflows, to be read.
    Listing(Listing),
    /// What is done to a subflow, to be set.
    Order(Order),
    /// At SOL_MPTCP, to be read.
    Linux(Linux),
}

impl Multipath {
    /// The option of that number.
    pub(super) fn of(level: i32, name: i32) -> Option<Self> {
        match level {
            IPPROTO_TCP => Self::of_tcp(name),
            SOL_MPTCP => Linux::of(name).map(Self::Linux),
            _ => None,
        }
    }

    fn of_tcp(name: i32) -> Option<Self> {
        Some(match name {
            TCP_MP_ENABLE => Self::Enable { aware: true },
            TCP_MULTIPATH_ENABLE => Self::Enable { aware: false },
            TCP_MP_CONNID | TCP_MULTIPATH_CONNID => Self::ConnectionId,
            TCP_IS_MPTCP => Self::InUse,
            TCP_MP_PROFILE => Self::Setting(Setting::Profile),
            TCP_MP_MAX_SUBFLOWS => Self::Setting(Setting::MaxSubflows),
            TCP_MP_SCHEDULER => Self::Setting(Setting::Scheduler),
            TCP_MP_PATH_MANAGER => Self::Setting(Setting::PathManager),
            TCP_MP_REDUNDANCY => Self::Setting(Setting::Redundancy),
            TCP_MP_ADDRESSES => Self::Addresses(AddressChange::Replace),
            TCP_MULTIPATH_ADD => Self::Addresses(AddressChange::Add),
            TCP_MULTIPATH_REMOVE => Self::Addresses(AddressChange::Remove),
            TCP_MP_SUBFLOWS => Self::Listing(Listing::Full),
            TCP_MULTIPATH_SUBFLOWS => Self::Listing(Listing::Pairs),
            TCP_MP_ADD_SUBFLOW => Self::Order(Order::Add),
            TCP_MP_REMOVE_SUBFLOW => Self::Order(Order::Remove),
            TCP_MP_PRIORITY => Self::Order(Order::Rank),
            _ => return None,
        })
    }
}

impl Control {
    pub(super) fn set_multipath(
        &mut self,
        key: Key,
        option: Multipath,
        bytes: &[u8],
    ) -> Result<Outcome, WorkerGone> {
        match option {
            Multipath::Enable { aware } => Ok(self.set_enable(key, aware, bytes)),
            Multipath::Setting(setting) => match setting.parse(bytes) {
                Ok(change) => self.apply(key, change),
                Err(errno) => Ok(Err(errno)),
            },
            Multipath::Addresses(change) => self.set_addresses(key, change, bytes),
            Multipath::Order(order) => self.order(key, order, bytes),
            Multipath::ConnectionId
            | Multipath::InUse
            | Multipath::Listing(_)
            | Multipath::Linux(_) => Ok(Err(libc::EINVAL)),
        }
    }

    fn set_enable(&mut self, key: Key, aware: bool, bytes: &[u8]) -> Outcome {
        let socket = self.sockets.get_mut(key).ok_or(libc::EBADF)?;
        let wish = match value::exact_int(bytes)? {
            0 => Wish::Disabled,
            1 if aware => Wish::Aware,
            // RFC 6897 takes any value above zero.
            1.. if !aware => Wish::Enabled,
            _ => return Err(libc::EINVAL),
        };
        match socket.state {
            State::Open { .. } => {
                socket.wish = wish;
                socket.handle.set_flags(socket.flags());
                DONE
            }
            State::Listening { .. } => Err(libc::EINVAL),
            State::Connected { .. } | State::Lost { .. } | State::Ending { .. } => {
                Err(libc::EISCONN)
            }
        }
    }

    pub(super) fn get_multipath(
        &mut self,
        key: Key,
        option: Multipath,
        argument: &[u8],
        capacity: usize,
    ) -> Result<Outcome, WorkerGone> {
        match option {
            Multipath::Enable { .. } => {
                let enabled = self.is_enabled(key)?;
                Ok(enabled.and_then(|enabled| value::answer(enabled.into(), capacity)))
            }
            Multipath::InUse => {
                let used = self.uses_multipath(key)?;
                Ok(used.map(|used| (0, value::of_int(used.unwrap_or(false).into()))))
            }
            Multipath::ConnectionId => self.connection_id(key, capacity),
            Multipath::Setting(setting) => self.get_setting(key, setting, capacity),
            Multipath::Addresses(AddressChange::Replace) => self.get_addresses(key, capacity),
            Multipath::Listing(listing) => self.list_subflows(key, listing, capacity),
            Multipath::Linux(linux) => self.get_linux(key, linux, argument, capacity),
            Multipath::Addresses(AddressChange::Add | AddressChange::Remove)
            | Multipath::Order(_) => Ok(Err(libc::EINVAL)),
        }
    }

    /// Before there is a connection the wish, afterwards what came of it.
    fn is_enabled(&self, key: Key) -> Result<Result<bool, i32>, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let wished = self.wants_multipath(socket, None);
        Ok(self.uses_multipath(key)?.map(|used| used.unwrap_or(wished)))
    }

    /// Whether the connection uses Multipath TCP; `None` without a connection.
    fn uses_multipath(&self, key: Key) -> Result<Result<Option<bool>, i32>, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let Some(connection) = socket.connection() else {
            return Ok(Ok(None));
        };
        let settings = self
            .hosts
            .call_home(connection, |turn, id| turn.stack.connection_settings(id))?;
        Ok(Ok(Some(
            settings.is_some_and(|settings| settings.multipath),
        )))
    }

    fn connection_id(&self, key: Key, capacity: usize) -> Result<Outcome, WorkerGone> {
        let snapshot = match self.snapshot(key)? {
            Ok(snapshot) => snapshot,
            Err(errno) => return Ok(Err(errno)),
        };
        if snapshot.info.fallback.is_some() {
            return Ok(Err(libc::EOPNOTSUPP));
        }
        let token = snapshot.info.local_token.0.to_ne_bytes();
        Ok(if capacity < token.len() {
            Err(libc::EINVAL)
        } else {
            Ok((0, token.to_vec()))
        })
    }
}
