//! The engine as a server: threads of workers that move packets, and a control thread that answers
//! applications and the command line.
//!
//! `start` opens everything or nothing, `ports` the ports; `host` is a worker's thread. The control thread:
//!
//! - `control` is its loop over one epoll descriptor (`poller`); `table` keeps what has tokens there;
//! - `hosts` is how it asks all workers, or the one that a connection is at home at; `home` has the
//!   names for what is there, `look` shows a connection, `lost` is the end of a worker;
//! - `listener`, `peers` and `packets`: control connections; `attachment`: an application's region;
//! - `pair` and `socket`: sockets; `commands`, `connecting`, `attempts` and `options`: what is asked;
//!   `accept`: passing accepted connections; `lifecycle`: how everything ends;
//! - `dpdk` (with the feature of this name): the devices of ports over DPDK;
//! - `shares`: how many places each user may take; `links`: what the kernel says of the ports'
//!   interfaces;
//! - `complaints`: lines of log that strangers can cause; `cli`: the command line and its watchers.

mod accept;
mod attachment;
mod attempts;
mod cli;
mod commands;
mod complaints;
mod connecting;
mod control;
mod cores;
#[cfg(feature = "dpdk")]
mod dpdk;
mod home;
mod host;
mod hosts;
mod lifecycle;
mod links;
mod listener;
mod look;
mod lost;
mod options;
mod packets;
mod pair;
mod peers;
pub(crate) mod poller;
pub(crate) mod ports;
mod reopen;
mod shares;
mod socket;
mod start;
mod table;

use std::path::Path;

pub use cores::Pipelines;
pub use ports::{LinkProbe, OpenPort, OpenPorts};
pub use start::StartError;

use crate::config::Config;

/// Why the server ended with a failure.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It could not start; nothing was left behind.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Every worker's thread panicked, which has been told on standard error.
    #[error(
        "no worker is left and no connection: start the engine again, and report what it printed"
    )]
    Worker,
    /// A system call that the control thread lives by failed.
    #[error("the control thread cannot go on: {0}")]
    Control(#[from] std::io::Error),
}

/// Runs the engine until SIGTERM or SIGINT.
///
/// Call it before any other thread is started: it takes those signals for the whole process.
///
/// # Errors
///
/// [`ServerError::Start`] when something the configuration asks for cannot be had; nothing is
/// begun then.
pub fn run(config: Config, path: &Path) -> Result<(), ServerError> {
    let started = start::start(&config, || ports::open_ports(&config))?;
    let ready = format!("braid: ready at {}", config.socket.display());
    let control = control::Control::new(config, path, started)?;
    eprintln!("{ready}");
    control.run()
}

/// As [`run`], with the configuration's ports in the caller's hands; `ready` is called once programs
/// can attach.
///
/// # Errors
///
/// As [`run`].
pub fn run_on(
    config: Config,
    ports: OpenPorts,
    ready: impl FnOnce() -> std::io::Result<()>,
) -> Result<(), ServerError> {
    let started = start::start(&config, || Ok(ports))?;
    let path = config.socket.clone();
    let control = control::Control::new(config, &path, started)?;
    ready()?;
    control.run()
}

/// How many sockets there can be: each has a connection, or is one of few that do not.
fn most_sockets(config: &Config) -> usize {
    let sockets = config.applications.sockets as usize;
    let of_applications = config.applications.applications.saturating_mul(sockets);
    config
        .stack
        .max_connections
        .saturating_mul(2)
        .min(of_applications)
}
