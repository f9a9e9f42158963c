//! The control thread: one loop over everything that can ask something of the engine.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::ServerError;
use super::host::{Host, WorkerGone};
use super::listener::Listener;
use super::poller::{EventFlags, Poller, Ready};
use super::start::Started;
use crate::config::Config;

/// How often the last connections are looked at while the engine ends.
const CLOSING_INTERVAL: Duration = Duration::from_millis(10);

/// Where the tokens of the fixed descriptors begin; smaller ones are for the others.
const SIGNALS: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

/// The control thread's state.
pub(super) struct Control {
    config: Config,
    path: PathBuf,
    poller: Poller,
    listener: Listener,
    signals: SignalFd,
    host: Host,
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
        Ok(Self {
            config,
            path: path.into(),
            poller,
            listener: started.listener,
            signals: started.signals,
            host: Host::start(started.worker)?,
        })
    }

    /// Serves until a signal ends it.
    pub(super) fn run(mut self) -> Result<(), ServerError> {
        eprintln!("braid: ready at {}", self.listener.path().display());
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            self.poller.wait(None, &mut ready)?;
            for event in &ready {
                match event.token {
                    SIGNALS => {
                        if self.on_signal()? {
                            return self.close();
                        }
                    }
                    LISTENER => while self.listener.accept()?.is_some() {},
                    _ => {}
                }
            }
        }
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
        let new = match Config::load(&self.path) {
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
        let limits = new.limits;
        let refused = self.host.call(move |turn| {
            let mut refused = Vec::new();
            turn.stack.set_limits(turn.now, limits);
            for old in &old_endpoints {
                if !endpoints.contains(old) {
                    turn.stack.remove_endpoint(turn.now, old.id);
                }
            }
            for &endpoint in &endpoints {
                if !old_endpoints.contains(&endpoint)
                    && let Err(error) = turn.stack.add_endpoint(turn.now, endpoint)
                {
                    refused.push(error);
                }
            }
            refused
        })?;
        for error in refused {
            eprintln!("braid: {error}");
        }
        self.config.reload(new);
        eprintln!("braid: the configuration was read again");
        Ok(())
    }

    /// Closes the connections in order, and aborts those that are left when the time is over.
    fn close(self) -> Result<(), ServerError> {
        let deadline = Instant::now() + self.config.shutdown_timeout;
        loop {
            let left = self.host.call(|turn| turn.stack.connection_count())?;
            if left == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                eprintln!("braid: {left} connections were not closed in time and are aborted");
                return Ok(());
            }
            std::thread::sleep(CLOSING_INTERVAL);
        }
    }
}
