//! Which engine a verb talks to.

use std::path::PathBuf;

use clap::Args;
use serde::de::DeserializeOwned;

use super::Failure;
use crate::config::DEFAULT_SOCKET;
use crate::management::{Client, ClientError, Request};

/// The options of every verb that talks to a running engine.
#[derive(Debug, Args)]
pub(super) struct EngineSocket {
    /// The socket of the engine, `socket` in its configuration.
    #[arg(long, value_name = "PATH", env = "BRAID_SOCKET", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,

    /// Print JSON instead of tables.
    #[arg(long)]
    pub(super) json: bool,
}

impl EngineSocket {
    /// Connects to the engine.
    pub(super) fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.socket)?)
    }

    /// Asks the engine for something.
    pub(super) fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        Ok(self.connect()?.ask(request)?)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            // Nothing was begun, and the text says what mends it.
            ClientError::NoEngine { .. }
            | ClientError::Unreachable { .. }
            | ClientError::Refused(_) => Self::Configuration(text),
            ClientError::Ended | ClientError::System(_) | ClientError::Answer(_) => Self::Run(text),
        }
    }
}
