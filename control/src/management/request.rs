//! What the command line asks of the engine.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A request. Each but [`Request::Monitor`] has one answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Every connection: rows of [`super::ConnectionRow`].
    ShowConnections,
    /// The subflows of one connection or of all: rows of [`super::SubflowRow`].
    ShowSubflows {
        /// Of this one only.
        connection: Option<u64>,
    },
    /// Every listener: rows of [`super::ListenerRow`].
    ShowListeners,
    /// Every port: rows of [`super::PortRow`].
    ShowPorts,
    /// Every endpoint: rows of [`super::EndpointRow`].
    ShowEndpoints,
    /// A further endpoint; the answer is its row.
    AddEndpoint(NewEndpoint),
    /// One endpoint less; the answer is its row.
    DeleteEndpoint {
        /// Its identifier.
        id: u8,
    },
    /// No endpoints; the answer is the rows of those there were.
    FlushEndpoints,
    /// The limits of every connection: [`super::LimitsRow`].
    ShowLimits,
    /// Other limits; those left out stay. The answer is [`super::LimitsRow`].
    SetLimits {
        /// Subflows beyond the first.
        subflows: Option<u8>,
        /// Announced addresses that subflows are opened to.
        add_addr_accepted: Option<u8>,
    },
    /// Other settings of a live connection, or of those to come; without any, those there are. The
    /// answer is [`super::SettingsRow`].
    Set {
        /// The connection; `None` for those to come.
        connection: Option<u64>,
        /// What changes.
        settings: Settings,
    },
    /// The counters: [`super::Statistics`].
    Statistics,
    /// What happens from now on: [`super::EventRecord`]s until either side ends the connection.
    Monitor,
}

impl Request {
    /// Whether it leaves the engine as it is.
    pub fn only_looks(&self) -> bool {
        match self {
            Self::ShowConnections
            | Self::ShowSubflows { .. }
            | Self::ShowListeners
            | Self::ShowPorts
            | Self::ShowEndpoints
            | Self::ShowLimits
            | Self::Statistics
            | Self::Monitor => true,
            Self::Set { settings, .. } => *settings == Settings::default(),
            Self::AddEndpoint(_)
            | Self::DeleteEndpoint { .. }
            | Self::FlushEndpoints
            | Self::SetLimits { .. } => false,
        }
    }
}

/// An address for further subflows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewEndpoint {
    /// The address, of one of the engine's ports.
    pub address: IpAddr,
    /// The address identifier on the wire; the lowest free one if left out.
    pub id: Option<u8>,
    /// The port announced with it.
    pub port: Option<u16>,
    /// What it is for.
    pub flags: Vec<EndpointFlag>,
}

/// What an endpoint is for, by the names of `ip mptcp endpoint`.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum EndpointFlag {
    /// It is announced to peers.
    Signal,
    /// Subflows are opened from it.
    Subflow,
    /// Its subflows are used only when no other works.
    Backup,
    /// Subflows are opened from it to every address that a peer announced.
    Fullmesh,
}

impl EndpointFlag {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Subflow => "subflow",
            Self::Backup => "backup",
            Self::Fullmesh => "fullmesh",
        }
    }
}

/// Settings by their names; what is left out stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// `bulk`, `latency-overflow`, `latency-standby`.
    pub profile: Option<String>,
    /// The name of a scheduler.
    pub scheduler: Option<String>,
    /// The name of a congestion controller.
    pub congestion: Option<String>,
    /// The name of a path manager.
    pub path_manager: Option<String>,
    /// With the path manager `ondemand`: bytes before the first further subflow.
    pub threshold: Option<u64>,
}
