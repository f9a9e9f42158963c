//! TCP_MP_PROFILE, _MAX_SUBFLOWS, _SCHEDULER, _PATH_MANAGER and _REDUNDANCY: what is in effect, and
//! what a value of them asks for (the draft's sections 6.1 and 6.2).

use braid_engine::mptcp::connection::MAX_REDUNDANCY;
use braid_engine::mptcp::path_manager::{MAX_SUBFLOWS, PathManagement};
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::{Profile, SocketOptions};
use braid_engine::stack::{ConnectionSettings, Stack};
use braid_shm::abi::options::tcp_mp_path_manager;

use super::change::Change;
use super::{Outcome, parse};
use crate::server::control::Control;
use crate::server::host::{Turn, WorkerGone};
use crate::server::options::value;
use crate::server::table::Key;

/// An option that is set and read in any state.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::server::options) enum Setting {
    Profile,
    MaxSubflows,
    Scheduler,
    PathManager,
    Redundancy,
}

impl Setting {
    pub(super) fn parse(self, bytes: &[u8]) -> Result<Change, i32> {
        Ok(match self {
            Self::Profile => Change::Profile(parse::profile(bytes)?),
            Self::MaxSubflows => Change::MaxSubflows(parse::max_subflows(bytes)?),
            Self::Scheduler => Change::Scheduler(parse::scheduler(bytes)?),
            Self::PathManager => Change::PathManagement(parse::path_management(bytes)?),
            Self::Redundancy => Change::Redundancy(parse::redundancy(bytes)?),
        })
    }
}

/// What is in effect, or would be on a connection set up now.
#[derive(Copy, Clone, Debug)]
struct Effective {
    profile: Profile,
    max_subflows: u8,
    scheduler: Scheduler,
    path_management: PathManagement,
    redundancy: u8,
}

impl Effective {
    fn of_connection(settings: &ConnectionSettings) -> Self {
        Self {
            profile: settings.profile,
            max_subflows: settings.max_subflows,
            scheduler: settings.scheduler,
            path_management: settings.path_management,
            redundancy: settings.redundancy,
        }
    }

    fn of_options(options: &SocketOptions, stack: &Stack) -> Self {
        let defaults = stack.defaults();
        let profile = options.profile.unwrap_or(defaults.profile);
        let scheduler = options.scheduler.unwrap_or(match options.profile {
            Some(profile) => profile.scheduler(),
            None => defaults.scheduler.unwrap_or(profile.scheduler()),
        });
        let bound = MAX_SUBFLOWS as u8;
        Self {
            profile,
            max_subflows: options.max_subflows.unwrap_or(bound),
            scheduler,
            path_management: options.path_management.unwrap_or(defaults.path_management),
            redundancy: options.redundancy.unwrap_or(match scheduler {
                Scheduler::Redundant => MAX_REDUNDANCY,
                _ => 1,
            }),
        }
    }

    fn bytes(&self, setting: Setting) -> Vec<u8> {
        match setting {
            Setting::Profile => value::of_int(self.profile.number().into()),
            Setting::MaxSubflows => value::of_int(self.max_subflows.into()),
            Setting::Redundancy => value::of_int(self.redundancy.into()),
            Setting::Scheduler => value::of_name(self.scheduler.name()),
            Setting::PathManager => {
                let mut name = [0; 16];
                for (to, &byte) in name.iter_mut().zip(self.path_management.name().as_bytes()) {
                    *to = byte;
                }
                let threshold = self.path_management.after_bytes();
                tcp_mp_path_manager { name, threshold }.to_bytes().to_vec()
            }
        }
    }
}

impl Control {
    pub(super) fn get_setting(
        &self,
        key: Key,
        setting: Setting,
        capacity: usize,
    ) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let options = socket.options.clone();
        let of_options = move |turn: &mut Turn<'_>| Effective::of_options(&options, turn.stack);
        let effective = match socket.connection() {
            None => self.hosts.call_first(of_options)?,
            Some(connection) => self.hosts.call_home(connection, move |turn, connection| {
                turn.stack
                    .connection_settings(connection)
                    .map_or_else(|| of_options(turn), |it| Effective::of_connection(&it))
            })?,
        };
        let bytes = effective.bytes(setting);
        // Of a name as much as fits, as TCP_CONGESTION gives it; a number whole or not at all.
        Ok(if setting != Setting::Scheduler && capacity < bytes.len() {
            Err(libc::EINVAL)
        } else {
            Ok((0, bytes))
        })
    }
}
