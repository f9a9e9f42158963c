//! The process with the engine.

use std::io::{self, Write};
use std::path::Path;

use braid_control::server;

use super::engine;

/// What the process says on standard output once programs can attach.
pub const READY: &str = "ready";

/// Serves sockets at `path` until the process is ended.
///
/// # Errors
///
/// When the engine cannot start.
pub fn run(path: &Path, idle: Option<&str>) -> io::Result<()> {
    let config = engine::configuration(path, idle)?;
    let (ports, _nowhere) = engine::ports()?;
    let ready = || writeln!(io::stdout(), "{READY}");
    server::run_on(config, ports, ready).map_err(io::Error::other)
}
