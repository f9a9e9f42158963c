//! Requests that change the engine: endpoints, limits, settings.

use std::net::IpAddr;

use braid_engine::congestion::ControllerKind;
use braid_engine::mptcp::path_manager::{
    Endpoint, EndpointFlags, Endpoints, Limits, MAX_SUBFLOWS, PathManagement,
};
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::{Profile, SocketError, SocketOptions};
use braid_engine::stack::{ConnectionId, Defaults, Stack};
use braid_engine::time::Instant;

use super::super::control::Control;
use super::super::home::ConnectionName;
use super::super::host::{Turn, WorkerGone};
use super::show::{FLAGS, endpoint_row, no_connection, settings_row, threshold};
use crate::management::{EndpointRow, LimitsRow, NewEndpoint, Settings, SettingsRow};

/// The most subflows beyond the first.
const FURTHER_SUBFLOWS: u8 = MAX_SUBFLOWS as u8 - 1;

impl Control {
    pub(super) fn add_endpoint(
        &self,
        new: &NewEndpoint,
    ) -> Result<Result<EndpointRow, String>, WorkerGone> {
        let new = new.clone();
        let choose = move |turn: &mut Turn<'_>| {
            check_address(turn.stack, new.address)?;
            let id = match new.id {
                Some(id) => id,
                None => free_id(turn.stack.endpoints())?,
            };
            let flags: EndpointFlags = FLAGS
                .into_iter()
                .filter(|(name, _)| new.flags.contains(name))
                .map(|(_, flag)| flag)
                .collect();
            Ok(Endpoint {
                id,
                address: new.address,
                port: new.port,
                flags,
            })
        };
        let add = |turn: &mut Turn<'_>, endpoint| {
            let added = turn.stack.add_endpoint(turn.now, endpoint);
            added.map(|()| endpoint).map_err(|error| error.to_string())
        };
        let added = self.hosts.call_alike(
            move |turn| choose(turn).and_then(|endpoint| add(turn, endpoint)),
            add,
            |turn, endpoint| {
                turn.stack.remove_endpoint(turn.now, endpoint.id);
            },
        )?;
        Ok(added.map(|added| endpoint_row(&added.of_first())))
    }

    pub(super) fn delete_endpoint(
        &self,
        id: u8,
    ) -> Result<Result<EndpointRow, String>, WorkerGone> {
        let deleted = self.hosts.call_all(move |turn| {
            let Some(&endpoint) = turn.stack.endpoints().by_id(id) else {
                return Err(format!(
                    "there is no endpoint {id}: `braid show endpoints` lists them"
                ));
            };
            turn.stack.remove_endpoint(turn.now, id);
            Ok(endpoint_row(&endpoint))
        })?;
        Ok(deleted.of_first())
    }

    pub(super) fn flush_endpoints(&self) -> Result<Vec<EndpointRow>, WorkerGone> {
        let flushed = self.hosts.call_all(|turn| {
            let all: Vec<Endpoint> = turn.stack.endpoints().iter().copied().collect();
            for endpoint in &all {
                turn.stack.remove_endpoint(turn.now, endpoint.id);
            }
            all.iter().map(endpoint_row).collect()
        })?;
        Ok(flushed.of_first())
    }

    /// Changes the limits that are given, to the most there may be; the answer is all of them.
    pub(super) fn set_limits(
        &self,
        subflows: Option<u8>,
        add_addr_accepted: Option<u8>,
    ) -> Result<LimitsRow, WorkerGone> {
        let set = self.hosts.call_all(move |turn| {
            let old = turn.stack.endpoints().limits;
            let limits = Limits {
                subflows: subflows.unwrap_or(old.subflows).min(FURTHER_SUBFLOWS),
                add_addr_accepted: add_addr_accepted.unwrap_or(old.add_addr_accepted),
            };
            if limits != old {
                turn.stack.set_limits(turn.now, limits);
            }
            LimitsRow {
                subflows: limits.subflows,
                add_addr_accepted: limits.add_addr_accepted,
            }
        })?;
        Ok(set.of_first())
    }

    /// Changes settings of a connection, or of those to come: all of it or nothing.
    pub(super) fn set(
        &mut self,
        connection: Option<u64>,
        settings: &Settings,
    ) -> Result<Result<SettingsRow, String>, WorkerGone> {
        let change = match Change::parse(settings) {
            Ok(change) => change,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match connection {
            Some(id) => self.set_connection(id, change),
            None => self.set_defaults(change),
        }
    }

    fn set_connection(
        &mut self,
        id: u64,
        change: Change,
    ) -> Result<Result<SettingsRow, String>, WorkerGone> {
        let name = ConnectionName::of_number(id);
        if !self.hosts.is_living(name.home) {
            return Ok(Err(no_connection(id)));
        }
        let changed = self.hosts.call_home(name, move |turn, connection| {
            change
                .apply(turn.now, turn.stack, connection)
                .map_err(|error| match error {
                    SocketError::BadHandle => no_connection(id),
                    error => error.to_string(),
                })?;
            let settings = turn.stack.connection_settings(connection);
            settings
                .map(|settings| settings_row(&settings))
                .ok_or_else(|| no_connection(id))
        })?;
        let holders = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.connection() == Some(name));
        let holder = holders.map(|(key, _)| key).next();
        if changed.is_ok()
            && let Some(socket) = holder.and_then(|key| self.sockets.get_mut(key))
        {
            // Its program sees by getsockopt() what is in effect.
            change.note(&mut socket.options);
        }
        Ok(changed)
    }

    fn set_defaults(&mut self, change: Change) -> Result<Result<SettingsRow, String>, WorkerGone> {
        let changed = self.hosts.call_all(move |turn| {
            let mut defaults = turn.stack.defaults();
            change.change_defaults(&mut defaults);
            turn.stack
                .set_defaults(defaults)
                .map_err(|error| error.to_string())?;
            Ok(defaults)
        })?;
        Ok(changed.of_first().map(|defaults| {
            // What sockets without a connection say of their options.
            let stack = &mut self.config.stack;
            stack.profile = defaults.profile;
            stack.scheduler = defaults.scheduler;
            stack.congestion = defaults.congestion;
            stack.path_management = defaults.path_management;
            defaults_row(&defaults)
        }))
    }
}

fn check_address(stack: &Stack, address: IpAddr) -> Result<(), String> {
    if stack.owns(address) {
        return Ok(());
    }
    Err(format!(
        "no port has the address {address}: choose one that `braid show ports` lists"
    ))
}

fn free_id(endpoints: &Endpoints) -> Result<u8, String> {
    (1..=u8::MAX)
        .find(|&id| endpoints.by_id(id).is_none())
        .ok_or_else(|| "every endpoint id is in use: delete an endpoint first".to_owned())
}

fn defaults_row(defaults: &Defaults) -> SettingsRow {
    let scheduler = defaults.scheduler.unwrap_or(defaults.profile.scheduler());
    SettingsRow {
        profile: defaults.profile.name().into(),
        scheduler: scheduler.name().into(),
        congestion: defaults.congestion.name().into(),
        path_manager: defaults.path_management.name().into(),
        threshold: threshold(defaults.path_management),
    }
}

/// Settings to change, checked.
#[derive(Copy, Clone, Debug)]
struct Change {
    profile: Option<Profile>,
    scheduler: Option<Scheduler>,
    congestion: Option<ControllerKind>,
    path_management: Option<PathManagement>,
}

impl Change {
    fn parse(settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            profile: by_name(
                settings.profile.as_deref(),
                "profile",
                &Profile::ALL.map(Profile::name),
                Profile::by_name,
            )?,
            scheduler: by_name(
                settings.scheduler.as_deref(),
                "scheduler",
                &Scheduler::ALL.map(Scheduler::name),
                Scheduler::by_name,
            )?,
            congestion: by_name(
                settings.congestion.as_deref(),
                "congestion controller",
                &ControllerKind::ALL.map(ControllerKind::name),
                ControllerKind::by_name,
            )?,
            path_management: path_management(settings)?,
        })
    }

    /// To a live connection. A profile brings a scheduler along, so it comes first.
    fn apply(
        self,
        now: Instant,
        stack: &mut Stack,
        connection: ConnectionId,
    ) -> Result<(), SocketError> {
        if let Some(profile) = self.profile {
            stack.set_profile(now, connection, profile)?;
        }
        if let Some(scheduler) = self.scheduler {
            stack.set_scheduler(now, connection, scheduler)?;
        }
        if let Some(congestion) = self.congestion {
            stack.set_congestion(now, connection, congestion)?;
        }
        if let Some(management) = self.path_management {
            stack.set_path_management(now, connection, management)?;
        }
        Ok(())
    }

    fn change_defaults(self, defaults: &mut Defaults) {
        if let Some(profile) = self.profile {
            defaults.profile = profile;
            defaults.scheduler = None;
        }
        defaults.scheduler = self.scheduler.or(defaults.scheduler);
        defaults.congestion = self.congestion.unwrap_or(defaults.congestion);
        defaults.path_management = self.path_management.unwrap_or(defaults.path_management);
    }

    /// In what a socket remembers of its options.
    fn note(self, options: &mut SocketOptions) {
        if self.profile.is_some() {
            options.profile = self.profile;
            options.scheduler = None;
        }
        options.scheduler = self.scheduler.or(options.scheduler);
        options.congestion = self.congestion.or(options.congestion);
        options.path_management = self.path_management.or(options.path_management);
    }
}

fn path_management(settings: &Settings) -> Result<Option<PathManagement>, String> {
    let after_bytes = settings.threshold;
    let management = by_name(
        settings.path_manager.as_deref(),
        "path manager",
        &PathManagement::NAMES,
        |name| PathManagement::by_name(name, after_bytes.unwrap_or(0)),
    )?;
    let on_demand = matches!(management, Some(PathManagement::OnDemand { .. }));
    if on_demand != after_bytes.is_some() {
        return Err(
            "the path manager ondemand, and no other, takes a threshold in bytes: name both or \
             neither"
                .into(),
        );
    }
    Ok(management)
}

fn by_name<T>(
    name: Option<&str>,
    what: &str,
    names: &[&str],
    find: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(name) = name else {
        return Ok(None);
    };
    find(name)
        .map(Some)
        .ok_or_else(|| format!("unknown {what} \"{name}\": use one of {}", names.join(", ")))
}
