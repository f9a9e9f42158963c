//! `braid engine`: runs the engine that applications attach to.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::config::Config;
use crate::server::{self, ServerError};

/// Run the engine: its ports, its workers, and the socket that applications attach to.
///
/// The configuration is checked whole before anything starts. SIGHUP reads it again and takes over
/// what can change while the engine runs; SIGTERM closes the connections in order and ends.
///
/// Example: braid engine --config /etc/braid/engine.toml
#[derive(Debug, Args)]
pub(super) struct EngineArguments {
    /// The configuration, in TOML; deploy/examples explains every key.
    #[arg(long, value_name = "FILE", default_value = "/etc/braid/engine.toml")]
    config: PathBuf,

    /// Check the configuration and end.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(arguments: &EngineArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)
        .map_err(|error| Failure::Configuration(error.to_string()))?;
    if arguments.check {
        println!("{} is in order", arguments.config.display());
        return Ok(());
    }
    server::run(config, &arguments.config).map_err(|error| match error {
        ServerError::Start(error) => Failure::Configuration(error.to_string()),
        error => Failure::Run(error.to_string()),
    })
}
