//! What the engine answers. The fields are an interface: `--json` prints them as they are.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::EndpointFlag;

/// An answer: what was asked for, or why not.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// It is done, with this result.
    Done(T),
    /// It is not done: one sentence that says what mends it.
    Refused(String),
}

/// A connection.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConnectionRow {
    /// What the other requests name it by.
    pub id: u64,
    /// The worker that is its home.
    pub worker: u8,
    /// The data-level state (RFC 8684 section 3.3.3), such as `established`.
    pub state: String,
    /// `client` or `server`.
    pub role: String,
    /// The address of this side, that of the first subflow.
    pub local: SocketAddr,
    /// The address of the peer, that of the first subflow.
    pub remote: SocketAddr,
    /// Whether it uses Multipath TCP.
    pub multipath: bool,
    /// Why it is regular TCP, if it is.
    pub fallback: Option<String>,
    /// Its settings.
    pub settings: SettingsRow,
    /// Whether the data bears checksums of Multipath TCP.
    pub checksum: bool,
    /// Subflows there are.
    pub subflows: u8,
    /// Subflows there have been.
    pub subflows_total: u32,
    /// Bytes that the program wrote.
    pub bytes_sent: u64,
    /// Bytes of those that the peer has acknowledged.
    pub bytes_acknowledged: u64,
    /// Bytes that arrived in order.
    pub bytes_received: u64,
    /// Bytes given to a second subflow.
    pub bytes_reinjected: u64,
    /// Token of this side, which names the connection to the peer.
    pub local_token: u32,
    /// Token of the peer.
    pub remote_token: Option<u32>,
    /// The program that has it; `None` while it waits to be accepted, and once it is closed.
    pub program: Option<String>,
    /// The process of the program that attached.
    pub process: Option<i32>,
}

/// A subflow.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SubflowRow {
    /// Its connection.
    pub connection: u64,
    /// Its number within the connection; 0 is the first.
    pub id: u32,
    /// The worker whose core its packets arrive at.
    pub worker: u8,
    /// `handshake`, `established`, `stale` or `closing`.
    pub state: String,
    /// The address of this side.
    pub local: SocketAddr,
    /// The address of the peer.
    pub remote: SocketAddr,
    /// The identifier of the local address.
    pub local_address_id: u8,
    /// The identifier of the peer's address.
    pub remote_address_id: u8,
    /// `preferred`, `normal` or `backup`.
    pub priority: String,
    /// Either side wants it used as backup only.
    pub backup: bool,
    /// The peer opened it.
    pub opened_by_peer: bool,
    /// Payload bytes given to it.
    pub bytes_sent: u64,
    /// Payload bytes received on it.
    pub bytes_received: u64,
    /// Bytes of `bytes_sent` that another subflow had carried before.
    pub bytes_reinjected: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Smoothed round trip in microseconds; `None` before the first sample.
    pub srtt_us: Option<u64>,
    /// Congestion window in bytes.
    pub congestion_window: u32,
    /// Bytes in flight.
    pub in_flight: u32,
}

/// A listener.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ListenerRow {
    /// Where it listens.
    pub address: SocketAddr,
    /// Peers that ask for Multipath TCP get it.
    pub multipath: bool,
    /// The only port it listens on, if there is one.
    pub port: Option<String>,
    /// Connections that may wait to be accepted.
    pub backlog: usize,
    /// Connections that do.
    pub waiting: usize,
    /// The program that listens.
    pub program: Option<String>,
    /// Its process.
    pub process: Option<i32>,
}

/// A port with its interface.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PortRow {
    /// Its name.
    pub name: String,
    /// Its link address.
    pub mac: String,
    /// The largest IP packet in bytes.
    pub mtu: u16,
    /// Its addresses with the lengths of their prefixes, such as `10.0.0.2/24`.
    pub addresses: Vec<String>,
    /// Routers to everywhere else.
    pub gateways: Vec<IpAddr>,
    /// Whether the link is up.
    pub up: bool,
    /// Its counters by name, `PortInFrames` and so on.
    pub counters: BTreeMap<String, u64>,
}

/// An endpoint.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EndpointRow {
    /// Its identifier.
    pub id: u8,
    /// Its address.
    pub address: IpAddr,
    /// The port announced with it.
    pub port: Option<u16>,
    /// What it is for.
    pub flags: Vec<EndpointFlag>,
}

/// The limits of every connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LimitsRow {
    /// Subflows beyond the first.
    pub subflows: u8,
    /// Announced addresses that subflows are opened to.
    pub add_addr_accepted: u8,
}

/// Settings in effect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SettingsRow {
    /// What the connection is to be good at.
    pub profile: String,
    /// Which subflow carries the next bytes.
    pub scheduler: String,
    /// The congestion controller.
    pub congestion: String,
    /// Which endpoints it makes use of.
    pub path_manager: String,
    /// With `ondemand`: bytes before the first further subflow.
    pub threshold: Option<u64>,
}

/// The counters of the engine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Statistics {
    /// Those of the protocols, by the names of `nstat`.
    pub counters: BTreeMap<String, u64>,
    /// Those of each port.
    pub ports: BTreeMap<String, BTreeMap<String, u64>>,
}
