//! What a monitor is told.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Something that happened, and when.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// Seconds since 1970, when the engine told it.
    pub time: f64,
    /// The worker it happened at: of a subflow the one that has it, else the home of its connection.
    /// `None` for what is of no connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u8>,
    /// What happened.
    #[serde(flatten)]
    pub event: EventKind,
}

/// What may happen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The handshake of a connection is complete.
    Connected {
        /// The connection.
        connection: u64,
        /// The address of this side; `None` when the connection has ended since.
        local: Option<SocketAddr>,
        /// The address of the peer.
        remote: Option<SocketAddr>,
        /// Whether it uses Multipath TCP.
        multipath: bool,
    },
    /// Nothing more is sent or received on a connection.
    Closed {
        /// The connection.
        connection: u64,
        /// What went wrong, if anything did.
        error: Option<String>,
    },
    /// A subflow is ready for data.
    SubflowEstablished {
        /// Its connection.
        connection: u64,
        /// Its number; `None`, like the addresses, when the subflow has ended since.
        subflow: Option<u32>,
        /// The address of this side.
        local: Option<SocketAddr>,
        /// The address of the peer.
        remote: Option<SocketAddr>,
        /// Whether it is a backup.
        backup: bool,
    },
    /// A subflow is gone.
    SubflowClosed {
        /// Its connection.
        connection: u64,
        /// Its number.
        subflow: u32,
        /// The address of this side.
        local: SocketAddr,
        /// The address of the peer.
        remote: SocketAddr,
        /// Why, such as `closed`, `reset_by_peer` or `timed_out`.
        reason: String,
        /// What it carried.
        #[serde(flatten)]
        totals: SubflowTotals,
    },
    /// A connection is regular TCP from here on.
    FellBack {
        /// The connection.
        connection: u64,
        /// Why.
        reason: String,
    },
    /// The peer announced an address.
    AddressAnnounced {
        /// The connection it was announced on.
        connection: u64,
        /// The peer's identifier of it.
        address_id: u8,
        /// Address and port.
        address: SocketAddr,
    },
    /// The peer withdrew an address.
    AddressRemoved {
        /// The connection.
        connection: u64,
        /// The peer's identifier of the address.
        address_id: u8,
    },
    /// No frames pass by a port any more.
    LinkDown {
        /// The name of the port.
        port: String,
        /// Why: `no_carrier`, `set_down`, `dormant` or `gone`.
        reason: String,
    },
    /// Frames pass by a port again.
    LinkUp {
        /// The name of the port.
        port: String,
    },
    /// This monitor was too slow, or too much happened at once.
    Lost {
        /// How many events are missing here.
        events: u64,
    },
}

/// What a subflow carried in its life.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SubflowTotals {
    /// The handshake was completed.
    pub established: bool,
    /// Payload bytes given to it.
    pub bytes_sent: u64,
    /// Payload bytes received on it.
    pub bytes_received: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Smoothed round trip in microseconds; `None` without a sample.
    pub srtt_us: Option<u64>,
}

impl EventRecord {
    /// An event of the present, of no worker.
    pub fn now(event: EventKind) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            time: since.unwrap_or_default().as_secs_f64(),
            worker: None,
            event,
        }
    }

    /// An event of the present at a worker.
    pub fn at(worker: u8, event: EventKind) -> Self {
        Self {
            worker: Some(worker),
            ..Self::now(event)
        }
    }
}

impl EventKind {
    /// The name that `--json` has for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Closed { .. } => "closed",
            Self::SubflowEstablished { .. } => "subflow_established",
            Self::SubflowClosed { .. } => "subflow_closed",
            Self::FellBack { .. } => "fell_back",
            Self::AddressAnnounced { .. } => "address_announced",
            Self::AddressRemoved { .. } => "address_removed",
            Self::LinkDown { .. } => "link_down",
            Self::LinkUp { .. } => "link_up",
            Self::Lost { .. } => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let record = EventRecord {
            time: 1.5,
            worker: Some(2),
            event: EventKind::SubflowClosed {
                connection: 3,
                subflow: 1,
                local: "10.0.0.2:5".parse().unwrap(),
                remote: "10.0.0.1:6".parse().unwrap(),
                reason: "closed".into(),
                totals: SubflowTotals {
                    established: true,
                    bytes_sent: 7,
                    ..SubflowTotals::default()
                },
            },
        };
        let value = serde_json::to_value(&record).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "time": 1.5, "worker": 2, "event": "subflow_closed", "connection": 3, "subflow": 1,
                "local": "10.0.0.2:5", "remote": "10.0.0.1:6", "reason": "closed",
                "established": true, "bytes_sent": 7, "bytes_received": 0, "retransmissions": 0,
                "srtt_us": null,
            })
        );
        assert_eq!(value["event"], record.event.name());
        assert_eq!(
            serde_json::from_value::<EventRecord>(value).unwrap(),
            record
        );
    }
}
