//! The control thread: one loop over everything that can ask something of the engine.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use braid_dataplane::application::{RegionId, Report};
use braid_engine::socket::SocketOptions;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::ServerError;
use super::attachment::{Attachment, key_of};
use super::attempts::Attempts;
use super::complaints::Complaints;
use super::home::{ConnectionName, ListenerName};
use super::host::WorkerGone;
use super::hosts::Hosts;
use super::lifecycle::Leavings;
use super::links::Links;
use super::listener::Listener;
use super::lost::Losses;
use super::peers::Peer;
use super::poller::{EventFlags, Poller, Ready};
use super::socket::{Socket, State};
use super::start::Started;
use super::table::{Key, Table};
use crate::config::Config;

/// How often the last connections are looked at while the engine ends.
const CLOSING_INTERVAL: Duration = Duration::from_millis(10);

/// Tokens of the descriptors that there is one of.
const SIGNALS: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;
const WORKERS: u64 = u64::MAX - 2;
const LINKS: u64 = u64::MAX - 3;

/// What a token of the poller names.
pub(super) struct Kind;

impl Kind {
    /// A control connection.
    pub(super) const PEER: u8 = 1;
    /// The bell of a region.
    pub(super) const REGION: u8 = 2;
    /// The engine's end of a socket's descriptor.
    pub(super) const SOCKET: u8 = 3;
}

/// The control thread's state.
pub(super) struct Control {
    pub(super) config: Config,
    path: PathBuf,
    pub(super) poller: Poller,
    pub(super) listener: Listener,
    signals: SignalFd,
    pub(super) links: Links,
    pub(super) hosts: Hosts,
    pub(super) peers: Table<Peer>,
    pub(super) attachments: Table<Attachment>,
    pub(super) sockets: Table<Socket>,
    pub(super) by_cookie: HashMap<u64, Key>,
    pub(super) by_listener: HashMap<ListenerName, Key>,
    /// What sockets that were just forgotten held in the workers.
    pub(super) leavings: Leavings,
    /// Those of sockets that connect to one of several addresses.
    pub(super) attempts: Vec<Attempts>,
    /// How many regions there have been.
    pub(super) serial: u64,
    pub(super) complaints: Complaints,
    pub(super) losses: Losses,
    /// The engine ends: nothing new is begun.
    pub(super) closing: bool,
}

/// One control connection for each application, those of programs that took over their sockets, and
/// some for the command line.
fn most_peers(config: &Config) -> usize {
    let applications = config.applications.applications;
    applications.saturating_mul(2).saturating_add(64)
}

impl From<WorkerGone> for ServerError {
    fn from(_: WorkerGone) -> Self {
        Self::Worker
    }
}

impl Control {
    pub(super) fn new(config: Config, path: &Path, started: Started) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&started.signals, SIGNALS, EventFlags::IN)?;
        poller.add(&started.listener, LISTENER, EventFlags::IN)?;
        started.links.add_to(&poller, LINKS)?;
        let hosts = Hosts::start(started.workers, started.reports, started.pipelines)?;
        poller.add(hosts.reports().bell(), WORKERS, EventFlags::IN)?;
        let applications = config.applications.applications;
        Ok(Self {
            poller,
            listener: started.listener,
            signals: started.signals,
            links: started.links,
            hosts,
            peers: Table::new(most_peers(&config)),
            attachments: Table::new(applications),
            sockets: Table::new(super::most_sockets(&config)),
            by_cookie: HashMap::new(),
            by_listener: HashMap::new(),
            leavings: Leavings::default(),
            attempts: Vec::new(),
            serial: 0,
            complaints: Complaints::default(),
            losses: Losses::default(),
            closing: false,
            config,
            path: path.into(),
        })
    }

    /// Serves until a signal ends it.
    pub(super) fn run(mut self) -> Result<(), ServerError> {
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            // Whoever has asked before this look is answered, whoever asks later rings.
            let asked = !self.prepare_to_sleep();
            let timeout = if asked {
                Some(Duration::ZERO)
            } else {
                let times = [
                    self.time_of_attempts(),
                    self.links.time_of_probes(),
                    self.hosts.time_of_look(),
                ];
                times.into_iter().flatten().min()
            };
            self.poller.wait(timeout, &mut ready)?;
            self.awake();
            for event in &ready {
                match event.token {
                    SIGNALS => {
                        if self.on_signal()? {
                            return self.close();
                        }
                    }
                    LISTENER => self.accept_peers(),
                    LINKS => {
                        let told = self.on_links()?;
                        self.outlive(told)?;
                    }
                    WORKERS => {}
                    token => self.on_ready(token, event.flags)?,
                }
            }
            self.hosts.look();
            self.hosts.reports().bell().clear();
            self.take_commands()?;
            self.take_reports()?;
            let ended = self.end_late_attempts();
            self.outlive(ended)?;
            if self.links.time_of_probes() == Some(Duration::ZERO) {
                let told = self.on_links()?;
                self.outlive(told)?;
            }
        }
    }

    /// How many control connections there can be.
    pub(super) fn most_peers(&self) -> usize {
        most_peers(&self.config)
    }

    fn prepare_to_sleep(&self) -> bool {
        self.attachments
            .iter()
            .all(|(_, attachment)| attachment.commands.prepare_sleep())
    }

    fn awake(&self) {
        for (_, attachment) in self.attachments.iter() {
            attachment.commands.awake();
        }
    }

    fn on_ready(&mut self, token: u64, flags: EventFlags) -> Result<(), ServerError> {
        let (kind, key) = Key::of_token(token);
        let done = match kind {
            Kind::PEER if flags.contains(EventFlags::OUT) => self.on_room(key),
            Kind::PEER => self.on_peer(key),
            Kind::SOCKET if flags.intersects(EventFlags::HUP | EventFlags::ERR) => {
                self.on_hangup(key)
            }
            Kind::SOCKET => self.accept_connections(key),
            // The commands of every region are looked at after each sleep.
            _ => Ok(()),
        };
        self.outlive(done)?;
        Ok(())
    }

    /// Acts on what the workers have reported until now. The slots stay as they are while the engine
    /// ends, for what arrived can still be read.
    pub(super) fn take_reports(&mut self) -> Result<(), WorkerGone> {
        if self.closing {
            return Ok(());
        }
        let mut watched = Vec::new();
        // What comes meanwhile rings again.
        for _ in 0..self.hosts.reports().waiting() {
            let Some(report) = self.hosts.reports().take() else {
                break;
            };
            let done = match report {
                Report::Watched { worker, event } => {
                    watched.push((worker, event));
                    Ok(())
                }
                report => self.on_report(&report),
            };
            self.outlive(done)?;
        }
        self.look_for_lost()?;
        self.on_watched(watched)
    }

    fn on_report(&mut self, report: &Report) -> Result<(), WorkerGone> {
        match *report {
            Report::Acceptable { worker, listener } => {
                let name = ListenerName {
                    worker,
                    id: listener,
                };
                if let Some(&socket) = self.by_listener.get(&name)
                    && !self.accept_from(socket, name)?
                {
                    self.wait_for_room(socket, true);
                }
            }
            Report::Failed {
                worker,
                region,
                slot,
                connection,
                error,
            } => {
                let name = ConnectionName {
                    home: worker,
                    id: connection,
                };
                if let Some(socket) = self.socket_at(region, slot) {
                    self.connect_failed(socket, name, error)?;
                }
            }
            Report::Released { region, slot } => {
                // One whose worker has ended is forgotten already, and its slot may be another's.
                if let Some(key) = self.socket_at(region, slot)
                    && let Some(socket) = self.sockets.get(key)
                    && matches!(socket.state, State::Ending { .. })
                {
                    self.forget_socket(key);
                    self.after_sockets()?;
                }
            }
            Report::Violation { region, violation } => {
                self.cut_off(key_of(region), &violation.to_string())?;
            }
            // They are told together.
            Report::Watched { .. } => {}
        }
        Ok(())
    }

    fn socket_at(&self, region: RegionId, slot: u32) -> Option<Key> {
        self.attachments.get(key_of(region))?.socket(slot)
    }

    /// What sockets of a region have before anything is set.
    pub(super) fn default_options(&self, region: Key) -> SocketOptions {
        let rule = self
            .attachments
            .get(region)
            .and_then(|attachment| attachment.rule.as_ref());
        rule.map_or_else(SocketOptions::default, |rule| SocketOptions {
            congestion: rule.congestion,
            scheduler: rule.scheduler,
            profile: rule.profile,
            ..SocketOptions::default()
        })
    }

    /// Whether the signal ends the engine.
    fn on_signal(&mut self) -> Result<bool, ServerError> {
        while let Some(signal) = self.signals.read_signal().map_err(io::Error::from)? {
            if signal.ssi_signo == Signal::SIGHUP as u32 {
                self.reload()?;
            } else {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the configuration again. One that is wrong changes nothing.
    fn reload(&mut self) -> Result<(), ServerError> {
        let mut new = match Config::load(&self.path) {
            Ok(new) => new,
            Err(error) => {
                eprintln!("braid: nothing was changed: {error}");
                return Ok(());
            }
        };
        for name in self.config.changes_needing_restart(&new) {
            eprintln!("braid: `{name}` has changed and stays as it was: restart the engine for it");
        }
        let (old_endpoints, endpoints) = (self.config.endpoints.clone(), new.endpoints.clone());
        let (limits, mut defaults) = (new.limits, new.defaults());
        let changed = self.hosts.call_all(move |turn| {
            let (mut refused, mut taken) = (Vec::new(), Vec::new());
            turn.stack.set_limits(turn.now, limits);
            // Found out when the engine started.
            defaults.multipath = turn.stack.defaults().multipath;
            if let Err(error) = turn.stack.set_defaults(defaults) {
                refused.push(error.to_string());
            }
            for old in &old_endpoints {
                if !endpoints.contains(old) {
                    turn.stack.remove_endpoint(turn.now, old.id);
                }
            }
            for endpoint in endpoints {
                let (id, address) = (endpoint.id, endpoint.address);
                let outcome = if old_endpoints.contains(&endpoint) {
                    Ok(())
                } else if turn.stack.owns(address) {
                    turn.stack
                        .add_endpoint(turn.now, endpoint)
                        .map_err(|error| error.to_string())
                } else {
                    // The file may have it on a port that takes a restart.
                    Err(format!(
                        "endpoint {id}: {address} is the address of no port that is open: restart \
                         the engine for it"
                    ))
                };
                match outcome {
                    Ok(()) => taken.push(endpoint),
                    Err(error) => refused.push(error),
                }
            }
            (refused, taken)
        })?;
        let (refused, taken) = changed.of_first();
        for error in refused {
            eprintln!("braid: {error}");
        }
        new.endpoints = taken;
        self.config.reload(new);
        if let Err(error) = self.listener.admit_others(self.config.admits_others()) {
            eprintln!("braid: the mode of the socket's file stays as it was: {error}");
        }
        eprintln!("braid: the configuration was read again");
        Ok(())
    }

    /// Closes the connections in order, and aborts those that are left when the time is over.
    /// Programs see the end of their descriptors when this thread's ends go; what they ask until then
    /// is answered.
    fn close(mut self) -> Result<(), ServerError> {
        let deadline = Instant::now() + self.config.shutdown_timeout;
        self.closing = true;
        self.end_all_sockets();
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            self.look_for_lost()?;
            let counts = self.hosts.call_all(|turn| turn.stack.connection_count())?;
            let left = counts.merge(|sum, count| *sum += count);
            if left == 0 {
                break;
            }
            if Instant::now() >= deadline {
                eprintln!("braid: {left} connections were not closed in time and are aborted");
                self.hosts.call_all(|turn| turn.abort_all())?;
                break;
            }
            self.answer_while_closing(&mut ready)?;
        }
        for (_, attachment) in self.attachments.iter() {
            attachment.region.retire();
        }
        Ok(())
    }

    /// One interval of the end.
    fn answer_while_closing(&mut self, ready: &mut Vec<Ready>) -> Result<(), ServerError> {
        self.poller.wait(Some(CLOSING_INTERVAL), ready)?;
        self.hosts.reports().bell().clear();
        for event in ready.iter() {
            match event.token {
                SIGNALS => {
                    while self
                        .signals
                        .read_signal()
                        .map_err(io::Error::from)?
                        .is_some()
                    {}
                }
                LISTENER => self.accept_peers(),
                LINKS => {
                    let told = self.on_links()?;
                    self.outlive(told)?;
                }
                WORKERS => {}
                token => self.on_ready(token, event.flags)?,
            }
        }
        Ok(self.take_commands()?)
    }
}
