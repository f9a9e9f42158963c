//! The command line's end of a control connection (unix(7), `SOCK_SEQPACKET`).

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use braid_shm::abi::{self, CliChunk, MAX_MESSAGE_BYTES, Reply};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};
use serde::de::DeserializeOwned;

use super::{Answer, EventRecord, Request};

/// Most bytes of an answer: more than a full engine has to tell.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no engine runs at {}: start one with `braid engine --config FILE`, or name the socket of \
         another with --socket or BRAID_SOCKET",
        path.display()
    )]
    NoEngine {
        /// The path.
        path: PathBuf,
    },
    /// The path cannot be connected to.
    #[error(
        "cannot reach an engine at {}: {source}; name its socket with --socket or BRAID_SOCKET",
        path.display()
    )]
    Unreachable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The engine does not do it; the text says what mends it.
    #[error("{0}")]
    Refused(String),
    /// The engine has ended, or ended this connection.
    #[error("the engine has ended the connection: its log says why")]
    Ended,
    /// The connection broke.
    #[error("cannot talk to the engine: {0}")]
    System(#[from] io::Error),
    /// The answer is none that this program knows.
    #[error(
        "the engine's answer is not understood ({0}): use the `braid` of the engine's own build"
    )]
    Answer(String),
}

/// A connection to an engine.
#[derive(Debug)]
pub struct Client {
    connection: OwnedFd,
}

impl Client {
    /// Connects to the engine that listens at `path`.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoEngine`] or [`ClientError::Unreachable`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let unreachable = |error: Errno| match error {
            Errno::NOENT | Errno::CONNREFUSED => ClientError::NoEngine { path: path.into() },
            error => ClientError::Unreachable {
                path: path.into(),
                source: error.into(),
            },
        };
        let address = SocketAddrUnix::new(path).map_err(unreachable)?;
        let connection = socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(io::Error::from)?;
        connect(&connection, &address).map_err(unreachable)?;
        Ok(Self { connection })
    }

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] when the engine does not do it; otherwise when it has ended or does
    /// not understand.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, ClientError> {
        let json = serde_json::to_vec(request).map_err(io::Error::from)?;
        for chunk in CliChunk::split(&json) {
            let packet = abi::Request::Cli(chunk).encode();
            send(&self.connection, &packet, SendFlags::NOSIGNAL).map_err(ended)?;
        }
        match self.next_value()? {
            Answer::Done(result) => Ok(result),
            Answer::Refused(text) => Err(ClientError::Refused(text)),
        }
    }

    /// Becomes a monitor.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn monitor(mut self) -> Result<Monitor, ClientError> {
        self.ask::<()>(&Request::Monitor)?;
        Ok(Monitor(self))
    }

    fn next_value<T: DeserializeOwned>(&mut self) -> Result<T, ClientError> {
        let mut json = Vec::new();
        let mut packet = vec![0; MAX_MESSAGE_BYTES];
        loop {
            let length = match recv(&self.connection, &mut packet[..], RecvFlags::empty()) {
                Ok((0, _)) => return Err(ClientError::Ended),
                Ok((_, length)) => length.min(packet.len()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(ended(error)),
            };
            let answer = |error: &dyn std::fmt::Display| ClientError::Answer(error.to_string());
            match Reply::parse(&packet[..length]).map_err(|error| answer(&error))? {
                Reply::Cli(chunk) => {
                    json.extend_from_slice(&chunk.bytes);
                    if chunk.last {
                        return serde_json::from_slice(&json).map_err(|error| answer(&error));
                    }
                    if json.len() > MAX_ANSWER_BYTES {
                        return Err(answer(&"it has no end"));
                    }
                }
                Reply::Refused(refused) => return Err(ClientError::Refused(refused.text())),
                _ => return Err(answer(&"it is for an application")),
            }
        }
    }
}

fn ended(error: Errno) -> ClientError {
    match error {
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => ClientError::Ended,
        error => ClientError::System(error.into()),
    }
}

/// A connection that events come by.
#[derive(Debug)]
pub struct Monitor(Client);

impl Monitor {
    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// [`ClientError::Ended`] when the engine has ended.
    pub fn next_event(&mut self) -> Result<EventRecord, ClientError> {
        self.0.next_value()
    }
}
